"""The programs in docs/guides/scikit-learn.md run, one after the other, and print what they say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import edgernn
from tests.support.documents import blocks

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

pytestmark = [pytest.mark.slow, pytest.mark.tf]

DOCUMENT = "docs/guides/scikit-learn.md"


def test_every_program_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    programs = [block for block in blocks(DOCUMENT) if block.language == "python"]
    assert len(programs) == 3
    for block in programs:
        exec(compile(block.text, block.document, "exec"), names)
    said = capsys.readouterr().out
    assert float(re.search(r"R² on new rows: ([\d.]+)", said)[1]) > 0.7
    assert float(re.search(r"float network: ([\d.]+)", said)[1]) < 0.2
    model = edgernn.IntegerModel.load("build/model.edgernn")
    assert model.input.units == ("°C", "kW")
    assert model.output.names == ("indoor",)
    assert (tmp_path / "build" / "model_c").is_dir()
    predicted = names["model"].predict(names["X"][900:])
    np.testing.assert_array_equal(names["indoor"][:, 0], predicted)
    assert names["probabilities"].shape == (5, 2)
    assert names["search"].best_score_ > 0.7
