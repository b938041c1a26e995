"""A recipe from data to files: train, prune, quantize, train integers, score, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import say
from edgernn.errors import TrainingError
from edgernn.model.border.symbols import Symbols
from edgernn.model.formats import PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.qat import check_backend, check_network
from edgernn_export.datasets import Dataset
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.training.compression import pruning_callback, quantizer_options, train_integers
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
class Report:
    """What a recipe shows in addition to its scores.

    Attributes:
        text: tables and sentences.
        record: the same for `edgernn train --json`; plain values of JSON.
        files: further ones that were written, by what they are, as "picture".
    """

    text: str
    record: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeResult:
    """What a recipe gave.

    Attributes:
        training: how the training went.
        qat: how quantization-aware training went; None without it.
        densities: share of weights that are not zero, per matrix and gate; empty if not pruned.
        scores: metrics by model ("float", the precision, "qat" and the precision) and part.
        files: by format, "keras" and "edgernn" first.
        report: of a recipe that has one.
    """

    training: TrainingResult
    qat: TrainingResult | None
    densities: Mapping[str, Mapping[str, float]]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    files: dict[str, Path]
    report: Report | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """What a recipe makes its report from.

    Attributes:
        recipe: with its options.
        data: its data set.
        order: see `Order`.
        models: by name: "float", the precision, "qat" and the precision; the last one is in the
            files.
        result: without a report.
    """

    recipe: Recipe
    data: Dataset
    order: Order
    models: Mapping[str, Any]
    result: RecipeResult


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
    _check(recipe, data, order)
    order.out.mkdir(parents=True, exist_ok=True)
    tell = _steps(5 + 2 * (order.qat_epochs is not None) + (recipe.report is not None))
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
    model = quantized(recipe, network, data, order.precision, order.seed)
    models, qat = {"float": network, order.precision: model}, None
    if order.qat_epochs is not None:
        tell(f"train the {order.precision} integers")
        model, qat = _train_integers(recipe, network, data, order, order.qat_epochs)
        model = _told(model, data)
        models[f"qat {order.precision}"] = model
    tell("write the files")
    files = _write(recipe, model, data, order)
    scores = {}
    for name, scored in models.items():
        tell(f"score the {name} model")
        scores[name] = _scores(scored, recipe, data)
    result = RecipeResult(
        training=training,
        qat=qat,
        densities=pruning[0].densities() if pruning else {},
        scores=scores,
        files=files,
    )
    if recipe.report is None:
        return result
    tell("report")
    produced = Produced(recipe=recipe, data=data, order=order, models=models, result=result)
    report = recipe.report(produced)
    return replace(result, report=report, files=result.files | dict(report.files))


def _check(recipe: Recipe, data: Dataset, order: Order) -> None:
    """Refuse before the training what would be refused after it."""
    if recipe.method is not None:
        for option, given in (("--density", order.density), ("--qat", order.qat_epochs)):
            if given is not None:
                raise TrainingError(
                    f"{option}: expected a recipe of one stream, got {recipe.name}, whose model is "
                    f"several programs. Omit {option}."
                )
    if order.epochs is not None:
        check_count("--epochs", order.epochs)
    if order.qat_epochs is not None:
        check_count("--qat-epochs", order.qat_epochs)
        keras_on_cpu()
        check_backend()
        check_network(recipe.build(recipe, order.network or recipe.network, data))
    from edgernn_export.writers.file_formats import open_writer

    for wanted in order.formats:
        open_writer(wanted)
    if order.out.exists() and not order.out.is_dir():
        raise TrainingError(f"--output: expected a folder, got the file '{order.out}'.")


def _pruning(recipe: Recipe, data: Dataset, order: Order) -> list[Any]:
    if order.density is None:
        return []
    return [pruning_callback(recipe, data, order.density, order.pattern, order.epochs)]


def quantized(
    recipe: Recipe, network: Any, data: Dataset, precision: PrecisionName = "w8a8", seed: int = 0
) -> Any:
    """The integer model of a recipe's network, calibrated on streams of the train part.

    Args:
        recipe: what the network learnt.
        network: a `keras.Model`.
        data: the recipe's data set.
        precision: of the model.
        seed: of the training, which the model records.

    Returns:
        An `IntegerModel`, or a `ProgramSet` where the recipe's method makes one.
    """
    if recipe.method is not None:
        return recipe.method.quantized(recipe, network, data, precision, seed)
    model = quantize(
        network,
        data.calibration(),
        precision,
        **quantizer_options(recipe, network, data),
        seeds=[("training", seed)],
        progress=False,
    )
    return _told(model, data)


def _told(model: IntegerModel, data: Dataset) -> IntegerModel:
    """A model of text knows its symbols, and that its outputs are logits of the next one."""
    if not data.symbols:
        return model
    output = replace(model.output, softmax=True)
    return replace(model, output=output, symbols=Symbols(data.symbols))


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


def _write(recipe: Recipe, model: IntegerModel, data: Dataset, order: Order) -> dict[str, Path]:
    files = {
        "keras": order.out / f"{recipe.name}.keras",
        "edgernn": model.save(order.out / f"{recipe.name}.edgernn"),
    }
    if order.formats:
        files |= export(model, order.out, order.formats, name=recipe.name)
    for name, text in data.files.items():
        files[name] = order.out / name
        files[name].write_text(text, encoding="utf-8")
    return files


def _scores(model: Any, recipe: Recipe, data: Dataset) -> dict[str, dict[str, float]]:
    return {part: evaluate(model, recipe, part=part, data=data) for part in SCORED}


def _steps(total: int) -> Callable[[str], None]:
    """A function that prints the step that begins."""
    numbers = count(1)

    def tell(what: str) -> None:
        say(f"[{next(numbers)}/{total}] {what}")

    return tell
