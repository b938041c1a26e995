"""Quantization-aware training on the data of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgernn.model.formats import PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.qat.backend import check_backend
from edgernn_export.datasets import Dataset
from edgernn_export.training.compression import calibration
from edgernn_export.training.loop import TrainingResult, train
from edgernn_export.training.recipe import Recipe

#: The setting that the validation parts of the recipes chose, for all of them (docs/qat.md).
EPOCHS: Final = 2
#: Start of the learning rate, as a share of the recipe's.
RATE_SHARE: Final = 0.03
#: Share of the float network's answers in the loss; the labels have the rest.
ALPHA: Final = 1.0


def train_integers(
    recipe: Recipe,
    network: Any,
    precision: PrecisionName = "w8a8",
    *,
    seed: int = 0,
    data: Dataset | None = None,
    epochs: int = EPOCHS,
    rate_share: float = RATE_SHARE,
    alpha: float = ALPHA,
    callbacks: Sequence[Any] = (),
    progress: bool = True,
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
        progress: show a bar on stderr.
        options: further arguments of `quantize`.

    Returns:
        The integer model of the best epoch, and a record.

    Raises:
        DataUnavailable: the data set is missing or damaged.
        UnsupportedModelError: the network uses something edgernn does not execute.
        QuantizationError, DistillationError, TrainingError: a setting is refused.
    """
    check_backend()
    from edgernn_export.compress.distillation import Distiller
    from edgernn_export.compress.qat.convert import extract, make

    data = recipe.load() if data is None else data
    task = "classes" if data.classes else "values"
    quantizer = data.labels() | {
        "name": recipe.name,
        "progress": False,
        "input_range": recipe.input_range,
        "stream": "endless",  # recipes are scored so
    } | options  # fmt: skip

    def learner(student: Any) -> Any:
        return Distiller(student, network, task=task, alpha=alpha, precompute=True)

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
