"""docs/recipes/machines.md: its commands run, and its figures are those that are stored."""

import json
import shlex

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from tests.support.documents import ROOT, blocks
from tests.support.training.machine_files import spiky_streams, write_cmapss, write_nab

DOCUMENT = "docs/recipes/machines.md"
RESULTS = ROOT / "benchmarks/results/recipes"


@pytest.mark.tf
@pytest.mark.long
def test_the_commands_run(tmp_path, monkeypatch):
    write_cmapss(tmp_path, train=(40, 45, 50, 55, 60), test=(31, 45), left=(20, 3))
    write_nab(tmp_path, spiky_streams(3, 1000))
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = "\n".join(block.text for block in blocks(DOCUMENT) if block.language == "text")
    commands = [shlex.split(line) for line in text.splitlines()]
    assert len(commands) == 2
    for program, *arguments in commands:
        assert program == "edgernn"
        assert main([*arguments, "--epochs", "1"]) == 0
        with edgernn.load(tmp_path / f"build/{arguments[1]}/{arguments[1]}.edgernn") as session:
            assert session.interface.name == arguments[1]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("turbofan", {"rmse": ".2f", "rmse_unclipped": ".2f", "nasa_score": ".0f"}),
        (
            "anomaly",
            {"mae": ".3f"} | {f"nab_{n}": ".1f" for n in ("standard", "low_fp", "low_fn", "fixed")},
        ),
    ],
)
def test_figures_are_those_that_are_stored(name, columns):
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    runs = [run["scores"] for run in record["runs"].values()]
    for model in ("float", "w8a8", "w8a16"):
        cells = []
        for key, form in columns.items():
            found = [run[model]["test"][key] for run in runs]
            spread = f" ± {np.std(found, ddof=1):{form}}" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):{form}}{spread}")
        label = "float network" if model == "float" else f"`{model}`"
        assert f"| {label} | {' | '.join(cells)} |" in text
