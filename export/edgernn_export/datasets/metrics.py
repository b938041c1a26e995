"""Metrics of predictions over the steps of a part that count."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.splits import Part

#: Metrics where more is better; of all others less is.
RISING: Final = frozenset({"accuracy"})


def errors(prediction: FloatArray, part: Part, scale: FloatArray) -> dict[str, float]:
    """MSE, RMSE and MAE over the scored steps, errors divided by ``scale``.

    Args:
        prediction: float64 [B, T, O].
        part: holds the truth and says which steps are scored.
        scale: float64 [O] or [1].
    """
    difference = part.scored(prediction - part.target) / scale
    mse = float(np.mean(np.square(difference)))
    return {"mse": mse, "rmse": mse**0.5, "mae": float(np.mean(np.abs(difference)))}


def accuracy(logits: FloatArray, part: Part) -> dict[str, float]:
    """Share of scored steps whose largest logit is the true class's."""
    chosen = part.scored(logits).argmax(axis=-1)
    return {"accuracy": float(np.mean(chosen == part.scored(part.target)[..., 0]))}
