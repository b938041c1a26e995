"""Train a recipe with one seed, and score the float network and its integer models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from benchmarks.pages.markdown import Record
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.datasets import Dataset
from edgernn_export.training import Recipe, evaluate, quantized, train

#: Precisions that every network is quantized to; the costs are those of the recipe's own.
PRECISIONS: Final = ("w8a8", "w8a16")
PARTS: Final = ("validation", "test")


def facts(recipe: Recipe, data: Dataset) -> Record:
    """What the figures of all seeds have in common."""
    return {
        "recipe": recipe.name,
        "title": recipe.title,
        "network": "",
        "inputs": len(data.input_names),
        "outputs": len(data.output_names),
        "step_ms": data.step_ms,
        "parameters": 0,
        "epochs": recipe.training.epochs,
        "metric": data.metric,
        "rising": data.rising,
        "naive": recipe.method.naive(data)
        if recipe.method is not None
        else {rule: data.score(answer, data.test) for rule, answer in naive(data).items()},
        "runs": {},
        "costs": {},
    }


def run(
    recipe: Recipe, data: Dataset, seed: int
) -> tuple[Record, Record, IntegerModel | ProgramSet]:
    """One training.

    Returns:
        Facts about the network, the entry of this seed, and the integer model or the programs
        of the recipe's precision.
    """
    network, result = train(recipe, seed, data=data)
    models = {
        precision: quantized(recipe, network, data, precision, seed) for precision in PRECISIONS
    }
    scores = {
        name: {part: evaluate(model, recipe, part=part, data=data) for part in PARTS}
        for name, model in {"float": network, **models}.items()
    }
    entry = {"best_epoch": result.best_epoch, "seconds": result.seconds, "scores": scores}
    known = {"network": described(network), "parameters": result.parameters}
    return known, entry, models[recipe.precision]


def naive(data: Dataset) -> Mapping[str, FloatArray]:
    """Rules without a model: name -> outputs [B, T, O] for the test part.

    Those of the data set or, if it has none: constant logits, the logarithms of the train
    frequencies, for classes; for forecasts no change or, where nothing is known at a step
    (``base`` is 0), the mean of the train part.
    """
    if data.naive:
        return data.naive
    train_part, part = data.train, data.test
    shape = (*part.x.shape[:2], len(data.output_names))
    if data.classes:
        counted = Counter(train_part.scored(train_part.target)[..., 0].astype(int).tolist())
        # A class that the train part lacks has half a case, so that its logarithm is finite.
        logits = np.log([counted.get(number, 0.5) for number in range(shape[2])])
        return {"train frequencies": np.broadcast_to(logits, shape)}
    if np.any(part.base):
        return {"no change": np.zeros(shape)}
    mean = train_part.scored(train_part.target).mean(axis=0)
    return {"mean of the train part": np.broadcast_to(mean, shape)}


def described(network: Any) -> str:
    """The recurrent layers of a Keras network and whether it has attention, in a few words."""
    names = [name for layer in network.layers if (name := _layer_name(layer))]
    runs: list[tuple[str, int]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = name, runs[-1][1] + 1
        else:
            runs.append((name, 1))
    said = [name if count == 1 else f"{count} x {name}" for name, count in runs]
    if any("Attention" in type(layer).__name__ for layer in network.layers):
        said.append("attention")
    return ", ".join(said)


def _layer_name(layer: Any) -> str:
    """Kind and units of a recurrent layer; "" of any other."""
    inner = getattr(layer, "forward_layer", None)
    if inner is not None:
        return f"Bi{_layer_name(inner)}"
    cell = getattr(layer, "cell", None)
    if cell is None:
        return ""
    kind = type(layer).__name__
    name = type(cell).__name__.removesuffix("Cell") if kind == "RNN" else kind
    return f"{name}-{getattr(cell, 'units', '?')}"
