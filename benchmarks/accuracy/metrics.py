"""Metrics of predictions, and how much of a float metric an integer model keeps."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.parts import Part
from edgernn.formats import FloatArray

#: Metrics where more is better; of all others less is.
RISING = frozenset({"accuracy"})


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


def kept(metric: str, float_value: float, integer_value: float) -> float:
    """Share of the float metric an integer model keeps; above 1 it is the better one."""
    if metric in RISING:
        return integer_value / float_value
    return float_value / integer_value
