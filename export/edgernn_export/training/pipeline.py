"""A recipe from data to files: train, prune, quantize, train integers, score, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import say
from edgernn.errors import TrainingError
from edgernn.model.formats import PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.qat import check_backend
from edgernn_export.datasets import Dataset
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.training.compression import pruning_callback, train_integers
from edgernn_export.training.evaluation import evaluate
from edgernn_export.training.loop import TrainingResult, train
from edgernn_export.training.networks import keras_on_cpu
from edgernn_export.training.recipe import Network, Recipe, check_count
from edgernn_export.writers.exporter import export

#: Parts that models are scored on, in this order.
SCORED: Final = ("validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to train and write for a recipe.

    Attributes:
        seed: of the training.
        network: size; None takes the recipe's.
        epochs: None takes the recipe's.
        density: share of recurrent weights that stay; None prunes nothing.
        pattern: of the pruning.
        precision: of the integer model.
        qat_epochs: of quantization-aware training after the other; None leaves it out.
        formats: in addition to .keras and .edgernn: keys of
            `edgernn_export.writers.file_formats.WRITERS`.
        out: folder for everything, made if missing.
    """

    seed: int
    network: Network | None
    epochs: int | None
    density: float | None
    pattern: str
    precision: PrecisionName
    qat_epochs: int | None
    formats: tuple[str, ...]
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeResult:
    """What a recipe gave.

    Attributes:
        training: how the training went.
        qat: how quantization-aware training went; None without it.
        densities: share of weights that are not zero, per matrix and gate; empty if not pruned.
        scores: metrics by model ("float", the precision, "qat" and the precision) and part.
        files: by format, "keras" and "edgernn" first.
    """

    training: TrainingResult
    qat: TrainingResult | None
    densities: Mapping[str, Mapping[str, float]]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    files: Mapping[str, Path]


def produce(recipe: Recipe, data: Dataset, order: Order) -> RecipeResult:
    """Train, compress and export, and print each step on stderr.

    Files are those of the last model: trained as integers if that is requested, else rounded.

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
    tell = _steps(5 if order.qat_epochs is None else 7)
    tell(f"train {recipe.name}: {recipe.title}")
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
    tell(f"quantize to {order.precision}")
    model = _quantize(recipe, network, data, order)
    models, qat = {"float": network, order.precision: model}, None
    if order.qat_epochs is not None:
        tell(f"train the {order.precision} integers")
        model, qat = _train_integers(recipe, network, data, order, order.qat_epochs)
        models[f"qat {order.precision}"] = model
    tell("write the files")
    files = _write(recipe, model, order)
    scores = {}
    for name, scored in models.items():
        tell(f"score the {name} model")
        scores[name] = _scores(scored, recipe, data)
    return RecipeResult(
        training=training,
        qat=qat,
        densities=pruning[0].densities() if pruning else {},
        scores=scores,
        files=files,
    )


def _check(order: Order) -> None:
    """Refuse before the training what would be refused after it."""
    if order.epochs is not None:
        check_count("--epochs", order.epochs)
    if order.qat_epochs is not None:
        check_count("--qat-epochs", order.qat_epochs)
        keras_on_cpu()
        check_backend()
    from edgernn_export.writers.file_formats import open_writer

    for wanted in order.formats:
        open_writer(wanted)
    if order.out.exists() and not order.out.is_dir():
        raise TrainingError(f"--output: expected a folder, got the file '{order.out}'.")


def _pruning(recipe: Recipe, data: Dataset, order: Order) -> list[Any]:
    if order.density is None:
        return []
    return [pruning_callback(recipe, data, order.density, order.pattern, order.epochs)]


def _quantize(recipe: Recipe, network: Any, data: Dataset, order: Order) -> IntegerModel:
    return quantize(
        network,
        data.calibration(),
        order.precision,
        input_range=recipe.input_range,
        **data.labels(),
        stream="endless",  # recipes are scored so
        name=recipe.name,
        seeds=[("training", order.seed)],
        progress=False,
    )


def _train_integers(
    recipe: Recipe, network: Any, data: Dataset, order: Order, epochs: int
) -> tuple[IntegerModel, TrainingResult]:
    """The integers of the network, trained on; what was pruned stays so."""
    callbacks = []
    if order.density is not None:
        from edgernn_export.compress.pruning import MagnitudePruning

        callbacks = [MagnitudePruning(order.density, end_step=0, pattern=order.pattern)]
    return train_integers(
        recipe,
        network,
        order.precision,
        seed=order.seed,
        data=data,
        epochs=epochs,
        callbacks=callbacks,
        seeds=[("training", order.seed)],
    )


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


def _steps(total: int) -> Callable[[str], None]:
    """A function that prints the step that begins."""
    numbers = count(1)

    def tell(what: str) -> None:
        say(f"[{next(numbers)}/{total}] {what}")

    return tell
