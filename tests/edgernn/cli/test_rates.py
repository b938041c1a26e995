"""What the commands say of models that answer every R readings, and what they stream."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.models.rates import strided_network

pytestmark = pytest.mark.device

MODEL = strided_network(Precision.W8A8, Rate(readings=2, first=3, latency=1))
XS = np.random.default_rng(1).normal(0, 0.5, (7, 3))


@pytest.fixture
def files(tmp_path):
    path = MODEL.save(tmp_path / "rated.edgernn")
    readings = tmp_path / "x.csv"
    readings.write_text("".join(",".join(map(str, x)) + "\n" for x in XS.tolist()))
    return str(path), str(readings), str(tmp_path / "out")


def test_run_repeats_the_last_answer_and_has_none_before_the_first(files, capsys):
    path, readings, out = files
    assert main(["run", path, "--input", readings, "--output", out]) == 0
    got = np.array([line.split(",") for line in Path(out).read_text().split()], dtype=float)
    with edgernn.load(MODEL, "reference") as session:
        wanted = session.run(XS)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=float(MODEL.output.scale[0]) / 2)
    assert np.isnan(got[:2]).all()
    assert got[2].tolist() == got[3].tolist() != got[4].tolist()
    assert "; 2 without an answer" in capsys.readouterr().err


def test_info_says_when_there_is_an_answer(files, capsys):
    path, *_ = files
    assert main(["info", path]) == 0
    text = capsys.readouterr().out
    assert (
        "stream  endless: one answer every 2 readings, the first after 3, 1 reading late; the "
        "state is kept from reading to reading"
    ) in text
    assert re.search(r" delay +input of reading 1, input of reading 2$", text, re.MULTILINE)
    assert "receptive field  all readings of the stream" in text
    assert f"state  {MODEL.state_bytes} bytes per stream, including the readings of a step" in text
    assert main(["info", path, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    rate = {"readings": 2, "first": 3, "latency": 1}
    assert record["stream"] == {"kind": "endless", "rate": rate}
    assert record["receptive_field"] == "all"


def test_info_of_a_convolution_says_how_far_it_looks_back(tmp_path, capsys):
    model = strided_network(Precision.W8A8, Rate(readings=2, first=2), cell=None)
    assert main(["info", str(model.save(tmp_path / "c.edgernn"))]) == 0
    assert "receptive field  the last 7 readings" in capsys.readouterr().out


def test_info_of_windows(tmp_path, capsys):
    model = dataclasses.replace(MODEL, window=Window(steps=9, hop=2))
    path = str(model.save(tmp_path / "w.edgernn"))
    assert main(["info", path]) == 0
    text = capsys.readouterr().out
    answers = "one answer every 2 readings, the first after 3, 1 reading late; the last counts"
    every = "windows of 9 readings, one answer every 2"
    assert f"{every} (inside, {answers}); each window starts from the zero state" in text
    assert "2.5 network steps per reading" in text  # 5 steps of 9 readings and 1 before
    assert main(["info", path, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["stream"]["steps_per_reading"] == 2.5
    assert record["receptive_field"] == 9
