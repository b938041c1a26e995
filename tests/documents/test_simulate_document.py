"""simulate.md: its commands run, its program runs, and its example of a board is one."""

import shlex
import shutil
from pathlib import Path

import pytest

import edgernn
from edgernn.cli import main
from tests.support.documents import blocks, commands, run_python
from tests.support.models.hand_made import core_named

DOCUMENT = "docs/guides/simulate.md"
DEMO = Path(edgernn.__file__).parent / "data" / "demo.edgernn"
#: Cores of the commands and of the program.
CORES = ("cortex-m0", "cortex-m4", "rv32imc")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for core in CORES:
        core_named(core)
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEMO, tmp_path / "model.edgernn")
    rows = "\n".join(f"{0.1 * (i % 7)}" for i in range(12))
    (tmp_path / "readings.csv").write_text(f"co2_change\n{rows}\n", encoding="utf-8")
    (board,) = [block for block in blocks(DOCUMENT) if block.language == "toml"]
    (tmp_path / "my-board.toml").write_text(board.text, encoding="utf-8")
    return tmp_path


def test_commands_run_and_the_table_is_what_they_print(folder, capsys):
    printed = {}
    for command in commands(DOCUMENT):
        assert main(shlex.split(command)[1:]) == 0, command
        printed[command] = capsys.readouterr().out
    (several,) = [text for command, text in printed.items() if "nucleo-f446,nrf" in command]
    (table,) = [block for block in blocks(DOCUMENT) if block.language == "text"]
    assert table.text in several
    (own,) = [text for command, text in printed.items() if "my-board.toml" in command]
    assert own.startswith("co2_forecaster w8a8 on My board: cortex-m4\n")


def test_the_program_runs(folder):
    (program,) = [block for block in blocks(DOCUMENT) if block.language == "python"]
    done = run_python(program.text, folder)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["nucleo-f446", "pico"]
