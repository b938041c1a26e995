"""Train recipes: a data set, a network, the settings that worked, and one metric for all models.

    from edgernn_export.training import evaluate, find_recipe, train

    recipe = find_recipe("hapt")
    model, result = train(recipe, seed=0)
    print(evaluate(model, recipe))

Importing this package loads NumPy only; Keras is imported on use.
"""

from __future__ import annotations

from edgernn_export.training.compression import (
    calibration,
    distill,
    pruning_callback,
    train_integers,
)
from edgernn_export.training.evaluation import evaluate, outputs
from edgernn_export.training.fit_arrays import training_data, updates
from edgernn_export.training.loop import TrainingResult, train
from edgernn_export.training.networks import build_network
from edgernn_export.training.recipe import Network, Recipe, Training
from edgernn_export.training.recipe_files import find_recipe, recipe_names

__all__ = [
    "Network",
    "Recipe",
    "Training",
    "TrainingResult",
    "build_network",
    "calibration",
    "distill",
    "evaluate",
    "find_recipe",
    "outputs",
    "pruning_callback",
    "recipe_names",
    "train",
    "train_integers",
    "training_data",
    "updates",
]
