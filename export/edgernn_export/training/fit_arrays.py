"""What a network is fitted to: arrays cut from the parts that it learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn_export.datasets import Dataset, Part
from edgernn_export.training.recipe import Recipe

Examples = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]


def training_data(recipe: Recipe, data: Dataset) -> Examples:
    """Inputs and targets for `keras.Model.fit`.

    Returns:
        x float32 [N, T, I]; y int64 [N], the class of each stream, or float32 [N, T, O], what a
        forecaster has to say at each step (target - base, physical units).

    Raises:
        TrainingError: the train streams are shorter than one window, or a forecaster is to keep its
            last epoch.
    """
    parts = _learnt(recipe, data)
    if data.classes:
        x = np.concatenate([part.x for part in parts]).astype(np.float32)
        return x, np.concatenate([part.target[:, -1, 0] for part in parts]).astype(np.int64)
    (part,) = parts
    starts = _starts(recipe, part.x.shape[1])
    steps = recipe.training.window_steps or part.x.shape[1]
    wanted = part.target - part.base
    x, y = (
        np.concatenate([values[:, at : at + steps] for at in starts]).astype(np.float32)
        for values in (part.x, wanted)
    )
    return x, y


def updates(recipe: Recipe, data: Dataset, epochs: int | None = None) -> int:
    """Training batches of a whole training.

    Args:
        recipe: says how examples are cut.
        data: its data set.
        epochs: default those of the recipe.
    """
    streams = sum(len(part.x) for part in _learnt(recipe, data))
    steps = data.train.x.shape[1]
    examples = streams if data.classes else streams * len(_starts(recipe, steps))
    batches = math.ceil(examples / recipe.training.batch)
    return batches * (recipe.training.epochs if epochs is None else epochs)


def _learnt(recipe: Recipe, data: Dataset) -> tuple[Part, ...]:
    """The train part; the validation part too where it has nothing to choose."""
    if recipe.training.keep == "best":
        return (data.train,)
    if not data.classes:
        raise TrainingError(
            f"recipe {recipe.name}, training keep: expected best for a forecaster, got "
            f"{recipe.training.keep}: its validation part continues the train part and is not "
            "used for training."
        )
    return data.train, data.validation


def _starts(recipe: Recipe, steps: int) -> range:
    """First steps of the windows that fit into streams of ``steps`` steps."""
    window = recipe.training.window_steps or steps
    if steps < window:
        raise TrainingError(
            f"recipe {recipe.name}: expected train streams of at least {window} steps "
            f"(window_steps), got {steps}."
        )
    return range(0, steps - window + 1, recipe.training.stride_steps)
