"""A recipe from data to files: train, prune, quantize, score, export."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.errors import TrainingError
from edgernn.model import IntegerModel
from edgernn_export.datasets import Dataset
from edgernn_export.exporting import export
from edgernn_export.quantize import quantize
from edgernn_export.training.compression import pruning_callback
from edgernn_export.training.evaluating import evaluate
from edgernn_export.training.loop import TrainingResult, train
from edgernn_export.training.recipe import Network, Recipe, check_count

#: Parts that models are scored on, in this order.
SCORED: Final = ("validation", "test")
_STEPS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to make of a recipe.

    Attributes:
        seed: of the training.
        network: size; None takes the recipe's.
        epochs: None takes the recipe's.
        density: share of recurrent weights that stay; None prunes nothing.
        pattern: of the pruning.
        precision: of the integer model.
        formats: beside .keras and .edgernn: keys of `edgernn_export.writers.WRITERS`.
        out: folder for everything, made if missing.
    """

    seed: int
    network: Network | None
    epochs: int | None
    density: float | None
    pattern: str
    precision: str
    formats: tuple[str, ...]
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a recipe gave.

    Attributes:
        training: how the training went.
        densities: share of weights that are not zero, per matrix and gate; empty if not pruned.
        scores: metrics by model ("float", then the precision) and part.
        files: by format, "keras" and "edgernn" first.
    """

    training: TrainingResult
    densities: Mapping[str, Mapping[str, float]]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    files: Mapping[str, Path]


def produce(recipe: Recipe, data: Dataset, order: Order) -> Outcome:
    """Train, compress and export, saying on stderr which step is on.

    Args:
        recipe: what to train.
        data: its data set.
        order: see `Order`.

    Raises:
        TrainingError, PruningError, QuantizationError: a setting is refused.
        OSError: a file could not be written.
    """
    _check(order)
    order.out.mkdir(parents=True, exist_ok=True)
    _say(1, f"train {recipe.name}: {recipe.title}")
    pruning = _pruning(recipe, data, order)
    network, training = train(
        recipe,
        order.seed,
        data=data,
        network=order.network,
        epochs=order.epochs,
        callbacks=pruning,
    )
    network.save(order.out / f"{recipe.name}.keras")
    _say(2, f"quantize to {order.precision}")
    model = quantize(
        network,
        data.calibration(),
        order.precision,
        **data.labels(),
        name=recipe.name,
        seeds=[("training", order.seed)],
        progress=False,
    )
    _say(3, "write the files")
    files = _write(recipe, model, order)
    _say(4, "score the float model")
    scores = {"float": _scores(network, recipe, data)}
    _say(5, f"score the {order.precision} model")
    scores[order.precision] = _scores(model, recipe, data)
    return Outcome(
        training=training,
        densities=pruning[0].densities() if pruning else {},
        scores=scores,
        files=files,
    )


def _check(order: Order) -> None:
    """Refuse before the training what would be refused after it."""
    if order.epochs is not None:
        check_count("--epochs", order.epochs)
    from edgernn_export.writers import open_writer

    for wanted in order.formats:
        open_writer(wanted)
    if order.out.exists() and not order.out.is_dir():
        raise TrainingError(f"--out: expected a folder, got the file '{order.out}'.")


def _pruning(recipe: Recipe, data: Dataset, order: Order) -> list[Any]:
    if order.density is None:
        return []
    return [pruning_callback(recipe, data, order.density, order.pattern, order.epochs)]


def _write(recipe: Recipe, model: IntegerModel, order: Order) -> dict[str, Path]:
    files = {
        "keras": order.out / f"{recipe.name}.keras",
        "edgernn": model.save(order.out / f"{recipe.name}.edgernn"),
    }
    if order.formats:
        files |= export(model, order.out, order.formats, name=recipe.name)
    return files


def _scores(model: Any, recipe: Recipe, data: Dataset) -> dict[str, dict[str, float]]:
    return {part: evaluate(model, recipe, part=part, data=data) for part in SCORED}


def _say(number: int, what: str) -> None:
    print(f"[{number}/{_STEPS}] {what}", file=sys.stderr, flush=True)
