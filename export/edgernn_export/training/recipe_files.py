"""Recipes by name, and those in files of users."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Final

from edgernn.errors import EdgeRnnError, TrainingError
from edgernn_export.training.recipe import Recipe

#: What a recipe file must define.
RECIPE: Final = "RECIPE"
#: Other names of recipes: what textbooks call the task.
ALIASES: Final = {"activity": "hapt"}


def recipes_folder() -> Path:
    """The folder of the recipes: inside an installed package, next to it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with edgernn."""
    return tuple(sorted(path.stem for path in recipes_folder().glob("*.py")))


def find_recipe(source: str) -> Recipe:
    """A recipe by its name, or from a Python file that defines RECIPE.

    Args:
        source: a name among `recipe_names` or `ALIASES`, or a path ending in .py. The file is
            executed.

    Raises:
        TrainingError: there is no such recipe, or the file defines none.
    """
    if source.endswith(".py"):
        path = Path(source)
        if not path.is_file():
            raise TrainingError(f"recipe: expected an existing file, got '{source}'.")
    elif (name := ALIASES.get(source, source)) in recipe_names():
        path = recipes_folder() / f"{name}.py"
    else:
        raise TrainingError(
            f"recipe: expected one of {', '.join(recipe_names())}, or a file ending in .py, got "
            f"'{source}'."
        )
    recipe = getattr(_executed(path), RECIPE, None)
    if not isinstance(recipe, Recipe):
        raise TrainingError(
            f"{path.name}: expected {RECIPE} to be a Recipe, got {type(recipe).__name__}. "
            "Write: RECIPE = Recipe(...), with Recipe from edgernn_export.training."
        )
    return recipe


def _executed(path: Path) -> ModuleType:
    name = f"edgernn_recipe_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # not with a name that ends in .py
        raise TrainingError(f"{path.name}: expected a Python file, got another file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (EdgeRnnError, ImportError):
        raise
    except Exception as error:
        raise TrainingError(
            f"{path.name}: expected a Python file that runs, got {type(error).__name__}: {error}."
        ) from error
    return module
