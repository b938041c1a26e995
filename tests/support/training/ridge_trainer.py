"""A stand-in for training: the recurrent weights stay random, the Dense layer is solved for."""

from __future__ import annotations

from typing import Any

import numpy as np


def solve_head(network: Any, settings: Any, x: Any, y: Any, loss: Any) -> list[float]:
    """What `fitting.train_network` does, in a tenth of the time (Jaeger 2001).

    Classes become logits of 10 and 0.
    """
    import keras

    layers = [keras.Input(network.input_shape[1:]), *network.layers[:-2]]
    states = keras.Sequential(layers)(np.asarray(x if x.ndim == 3 else x[None], np.float32))
    states = np.asarray(states).reshape(len(y), -1).astype(np.float64)
    head = network.layers[-2]
    wanted = np.asarray(y, np.float64)
    if wanted.ndim == 1:
        wanted = 10.0 * np.eye(head.units)[y]
    rows = np.column_stack([states, np.ones(len(y))])
    ridge = rows.T @ rows + 1e-3 * np.eye(rows.shape[1])
    found = np.linalg.solve(ridge, rows.T @ wanted)
    head.set_weights([found[:-1], found[-1]])
    return [float(np.mean(np.square(rows @ found - wanted)))]
