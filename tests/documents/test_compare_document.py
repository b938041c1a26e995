"""compare.md: its commands and its program run, and those with other data parse."""

import shlex

import pytest

from edgernn.bench.file_sizes import C_WEIGHTS
from edgernn.cli import main
from edgernn.cli.commands import command_parser
from edgernn.model.formats import Precision
from tests.support.documents import blocks, commands, run_python
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model

DOCUMENT = "docs/guides/compare.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random_model("gru_after", Precision.W8A8, outputs=1).save("small.edgernn")
    random_model("lstm", Precision.W8A16, outputs=1, units=24).save("large.edgernn")
    return tmp_path


@pytest.mark.tf
@pytest.mark.slow
def test_commands_run(folder, capsys):
    for core in ("cortex-m4", "rv32imc"):
        core_named(core)
    found = commands(DOCUMENT)
    for command in found:
        assert main(shlex.split(command)[1:]) == 0, command
    printed = capsys.readouterr().out
    assert len(found) == 2 and "ESP32-C3-DevKitM-1 (esp32-c3), rv32imc" in printed
    for label in (".tflite, gzip [B]", "µs per step, median", f"{C_WEIGHTS} [B]"):
        assert f"\n{label} " in printed


@pytest.mark.tf
@pytest.mark.slow
def test_the_program_runs(folder):
    core_named("cortex-m4")
    (program,) = [block for block in blocks(DOCUMENT) if block.language == "python"]
    done = run_python(program.text, folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_other_commands_parse():
    lines = [
        line
        for block in blocks(DOCUMENT)
        if block.language == "text"
        for line in block.text.splitlines()
        if line.startswith("edgernn ")
    ]
    assert len(lines) == 2
    for line in lines:
        command_parser("compare").parse_args(shlex.split(line)[2:])
