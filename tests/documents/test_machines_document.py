"""docs/recipes/machines.md: its commands run, and its figures are those that are stored."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import edgernn
from benchmarks import nab_detectors
from edgernn.cli import main
from edgernn_export.datasets.machines.nab_streams import read_recordings
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
    commands = [shlex.split(line) for line in text.splitlines() if line]
    ours = [arguments for program, *arguments in commands if program == "edgernn"]
    assert len(ours) == 2
    for arguments in ours:
        assert main([*arguments, "--epochs", "1"]) == 0
        with edgernn.load(tmp_path / f"build/{arguments[1]}/{arguments[1]}.edgernn") as session:
            assert session.interface.name == arguments[1]


def test_the_rows_of_published_detectors_are_those_of_their_command(tmp_path, monkeypatch, capsys):
    """The command itself, on files that are like NAB's; the figures need NAB's own."""
    (command,) = [
        shlex.split(line)
        for block in blocks(DOCUMENT)
        for line in block.text.splitlines()
        if line.startswith("python -m benchmarks.")
    ]
    streams = spiky_streams(2, 600)
    write_nab(tmp_path, streams)
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = Path(command[-1])
    for one in read_recordings():
        realm, _, name = one.name.partition("/")
        path = folder / realm / f"{folder.name}_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{value},{value}\n" for value in one.values)
        path.write_text(f"value,anomaly_score\n{rows}", encoding="utf-8")
    assert command[:3] == ["python", "-m", nab_detectors.__name__]
    assert nab_detectors.main(command[3:]) == 0
    assert capsys.readouterr().out.startswith("randomCutForest ")


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
