"""Recipes by name and in files; every recipe trains on small files of its data set's format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgernn.errors import DataUnavailable, TrainingError
from edgernn_export.training import find_recipe, recipe_files, recipe_names
from edgernn_export.training.recipe_files import recipes_folder

ROOT = Path(__file__).parents[3]
NAMES = (
    "anomaly", "caption", "char_lm", "ett", "etth1", "fraud", "fsdd", "hapt", "hapt_binary",
    "name_tags", "price", "price_textbook", "sentiment", "soil_moisture", "spoken_digit",
    "transliterate", "transliterate_plain", "turbofan", "vad",
)  # fmt: skip
#: Recipes that make their data.
GENERATED = ("fraud", "name_tags")
GOOD = """
from tests.support.training.training_runs import classifier
RECIPE = classifier()
"""


def test_the_recipes_of_the_package() -> None:
    assert recipe_names() == NAMES
    assert recipes_folder() == ROOT / "export" / "recipes"
    assert all(find_recipe(name).name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_file_says_what_to_type(name: str) -> None:
    path = recipes_folder() / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    assert f"python export/recipes/{name}.py --seed 0 -o build/{name}\n" in text
    assert f"edgernn train {name} " in text
    found, known = find_recipe(str(path)), find_recipe(name)
    assert (found.name, found.title) == (known.name, known.title)
    assert (found.network, found.training) == (known.network, known.training)


def test_a_recipe_file_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, recipes_folder() / "fsdd.py", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: edgernn train ")


def test_the_wheel_carries_the_recipes_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgernn_export/recipes").mkdir(parents=True)
    (tmp_path / "edgernn_export/recipes/mine.py").touch()
    monkeypatch.setattr(recipe_files, "__file__", str(tmp_path / "edgernn_export/training/x.py"))
    assert recipe_names() == ("mine",)


def test_a_recipe_in_a_users_file(tmp_path: Path) -> None:
    path = tmp_path / "my recipe.py"
    path.write_text(GOOD, encoding="utf-8")
    assert find_recipe(str(path)).name == "ramps"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"mine\.py: expected RECIPE to be a Recipe, got NoneType\. Write: RECIPE = Recipe\("),
        ("RECIPE = 'hapt'", "expected RECIPE to be a Recipe, got str"),
        ("RECIPE =", r"mine\.py: expected a Python file that runs, got SyntaxError: invalid"),
        ("1 / 0", "got ZeroDivisionError: division by zero"),
    ],
)
def test_files_without_a_recipe_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=words):
        find_recipe(str(path))


def test_unknown_recipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"one of anomaly, caption, char_lm, ett, .* \.py, got 'hopt'"
    ):
        find_recipe("hopt")
    with pytest.raises(TrainingError, match=r"expected an existing file, got '.*none\.py'"):
        find_recipe(str(tmp_path / "none.py"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GENERATED])
def test_missing_data_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = find_recipe(name)
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    with pytest.raises(DataUnavailable, match=r"got none \(in .*Public home: .*license: "):
        recipe.load()
    monkeypatch.delenv("EDGERNN_DATA")
    with pytest.raises(DataUnavailable, match="Run: export EDGERNN_DATA=FOLDER"):
        recipe.load()
