"""The commands and the program of docs/recipes/translation.md run, on small data."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from edgernn.cli import main
from tests.support.documents import blocks, commands
from tests.support.training.data_files import ROWS, write_recordings, write_words

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")]
DOCUMENT = "docs/recipes/translation.md"
#: Spellings that the program reads.
SPOKEN = [("namaste", "नमस्ते"), ("bharat", "भारत")]


def test_the_commands_and_the_program_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    rows = [*ROWS, *SPOKEN] * 3
    write_words(tmp_path / "dakshina_hi", rows, rows[:20])
    write_recordings(tmp_path, speakers=("ada",))
    for command in commands(DOCUMENT):
        small = ["--epochs", "2", "--units", "8"] if " train " in command else []
        few = ["--backends", "native"] if " verify " in command else []
        assert main([*shlex.split(command)[1:], *small, *few]) == 0, capsys.readouterr().err
    for name in ("transliterate.encode.onnx", "transliterate.tflite"):
        assert Path(f"build/transliterate/{name}").is_file()
    assert Path("build/transliterate/transliterate_shares.png").stat().st_size > 1000
    words = json.loads(Path("build/caption/caption_words.json").read_text())
    assert words == ["", "ada", "says", *words[3:]]
    capsys.readouterr()
    (program,) = (block for block in blocks(DOCUMENT) if block.language == "python")
    exec(compile(program.text, DOCUMENT, "exec"), {})
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert set(said) == {"namaste", "bharat"}
