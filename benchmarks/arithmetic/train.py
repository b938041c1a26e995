"""Train the networks of this benchmark with Keras: one thread, seeded, kept in a folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.accuracy.train import keras_on_one_thread
from benchmarks.arithmetic.long_streams import LongTask
from edgernn.model.formats import FloatArray

LONG_UNITS = 24
_RATE = 3e-3
#: Of weights, per update at the full rate; of noise on standardised readings; of the loss.
_WEIGHT_DECAY, _NOISE, _HUBER_DELTA = 1e-2, 0.1, 0.1


def long_memory(task: LongTask, cell: str, seed: int) -> Any:
    """A network of chrono initialisation (Tallec & Ollivier 2018), trained on a long task."""
    keras = keras_on_one_thread()
    keras.utils.set_random_seed(seed)
    streams, steps, channels = task.calibration.shape
    outputs = task.wanted.shape[2]
    flat = task.calibration.reshape(-1, channels)
    carried = _long_network(keras, flat, cell, outputs, (streams, task.window_steps), carry=True)
    _chrono(carried.layers[2], task.longest_steps, np.random.default_rng(seed))
    schedule = keras.optimizers.schedules.CosineDecay(_RATE, task.updates)
    carried.compile(keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY, clipnorm=1.0), keras.losses.Huber(_HUBER_DELTA), jit_compile=True)
    rng = np.random.default_rng(seed)
    xs, ys = task.calibration.astype(np.float32), task.wanted.astype(np.float32)
    stream, in_window = np.arange(streams)[:, None], np.arange(task.window_steps)
    in_life = steps // 2 // task.window_steps
    for update in range(task.updates):
        age = update % in_life
        if age == 0:
            carried.layers[2].reset_state()
            begin = rng.integers(steps // 2, size=streams)[:, None]
        rows = begin + age * task.window_steps + in_window
        carried.train_on_batch(xs[stream, rows], ys[stream, rows])
    network = _long_network(keras, flat, cell, outputs, None, carry=False)
    network.set_weights(carried.get_weights())
    return network


def _long_network(
    keras: Any,
    flat: FloatArray,
    cell: str,
    outputs: int,
    batch: tuple[int, int] | None,
    *,
    carry: bool,
) -> Any:
    """Normalization, one cell, Dense; with the states of ``batch`` streams if they are carried."""
    streams, steps = (None, None) if batch is None else batch
    return keras.Sequential(
        [
            keras.Input((steps, flat.shape[1]), batch_size=streams),
            keras.layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0)),
            keras.layers.GaussianNoise(_NOISE),
            getattr(keras.layers, cell)(LONG_UNITS, return_sequences=True, stateful=carry),
            keras.layers.Dense(outputs),
        ]
    )


def _chrono(layer: Any, longest_steps: int, rng: np.random.Generator) -> None:
    """Biases of the gates that keep a state, for memories of 1 to ``longest_steps`` steps."""
    keep = np.log(rng.uniform(1.0, longest_steps - 1.0, size=layer.units))
    kernel, recurrent, bias = layer.get_weights()
    units = layer.units
    if bias.ndim == 2:  # GRU: update, reset, candidate; the first row is the inputs' bias
        bias[0, :units] = keep
    else:  # LSTM: input, forget, candidate, output
        bias[:units], bias[units : 2 * units] = -keep, keep
    layer.set_weights([kernel, recurrent, bias])
