"""The recipe, the program and the commands in docs/guides/recipes.md run."""

import re
import shlex
from functools import partialmethod
from pathlib import Path

import pytest

import edgernn
from benchmarks.pages.recipes import measured
from edgernn.cli import main
from edgernn_export.training import find_recipe, recipe_names
from edgernn_export.training.recipe_files import ALIASES
from tests.support.documents import ROOT, blocks
from tests.support.training.data_files import write_people, write_recordings

pytestmark = pytest.mark.tf

DOCUMENT = "docs/guides/recipes.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the user's recipe of the document."""
    recipe, _ = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    (tmp_path / "my_recipe.py").write_text(recipe, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_program_runs(folder, capsys):
    _, program = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    names = {}
    exec(compile(program, DOCUMENT, "exec"), names)
    scores = names["evaluate"](Path("levels.edgernn"), names["recipe"])
    assert scores["accuracy"] >= 0.9
    assert f"{names['result'].best_epoch} {names['result'].validation}\n" in capsys.readouterr().out


@pytest.mark.long
def test_the_commands_run(folder, monkeypatch, capsys):
    import keras

    write_people(folder)
    write_recordings(folder, speakers=("ada",))
    monkeypatch.setenv("EDGERNN_DATA", str(folder))
    # XLA would compile the integers for longer than they train.
    monkeypatch.setattr(
        keras.Model, "compile", partialmethod(keras.Model.compile, jit_compile=False)
    )
    text = next(block.text for block in blocks(DOCUMENT) if block.language == "text")
    commands = [shlex.split(line) for line in text.splitlines()]
    assert len(commands) == 6
    for program, *arguments in commands:
        assert program == "edgernn"
        few = () if "--list" in arguments else ("--epochs", "4")
        assert main([*arguments, *few]) == 0, capsys.readouterr().err
    for name in ("fsdd/fsdd", "hapt/hapt", "levels/levels"):
        assert edgernn.load(f"build/{name}.edgernn").interface.name == name.partition("/")[2]
    assert Path("build/hapt/hapt.tflite").is_file()


def test_every_recipe_has_a_row_and_figures():
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`(?:, also called `(\w+)`)? \| ([^|(]*)", text, re.MULTILINE)
    assert {name: learns.strip() for name, _, learns in rows} == {
        name: find_recipe(name).title for name in recipe_names()
    }
    assert {other: name for name, other, _ in rows if other} == ALIASES
    assert all(find_recipe(other).name == name for other, name in ALIASES.items())
    assert {*measured()} == {*recipe_names()}


@pytest.mark.parametrize("name", measured())
def test_stored_figures_are_those_of_the_recipe(name):
    record, recipe = measured()[name], find_recipe(name)
    assert (record["recipe"], record["title"]) == (name, recipe.title)
    assert record["epochs"] == recipe.training.epochs
    assert record["step_ms"] is None or record["step_ms"] > 0
    for run in record["runs"].values():
        assert {"float", "w8a8"} <= {*run["scores"]}
        assert all(record["metric"] in run["scores"][model]["test"] for model in run["scores"])
