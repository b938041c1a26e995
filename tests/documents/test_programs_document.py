"""The programs and the commands of docs/guides/programs.md run as the page says."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.verification.executors import runtimes
from tests.support.documents import blocks, commands
from tests.support.models.programs import pair

DOCUMENT = "docs/guides/programs.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the models of the page lie, and the set that it makes of them."""
    monkeypatch.chdir(tmp_path)
    for model in pair().programs:
        model.save(tmp_path / f"{model.name}.edgernn")
    _, _, making = (block for block in blocks(DOCUMENT) if block.language == "python")
    exec(compile(making.text, DOCUMENT, "exec"), {})
    return tmp_path


@pytest.mark.device
def test_the_session_runs(folder, capsys):
    assert ProgramSet.load(folder / "pair.edgernn") == pair()
    session, *_ = (block for block in blocks(DOCUMENT) if block.language == "python")
    names: dict[str, object] = {}
    exec(compile(session.text, DOCUMENT, "exec"), names)
    said = [line.split("  # ")[1] for line in session.text.splitlines() if "print(" in line]
    assert capsys.readouterr().out.splitlines() == said
    assert np.isfinite(names["y"]).all()  # type: ignore[call-overload]


def test_the_network_from_keras_forecasts(tmp_path, monkeypatch):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    monkeypatch.chdir(tmp_path)
    _, program, _ = (block for block in blocks(DOCUMENT) if block.language == "python")
    names: dict[str, object] = {"edgernn": edgernn}
    exec(compile(program.text, DOCUMENT, "exec"), names)
    difference, answers = (np.array(names[name]) for name in ("difference", "forecasts"))
    assert difference.shape == answers.shape == (50, 12, 1)
    assert 0.0 < np.sqrt(np.mean(difference**2)) < 0.1 * answers.std()


def test_the_commands_run(folder, capsys):
    (folder / "readings.csv").write_text("0.5,1,-0.25\n1.5,0,0.25\n")
    for command in commands(DOCUMENT):
        # What every runtime answers is compared in tests/export/verification.
        runtime = "tflite-runtime" if ".tflite " in command else "native"
        assert runtime in runtimes()
        few = ["--backends", runtime, "--steps", "9"] if " verify " in command else []
        assert main([*command.split()[1:], *few]) == 0, command
    assert "differing values: 0" in capsys.readouterr().out
