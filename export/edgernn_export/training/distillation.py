"""Distil a recipe's network from a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgernn_export.compress.distillation.distiller import distiller_class
from edgernn_export.datasets import Dataset
from edgernn_export.training.loop import TrainingResult, train
from edgernn_export.training.recipe import Network, Recipe


def distill(
    recipe: Recipe,
    teacher: Any,
    *,
    network: Network | None = None,
    seed: int = 0,
    data: Dataset | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    callbacks: Sequence[Any] = (),
    progress: bool = True,
    **options: Any,
) -> tuple[Any, TrainingResult]:
    """Train a recipe's network as `train` does, with a teacher beside the labels.

    The teacher answers once for the whole train part, before the first epoch.

    Args:
        recipe: what to learn and how.
        teacher: a trained keras.Model with the recipe's inputs and outputs.
        network: size of the student; default the recipe's.
        seed: of initial weights, order of examples and noise.
        data: the recipe's data set; None loads it.
        epochs: passes over the examples; default the recipe's.
        learning_rate: its start; default the recipe's.
        callbacks: Keras callbacks that change weights.
        progress: show a bar on stderr.
        options: further arguments of `Distiller`, as ``temperature``.

    Returns:
        The student with the weights of its best epoch, a plain keras.Model, and a record.

    Raises:
        DataUnavailable: the data set is missing or damaged.
        DistillationError: the teacher does not fit, or an option is refused.
        TrainingError: a setting is refused, or no epoch may be kept.
    """
    data = recipe.load() if data is None else data
    given: dict[str, Any] = {"task": "classes" if data.classes else "values", "precompute": True}

    def learner(student: Any) -> Any:
        return distiller_class()(student, teacher, **(given | options))

    return train(
        recipe,
        seed,
        data=data,
        network=network,
        epochs=epochs,
        learning_rate=learning_rate,
        callbacks=callbacks,
        learner=learner,
        progress=progress,
    )
