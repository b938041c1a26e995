"""The guides on preparations and decisions do what they say, on generated and on real readings."""

from __future__ import annotations

import csv
import io
import lzma
import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgernn.decide.decisions import DECISIONS
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.preparation import STEPS, Preparation
from tests.support.documents import ROOT, blocks, commands, run_command

PREPARATION, DECIDING = "docs/guides/preparation.md", "docs/guides/decisions.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the files of the pages lie."""
    monkeypatch.chdir(tmp_path)
    for document in (PREPARATION, DECIDING):
        for block in blocks(document):
            if block.title:
                (tmp_path / block.title).write_text(block.text)
    return tmp_path


def run_page(folder):
    """All programs and commands of the page on preparations; the answers of its last command."""
    first, second = (block for block in blocks(PREPARATION) if block.language == "python")
    names: dict[str, object] = {}
    exec(compile(first.text, PREPARATION, "exec"), names)
    said = [run_command(command, folder) for command in commands(PREPARATION)]
    assert [done.returncode for done in said] == [0, 0, 0], said
    assert "raw channels  temperature, humidity" in said[1].stdout
    exec(compile(second.text, PREPARATION, "exec"), {})
    model = IntegerModel.load(folder / "temperature.edgernn")
    assert model.preparation == Preparation.from_file("preparation.toml")
    with (folder / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    return names["readings"], answers


@pytest.mark.tf
@pytest.mark.slow
def test_every_program_of_the_page_runs(folder):
    readings, answers = run_page(folder)
    assert len(answers) == len(readings.x)
    assert readings.counts["gaps"] == readings.counts["late"] == 0
    forecasts = np.array([float(row["next_temperature"]) for row in answers])
    differences = forecasts[500:-1] - readings.x[501:, 0]
    steps = np.diff(readings.x[500:, 0])  # what the last value as the forecast would miss
    assert np.mean(differences**2) < np.mean(steps**2)


@pytest.mark.tf
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.skipif("EDGERNN_DATA" not in os.environ, reason="needs the soil moisture readings")
def test_the_page_on_readings_of_soil_moisture(folder):
    path = Path(os.environ["EDGERNN_DATA"]) / "soil_moisture_simpact/sopivot+idx.csv.xz"
    rows = list(csv.reader(io.StringIO(lzma.decompress(path.read_bytes()).decode())))[1:]
    start = datetime(2022, 11, 15)
    with (folder / "raw.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["when", "temperature", "humidity"])
        for hour, row in enumerate(rows):
            if hour % 50:  # a probe that misses a reading now and then
                at = start + timedelta(hours=hour)
                table.writerow([at.isoformat(), row[-2], row[-1]])
    readings, answers = run_page(folder)
    assert len(answers) == len(readings.x) > 6 * 1_400
    assert readings.counts["gaps"] > 1_400  # hourly readings in periods of ten minutes


def test_decisions_find_what_the_page_says(folder, capsys):
    (program,) = (block for block in blocks(DECIDING) if block.language == "python")
    names: dict[str, object] = {}
    exec(compile(program.text, DECIDING, "exec"), names)
    alarms, last = capsys.readouterr().out.splitlines()
    found = [int(t) for t in alarms.strip("[]").split(", ")]
    assert found
    assert min(found) == 2_200
    assert max(found) < 2_225
    assert "'drift': False" in last


@pytest.mark.device
def test_the_pages_name_every_kind():
    steps = (ROOT / PREPARATION).read_text(encoding="utf-8")
    decisions = (ROOT / DECIDING).read_text(encoding="utf-8")
    for kind in STEPS:
        assert f"| `{kind}` |" in steps
    for kind in DECISIONS:
        assert f"**`{kind}`**" in decisions
