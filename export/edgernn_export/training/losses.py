"""The loss of a data set."""

from __future__ import annotations

from functools import cache
from typing import Any

from edgernn_export.datasets import Dataset
from edgernn_export.training.recipe import Training

#: Errors beyond two standard deviations of the target count linearly.
_HUBER_DELTA = 2.0


def loss_of(data: Dataset, training: Training) -> Any:
    """Cross-entropy of logits for classes, `ForecastLoss` for forecasts.

    Returns:
        A `keras.losses.Loss`.
    """
    import keras

    if data.classes:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return forecast_loss_class()(data.target_scale, training.loss_from)


@cache
def forecast_loss_class() -> Any:
    """`ForecastLoss(scale, first)`: Huber loss of errors divided by a scale, from a step on."""
    import keras

    @keras.saving.register_keras_serializable("edgernn")
    class ForecastLoss(keras.losses.Loss):  # type: ignore[misc]
        def __init__(self, scale: float, first: int, name: str = "forecast_loss") -> None:
            super().__init__(name=name)
            self.scale, self.first = scale, first

        def call(self, y_true: Any, y_pred: Any) -> Any:
            wanted, got = (y[:, self.first :] / self.scale for y in (y_true, y_pred))
            return keras.losses.huber(wanted, got, delta=_HUBER_DELTA)

        def get_config(self) -> dict[str, Any]:
            return {"scale": self.scale, "first": self.first, "name": self.name}

    return ForecastLoss
