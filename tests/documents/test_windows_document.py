"""The programs in docs/guides/windows.md run, one after the other, and do what the page says."""

from __future__ import annotations

import pytest

from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Window
from tests.support.documents import blocks

pytestmark = pytest.mark.tf


def test_every_program_runs(tmp_path, monkeypatch, capsys):
    import numpy as np

    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    programs = [block for block in blocks("docs/guides/windows.md") if block.language == "python"]
    assert len(programs) == 3
    exec(compile(programs[0].text, programs[0].document, "exec"), names)
    assert IntegerModel.load(tmp_path / "next.edgernn").window == Window(steps=20)
    said = capsys.readouterr()
    assert said.out == "windows of 20 readings\n"
    assert "sequential" in said.err
    assert (
        "as an endless stream instead of windows, the outputs of the float network itself"
        in said.err
    )
    exec(compile(programs[1].text, programs[1].document, "exec"), names)
    y, first = np.asarray(names["y"]), np.asarray(names["first"])
    assert y.shape == (60, 1)
    assert np.isnan(y[:19]).all()
    assert np.isfinite(y[19:]).all()
    assert np.isfinite(first).all()
    exec(compile(programs[2].text, programs[2].document, "exec"), names)
    assert capsys.readouterr().out == "None\n"
    # It learnt to tell the next value of a sine whose noise has a deviation of 0.1.
    x, target = np.asarray(names["x"]), np.asarray(names["y"])
    answer = names["network"].predict(x, batch_size=8, verbose=0)  # type: ignore[attr-defined]
    assert np.sqrt(np.mean(np.square(answer - target))) < 0.3
