"""Compression of a recipe's network: pruned in training, distilled, trained as integers.

Recipes know compression; compression knows no recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn.model.formats import FloatArray, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.distillation.distiller import distiller_class
from edgernn_export.compress.qat import check_backend
from edgernn_export.datasets import Dataset
from edgernn_export.training.fit_arrays import updates
from edgernn_export.training.loop import TrainingResult, train
from edgernn_export.training.networks import keras_on_cpu
from edgernn_export.training.recipe import Network, Recipe

#: The setting that the validation parts of the recipes chose, for all of them (docs/guides/qat.md).
QAT_EPOCHS: Final = 2
#: Start of the learning rate, as a share of the recipe's.
QAT_RATE_SHARE: Final = 0.03
#: Share of the float network's answers in the loss; the labels have the rest.
QAT_ALPHA: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningPlan:
    """When weights go in a training, and which: the same for all recipes.

    Attributes:
        begin_share: of the updates, before which none goes.
        end_share: of the updates, after which none goes; the remaining updates adapt the remaining
            weights.
        renewals: of the masks between the two.
        allocation: who shares the density, one of `compress.pruning.allocation.ALLOCATIONS`.
    """

    begin_share: float = 0.1
    end_share: float = 0.4
    renewals: int = 20
    allocation: str = "erdos-renyi"


PRUNING: Final = PruningPlan()


def calibration(data: Dataset) -> FloatArray | Sequence[FloatArray]:
    """Streams for the quantizer: train streams, begun as they are in use.

    Returns:
        float64 [B, T, I], or a list of [T_i, I] where the streams differ in length.
    """
    return data.calibration()


def quantizer_options(recipe: Recipe, network: Any, data: Dataset) -> dict[str, Any]:
    """Arguments of `quantize` for a recipe's network, without its streams and its precision.

    A network that reads its streams backward, too, answers chunks of up to the longest stream.

    Args:
        recipe: what the network learnt.
        network: a keras.Model.
        data: the recipe's data set.
    """
    from edgernn_export.keras_reader.program_sets.passes import has_passes

    known = recipe.input_range
    ranges = known(data) if callable(known) else known
    options = data.labels() | {"name": recipe.name, "input_range": ranges}
    if has_passes(network):
        parts = (data.train, data.validation, data.test)
        return options | {"max_steps": max(int(part.steps.max()) for part in parts)}
    return options | {"stream": recipe.stream}


def pruning_callback(
    recipe: Recipe,
    data: Dataset,
    density: float,
    pattern: str = "8x4",
    epochs: int | None = None,
    plan: PruningPlan = PRUNING,
) -> Any:
    """Magnitude pruning over the middle of a training, for the callbacks of `train`.

    Args:
        recipe: what is trained.
        data: its data set.
        density: share of the recurrent layers' weights that stay, in (0, 1].
        pattern: a name in `edgernn_export.compress.pruning.masks.PATTERNS`.
        epochs: of the training; default the recipe's.
        plan: when and which.

    Returns:
        A `MagnitudePruning`.

    Raises:
        PruningError: a setting is refused.
    """
    keras_on_cpu()
    from edgernn_export.compress.pruning import MagnitudePruning

    total = updates(recipe, data, epochs)
    begin, end = int(plan.begin_share * total), int(plan.end_share * total)
    return MagnitudePruning(
        density,
        begin_step=begin,
        end_step=end,
        frequency=max(1, (end - begin) // plan.renewals),
        pattern=pattern,
        allocation=plan.allocation,
    )


def train_integers(
    recipe: Recipe,
    network: Any,
    precision: PrecisionName = "w8a8",
    *,
    seed: int = 0,
    data: Dataset | None = None,
    epochs: int = QAT_EPOCHS,
    rate_share: float = QAT_RATE_SHARE,
    alpha: float = QAT_ALPHA,
    callbacks: Sequence[Any] = (),
    progress: bool | None = None,
    **options: Any,
) -> tuple[IntegerModel, TrainingResult]:
    """Round a recipe's trained network and train the integers on.

    The integers learn to answer the train part as the network does. What is rounded is a candidate:
    it is kept where no epoch is better by the validation part.

    Args:
        recipe: what the network learnt.
        network: a trained keras.Model; it is not changed.
        precision: as for `quantize`.
        seed: of the order of examples.
        data: the recipe's data set; None loads it.
        epochs: passes over the examples.
        rate_share: start of the learning rate, as a share of the recipe's.
        alpha: share of the network's answers in the loss, 0 to 1; the labels have the rest.
        callbacks: Keras callbacks that change weights, as `MagnitudePruning`.
        progress: show a bar on stderr; None where it is a terminal.
        options: further arguments of `quantize`.

    Returns:
        The integer model of the best epoch, and a record.

    Raises:
        DataUnavailable: the data set is missing or damaged.
        UnsupportedModelError: the network uses something edgernn does not execute.
        QuantizationError, DistillationError, TrainingError: a setting is refused.
    """
    check_backend()
    from edgernn_export.compress.qat.conversion import extract, make

    data = recipe.load() if data is None else data
    task = "classes" if data.classes else "values"
    quantizer = quantizer_options(recipe, network, data) | {"progress": False} | options
    whole = not recipe.training.equal_lengths  # else the batches are made on the way

    def learner(student: Any) -> Any:
        return distiller_class()(student, network, task=task, alpha=alpha, precompute=whole)

    model, result = train(
        recipe,
        seed,
        data=data,
        start=make(network, calibration(data), precision, **quantizer),
        epochs=epochs,
        learning_rate=rate_share * recipe.training.learning_rate,
        callbacks=callbacks,
        learner=learner,
        progress=progress,
    )
    return extract(model), result


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
    progress: bool | None = None,
    **options: Any,
) -> tuple[Any, TrainingResult]:
    """Train a recipe's network as `train` does, with a teacher in addition to the labels.

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
        progress: show a bar on stderr; None where it is a terminal.
        options: further arguments of `Distiller`, as ``temperature``.

    Returns:
        The student with the weights of its best epoch, a plain keras.Model, and a record.

    Raises:
        DataUnavailable: the data set is missing or damaged.
        DistillationError: the teacher does not fit, or an option is refused.
        TrainingError: a setting is refused, or no epoch may be kept.
    """
    data = recipe.load() if data is None else data
    given: dict[str, Any] = {
        "task": "classes" if data.classes else "values",
        "precompute": not recipe.training.equal_lengths,
    }

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
