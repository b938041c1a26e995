"""Train recipes, and your own networks on streams.

A recipe is a data set, a network, the settings that worked, and one metric for all models:

    from edgernn_export.training import evaluate, find_recipe, train

    recipe = find_recipe("hapt")
    model, result = train(recipe, seed=0)
    print(evaluate(model, recipe))

Your own networks and streams:

    from edgernn_export.training import fit_stateful, to_stream, walk_forward, windows

    examples = windows(stream, 24, horizon=1, targets=stream)
    endless, result = to_stream(network, stream)

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
from edgernn_export.training.networks import (
    build_network,
    build_sentence_network,
    build_text_network,
    clipping,
)
from edgernn_export.training.pipeline import quantized
from edgernn_export.training.programs.sequences import SequenceMethod
from edgernn_export.training.recipe import Network, Recipe, Training
from edgernn_export.training.recipe_files import find_recipe, recipe_names
from edgernn_export.training.streams.buckets import equal_lengths, length_buckets
from edgernn_export.training.streams.chunks import (
    Pieces,
    StatefulBatch,
    cut_pieces,
    stateful_batches,
)
from edgernn_export.training.streams.cut_windows import WindowExamples, windows
from edgernn_export.training.streams.folds import walk_forward
from edgernn_export.training.streams.truncated import StatefulTraining, fit_stateful
from edgernn_export.training.streams.tuning import StreamTuning, to_stream

__all__ = [
    "Network",
    "Pieces",
    "Recipe",
    "SequenceMethod",
    "StatefulBatch",
    "StatefulTraining",
    "StreamTuning",
    "Training",
    "TrainingResult",
    "WindowExamples",
    "build_network",
    "build_sentence_network",
    "build_text_network",
    "calibration",
    "clipping",
    "cut_pieces",
    "distill",
    "equal_lengths",
    "evaluate",
    "find_recipe",
    "fit_stateful",
    "length_buckets",
    "outputs",
    "pruning_callback",
    "quantized",
    "recipe_names",
    "stateful_batches",
    "to_stream",
    "train",
    "train_integers",
    "training_data",
    "updates",
    "walk_forward",
    "windows",
]
