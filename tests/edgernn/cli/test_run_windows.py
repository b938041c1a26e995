"""`edgernn run` of window models: lines without an answer, and a padded beginning."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.interface import Window
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device

MODEL = dataclasses.replace(
    random_model("gru_after", inputs=1, outputs=1), window=Window(steps=4, hop=2)
)
XS = [0.5, -1.25, 2.0, 0.75, 1.5, -0.5, 0.25]


@pytest.fixture
def files(tmp_path):
    path = MODEL.save(tmp_path / "w.edgernn")
    readings = tmp_path / "x.csv"
    readings.write_text("".join(f"{x}\n" for x in XS))
    return str(path), str(readings), str(tmp_path / "out")


@pytest.mark.parametrize("warm_up", ["nothing", "pad"])
def test_lines_without_an_answer_are_nan_and_counted(files, warm_up, capsys):
    path, readings, out = files
    arguments = ["run", path, "--input", readings, "--output", out, "--warm-up", warm_up]
    assert main(arguments) == 0
    got = [float(line) for line in Path(out).read_text().split()]
    with edgernn.load(MODEL, "reference", warm_up=warm_up) as session:
        wanted = session.run(XS)[:, 0]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=float(MODEL.output.scale[0]) / 2)
    missing = 3 if warm_up == "nothing" else 0
    assert np.isnan(wanted).sum() == missing
    said = capsys.readouterr().err
    assert ("; 3 without an answer" in said) == bool(missing)


def test_codes_that_are_not_there_yet(files, capsys):
    path, _, out = files
    Path(out + ".csv").write_text("1\n2\n3\n4\n")
    assert main(["run", path, "--codes", "--input", out + ".csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["nan"] * 3
    assert int(lines[3]) is not None
    assert main(
        ["run", path, "--codes", "--input", out + ".csv", "--output-format", "jsonl", "--json"]
    ) == 0  # fmt: skip
    captured = capsys.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()][:3] == [[None]] * 3
    assert json.loads(captured.err.splitlines()[-1])["unanswered_readings"] == 3
