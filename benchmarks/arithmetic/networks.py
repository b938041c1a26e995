"""The networks of this benchmark, trained with Keras: one thread, seeded, kept in a folder."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.accuracy.train import keras_on_one_thread
from benchmarks.arithmetic.tasks import StreamTask

_RATE: Final = 3e-3
#: Of weights, per update at the full rate; of noise on standardised readings; of the Huber loss.
_WEIGHT_DECAY, _NOISE, _HUBER_DELTA = 1e-2, 0.1, 0.1
#: Activations of the state, that no others have in all kinds of cell.
ACTIVATIONS: Final = ("relu", "softsign", "silu", "elu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of one recurrent layer.

    Attributes:
        name: of it and, with a seed, of its file.
        title: what tables call it.
        cell: name of the layer in Keras.
        units: of it.
        options: of it.
        longest_steps: chrono initialization draws the units' memories up to this many steps; None:
            the layer's own initialization.
    """

    name: str
    title: str
    cell: str
    units: int
    options: dict[str, Any] = field(default_factory=dict)
    longest_steps: int | None = None


def long_memory(task: str, longest_steps: int) -> list[Network]:
    """Those of a task of long memory."""
    return [
        Network(
            name=f"{task}_{cell.lower()}", title=f"{task}, {cell}-24", cell=cell, units=24,
            longest_steps=longest_steps,
        )
        for cell in ("LSTM", "GRU")
    ]  # fmt: skip


def other_activations() -> list[Network]:
    """Every kind of cell with every activation of `ACTIVATIONS`."""
    cells: list[tuple[str, str, str, dict[str, Any]]] = [
        ("lstm", "LSTM-12", "LSTM", {}),
        ("gru_after", "GRU-12, reset after", "GRU", {"reset_after": True}),
        ("gru_before", "GRU-12, reset before", "GRU", {"reset_after": False}),
        ("simple_rnn", "SimpleRNN-12", "SimpleRNN", {}),
    ]
    return [
        Network(
            name=f"room_{name}_{activation}", title=f"{title}, {activation}", cell=cell, units=12,
            options=options | {"activation": activation},
        )
        for (name, title, cell, options), activation in itertools.product(cells, ACTIVATIONS)
    ]  # fmt: skip


def trained(network: Network, task: StreamTask, seed: int, cache: Path) -> Path:
    """The .keras file of a network, in ``cache``; trained if it does not exist.

    Args:
        network: what to train.
        task: on what.
        seed: of weights, noise and where streams begin.
        cache: folder of these files; it is made.

    Returns:
        The path of the file.
    """
    path = cache / f"{network.name}_{seed}.keras"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        train(network, task, seed).save(path)
    return path


def train(network: Network, task: StreamTask, seed: int) -> Any:
    """Train by truncated backpropagation: states go from window to window, gradients do not.

    Streams begin anywhere in their first half, so that how old a state is tells nothing.
    """
    keras = keras_on_one_thread()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    streams, steps, _ = task.calibration.shape
    carried = _built(keras, network, task, carry=True)
    layer = carried.layers[2]
    if network.longest_steps is not None:
        _chrono(layer, network.longest_steps, rng)
    falling = keras.optimizers.schedules.CosineDecay(_RATE, task.updates)
    carried.compile(
        keras.optimizers.AdamW(falling, weight_decay=_WEIGHT_DECAY, clipnorm=1.0),
        keras.losses.Huber(_HUBER_DELTA),
        jit_compile="auto",
    )
    xs, ys = task.calibration.astype(np.float32), task.wanted.astype(np.float32)
    stream, window = np.arange(streams)[:, None], np.arange(task.window_steps)
    windows = steps // 2 // task.window_steps
    for update in range(task.updates):
        if update % windows == 0:
            layer.reset_state()
            begin = rng.integers(steps // 2, size=(streams, 1))
        rows = begin + update % windows * task.window_steps + window
        carried.train_on_batch(xs[stream, rows], ys[stream, rows])
    model = _built(keras, network, task, carry=False)
    model.set_weights(carried.get_weights())
    return model


def _built(keras: Any, network: Network, task: StreamTask, *, carry: bool) -> Any:
    """Normalization, noise in training, the cell, Dense; for windows of all streams, or any."""
    streams, _, channels = task.calibration.shape
    flat = task.calibration.reshape(-1, channels)
    batch, steps = (streams, task.window_steps) if carry else (None, None)
    return keras.Sequential(
        [
            keras.Input((steps, channels), batch_size=batch),
            keras.layers.Normalization(mean=flat.mean(axis=0), variance=flat.var(axis=0)),
            keras.layers.GaussianNoise(_NOISE),
            getattr(keras.layers, network.cell)(
                network.units,
                return_sequences=True,
                stateful=carry,
                name="cell",
                **network.options,
            ),
            keras.layers.Dense(task.wanted.shape[2]),
        ],
        name=network.name,
    )


def _chrono(layer: Any, longest_steps: int, rng: np.random.Generator) -> None:
    """Biases for memories of 1 to ``longest_steps`` steps (Tallec & Ollivier 2018)."""
    keep = np.log(rng.uniform(1.0, longest_steps - 1.0, size=layer.units))
    kernel, recurrent, bias = layer.get_weights()
    if bias.ndim == 2:  # GRU: update, reset, candidate; the first row is that of the input
        bias[0, : layer.units] = keep
    else:  # LSTM: input, forget, candidate, output
        bias[: 2 * layer.units] = np.concatenate([-keep, keep])
    layer.set_weights([kernel, recurrent, bias])
