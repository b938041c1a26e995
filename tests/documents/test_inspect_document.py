"""The commands and programs of docs/guides/inspect.md run, on small models."""

import shlex
import shutil

import pytest

from edgernn.cli import main
from tests.support.documents import ROOT, blocks, commands

pytestmark = [pytest.mark.tf, pytest.mark.slow]
DOCUMENT = "docs/guides/inspect.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import keras

    made = tmp_path_factory.mktemp("inspect")
    demo = made / "build" / "demo"
    demo.mkdir(parents=True)
    for name in ("demo.edgernn", "demo_readings.csv"):
        shutil.copy(ROOT / "edgernn" / "data" / name, demo / name)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((None, 1)), keras.layers.GRU(6), keras.layers.Dense(1)]
    keras.Sequential(layers).save(demo / "demo.keras")
    return made


@pytest.mark.parametrize("command", commands(DOCUMENT))
def test_commands_run(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = shlex.split(command)
    assert main(words[1:]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 2
    assert (folder / words[words.index("-o") + 1]).read_bytes().startswith(b"\x89PNG")


def test_the_programs_run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    programs = [block for block in blocks(DOCUMENT) if block.language == "python"]
    assert len(programs) == 2
    for block in programs:
        exec(compile(block.text, block.document, "exec"), {})
    assert "bias 1" in capsys.readouterr().out


def test_the_table_of_gates_is_the_one_on_the_page(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(shlex.split(commands(DOCUMENT)[0])[1:]) == 0
    (shown,) = [block.text for block in blocks(DOCUMENT) if block.language == "text"]
    assert shown.strip() == capsys.readouterr().out.strip()
