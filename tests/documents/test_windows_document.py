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
    assert len(programs) == 4
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
    said = capsys.readouterr()
    assert said.out.startswith("40 updates, training loss 0.")
    assert said.out.endswith("\nNone\n")
    # It learnt to tell the next value of a sine whose noise has a deviation of 0.1.
    stream = np.asarray(names["stream"])
    answer = names["network"].predict(stream[None, :-1], verbose=0)  # type: ignore[attr-defined]
    assert np.sqrt(np.mean(np.square(answer[0] - stream[1:]))) < 0.3
    exec(compile(programs[3].text, programs[3].document, "exec"), names)
    result = names["result"]
    assert capsys.readouterr().out == result.table() + "\n"  # type: ignore[attr-defined]
    assert result.after < 0.7 * result.before  # type: ignore[attr-defined]
