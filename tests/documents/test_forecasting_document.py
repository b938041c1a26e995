"""The commands of docs/recipes/forecasting.md, on made-up readings."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn_export.datasets import soil_moisture
from tests.support.documents import ROOT, blocks
from tests.support.training.soil_files import drying, write_readings, write_record

pytestmark = [pytest.mark.tf, pytest.mark.long]

DOCUMENT = "docs/recipes/forecasting.md"


def commands():
    text = "\n".join(b.text for b in blocks(DOCUMENT) if b.language == "text")
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if line]


def test_from_training_to_alarms_and_a_bundle(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    write_record(tmp_path, drying(seed=8))
    write_readings(Path("garden.csv"), drying(seed=9), refill=12.0)
    (config,) = [b.text for b in blocks(DOCUMENT) if b.language == "toml"]
    Path("serve.toml").write_text(config, encoding="utf-8")
    done = []
    for program, *arguments in commands():
        assert program == "edgernn"
        if arguments[:2] == ["train", "ett"]:
            continue  # its data are large; tests of the recipe train it
        few = ["--epochs", "1"] if arguments[0] == "train" else []
        arguments = [one for one in arguments if one != "--emulate"]  # tests of boards emulate
        # An untrained network may miss the share of accuracy that bench checks.
        wanted = (0, 1) if arguments[0] == "bench" else (0,)
        assert main([*arguments, *few]) in wanted, capsys.readouterr().err
        done.append(arguments[0])
    assert done == ["train", "train", "serve", "deploy", "bench", "simulate", "train", "train"]
    assert subprocess.run([sys.executable, "out/smoke_test.py"], check=False).returncode == 0

    # The service answers what the model answers to the prepared test part.
    task = soil_moisture()
    found = {}
    for line in Path("forecasts.jsonl").read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        found.setdefault(result["key"], []).append(result)
    assert set(found) == {"SENS0", "SENS1"}
    with edgernn.load("soil/soil_moisture.edgernn") as session:
        for number, answers in enumerate(found[name] for name in sorted(found)):
            # A replayed stream does not know the day before it: changes begin at 0.
            session.reset()
            xs = np.array([[one[name] for name in task.input_names] for one in answers])
            later = slice(24, task.test.x.shape[1])
            np.testing.assert_allclose(xs[later], task.test.x[number, later], atol=1e-9)
            wanted = session.run(xs)
            got = np.array([[one[name] for name in task.output_names] for one in answers])
            np.testing.assert_array_equal(got, wanted)
            assert {one["irrigate"] for one in answers} <= {True, False}


def test_the_recipe_reads_what_the_example_writes(tmp_path):
    folder = ROOT / "docs/examples/soil-moisture"
    command = [sys.executable, str(folder / "make_data.py")]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    readme = (folder / "README.md").read_text(encoding="utf-8")
    options = re.search(r"train soil_moisture --set readings=(\S+) --set zone=(\S+) ", readme)
    assert options is not None
    task = soil_moisture(readings=str(tmp_path / options[1]), zone=options[2])
    assert task.train.x.shape[0] == 8
    assert np.isfinite(task.test.x).all()


def test_the_table_has_the_stored_figures():
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    record = json.loads((ROOT / "benchmarks/results/recipes/soil_moisture.json").read_text("utf-8"))
    runs = [run["scores"] for run in record["runs"].values()]
    for model in ("float", "w8a8", "w8a16"):
        cells = [
            f"{np.mean([run[model]['test'][key] for run in runs]):{form}}"
            for key, form in (
                ("mae_1h", ".4f"), ("mae_24h", ".3f"), ("alarm_precision", ".1%"),
                ("alarm_recall", ".1%"), ("lead_h", ".0f"),
            )
        ]  # fmt: skip
        name = "float network" if model == "float" else f"`{model}`"
        assert f"| {name} | {' | '.join(cells)} |" in text
