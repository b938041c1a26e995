"""Keras models with weights that make every term count, and their own answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray


def randomised(model: Any, seed: int = 0) -> Any:
    """Give every weight a random value: biases, gammas and statistics are never at defaults."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if not str(variable.dtype).startswith("float"):
            continue
        low, high = (0.3, 2.0) if variable.name in {"gamma", "moving_variance"} else (-0.8, 0.8)
        variable.assign(rng.uniform(low, high, variable.shape))
    return model


def sequential(*layers: Any, inputs: int = 3, steps: int | None = None, batch: Any = None) -> Any:
    """A randomised Sequential model over [B, T, inputs]."""
    import keras

    given = keras.Input((steps, inputs), batch_size=batch)
    return randomised(keras.Sequential([given, *layers]))


def readings(batch: int = 2, steps: int = 12, inputs: int = 3, seed: int = 9) -> FloatArray:
    """Random streams [B, T, I] that float32 holds exactly."""
    values = np.random.default_rng(seed).normal(size=(batch, steps, inputs)) * 1.5
    return values.astype(np.float32).astype(np.float64)


def answer(model: Any, xs: FloatArray) -> FloatArray:
    """What Keras itself answers."""
    return np.asarray(model(xs.astype(np.float32), training=False), dtype=np.float64)
