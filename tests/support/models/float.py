"""Random float models and streams, made without Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatModel,
    FloatSimpleRNN,
)

FLOAT_CELLS = ("simple_rnn", "simple_rnn_relu", "lstm", "gru_after", "gru_before")
_GATES = {"simple_rnn": 1, "simple_rnn_relu": 1, "lstm": 4, "gru_after": 3, "gru_before": 3}


def float_layer(
    rng: np.random.Generator,
    cell: str,
    inputs: int,
    units: int,
    *,
    gain: float = 1.0,
    name: str | None = None,
    gate: str = "sigmoid",
) -> FloatLayer:
    """One recurrent layer with Glorot-like kernels and scaled orthogonal recurrent kernels."""
    gates = _GATES[cell]
    kernel = rng.normal(size=(gates * units, inputs)) * np.sqrt(2.0 / (inputs + units)) * gain
    blocks = [np.linalg.qr(rng.normal(size=(units, units)))[0] for _ in range(gates)]
    recurrent = np.concatenate(blocks) * 0.9 * gain
    bias = rng.normal(size=gates * units) * 0.2
    base: dict[str, Any] = {"name": name or cell, "kernel": kernel, "recurrent": recurrent}
    if cell.startswith("simple_rnn"):
        relu = cell.endswith("relu")
        base["recurrent"] = recurrent * (0.5 / gain if relu else 1.0)
        return FloatSimpleRNN(**base, bias=bias, activation="relu" if relu else "tanh")
    if cell == "lstm":
        bias[units : 2 * units] += 1.0
        return FloatLSTM(**base, bias=bias, recurrent_activation=gate)
    after = cell == "gru_after"
    recurrent_bias = rng.normal(size=gates * units) * 0.2 if after else np.zeros(gates * units)
    return FloatGRU(
        **base,
        bias=bias,
        recurrent_bias=recurrent_bias,
        reset_after=after,
        recurrent_activation=gate,
    )


def float_model(
    cell: str,
    *,
    seed: int = 0,
    inputs: int = 3,
    units: int = 16,
    outputs: int = 2,
    stack: int = 1,
    gain: float = 1.0,
    gate: str = "sigmoid",
    dense: tuple[tuple[int, str], ...] = (),
    final_activation: str = "linear",
) -> FloatModel:
    """``stack`` recurrent layers, hidden dense layers (units, activation), a linear Dense."""
    rng = np.random.default_rng(seed)
    layers: list[FloatLayer] = []
    width = inputs
    for index in range(stack):
        layers.append(
            float_layer(rng, cell, width, units, gain=gain, gate=gate, name=f"{cell}_{index}")
        )
        width = units
    for index, (size, activation) in enumerate((*dense, (outputs, "linear"))):
        if size == 0:
            break
        layers.append(
            FloatDense(
                name=f"dense_{index}",
                kernel=rng.normal(size=(size, width)) / np.sqrt(width),
                bias=rng.normal(size=size) * 0.1,
                activation=activation,
            )
        )
        width = size
    return FloatModel(
        name=cell,
        layers=tuple(layers),
        input_names=tuple(f"x{i}" for i in range(inputs)),
        input_units=("",) * inputs,
        output_names=tuple(f"y{i}" for i in range(width)),
        output_units=("",) * width,
        final_activation=final_activation,
    )


def stream(steps: int, inputs: int, seed: int = 1) -> FloatArray:
    """A smooth random stream [T, I] (first-order autoregressive)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(steps, inputs))
    xs = np.zeros((steps, inputs))
    for t in range(1, steps):
        xs[t] = 0.8 * xs[t - 1] + 0.6 * noise[t]
    return xs
