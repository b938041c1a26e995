"""Run a float model in float64: the truth the integer model is compared with.

Equations: see the records in `float_model`. A state is a tuple with one tuple of arrays [B, H]
per layer: SimpleRNN and GRU ``(h,)``, LSTM ``(h, c)``, Dense ``()``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgernn.errors import ShapeError, StateError
from edgernn.formats import FloatArray
from edgernn_export.float_model import (
    RECURRENT,
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatModel,
    FloatSimpleRNN,
)

LayerState = tuple[FloatArray, ...]
State = tuple[LayerState, ...]
#: Called as observe(layer_index, tensor_name, values [B, ...]) for every tensor of every step.
Observer = Callable[[int, str, FloatArray], None]
#: Called as progress(steps_done) after every step of `run`.
Progress = Callable[[int], None]
_Note = Callable[[str, FloatArray], None]


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow for any finite x."""
    tail = np.exp(-np.abs(x))
    y: FloatArray = np.where(x >= 0, 1.0, tail) / (1.0 + tail)
    return y


def hard_sigmoid(x: FloatArray) -> FloatArray:
    """clip(x/6 + 0.5, 0, 1), as Keras 3 defines it."""
    y: FloatArray = np.clip(x / 6.0 + 0.5, 0.0, 1.0)
    return y


def relu(x: FloatArray) -> FloatArray:
    """max(x, 0)."""
    y: FloatArray = np.maximum(x, 0.0)
    return y


def linear(x: FloatArray) -> FloatArray:
    """The identity."""
    return x


def tanh(x: FloatArray) -> FloatArray:
    """Hyperbolic tangent."""
    y: FloatArray = np.tanh(x)
    return y


ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "hard_sigmoid": hard_sigmoid,
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
}


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    y: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return y


def initial_state(model: FloatModel, batch: int) -> State:
    """All zero state of ``batch`` streams."""
    return tuple(
        tuple(np.zeros((batch, layer.units)) for _ in range(_state_count(layer)))
        for layer in model.layers
    )


def step(model: FloatModel, x: FloatArray, state: State) -> tuple[FloatArray, State]:
    """Advance all streams by one reading.

    Args:
        model: the float model.
        x: [B, I], physical units.
        state: from `initial_state` or a previous step; not modified.

    Returns:
        y [B, O] (logits where the model ends in a softmax) and the new state.

    Raises:
        ShapeError: ``x`` is not [B, I].
        StateError: ``state`` does not belong to this model and batch.
    """
    if x.ndim != 2 or x.shape[1] != model.inputs:
        raise ShapeError(f"x: expected shape [B, {model.inputs}], got {x.shape}")
    _check_state(model, x.shape[0], state)
    return _advance(model, x.astype(np.float64), state, None)


def run(
    model: FloatModel,
    xs: FloatArray,
    state: State | None = None,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> tuple[FloatArray, State]:
    """Run B streams of T readings by repeated steps.

    Args:
        model: the float model.
        xs: [B, T, I], physical units.
        state: state to start from; all zero by default.
        observe: sees every tensor of every step: "x", "h_in" (the carried h), "z"
            (pre-activations of all gates), "h", "c"; GRU "zr", "rh", "n" (reset before) or "zr",
            "n_x", "n_h", "n" (reset after);
            Dense "x", "y" (before the activation) and "a" (after it).
        progress: called with the number of finished steps.

    Returns:
        ys [B, T, O] (logits where the model ends in a softmax) and the state after the last step.

    Raises:
        ShapeError: ``xs`` is not [B, T, I].
        StateError: ``state`` does not belong to this model and batch.
    """
    if xs.ndim != 3 or xs.shape[2] != model.inputs:
        raise ShapeError(f"xs: expected shape [B, T, {model.inputs}], got {xs.shape}")
    batch, steps, _ = xs.shape
    now = initial_state(model, batch) if state is None else state
    _check_state(model, batch, now)
    ys = np.empty((batch, steps, model.outputs))
    for t in range(steps):
        ys[:, t], now = _advance(model, xs[:, t].astype(np.float64), now, observe)
        if progress is not None:
            progress(t + 1)
    return ys, now


def _advance(
    model: FloatModel, x: FloatArray, state: State, observe: Observer | None
) -> tuple[FloatArray, State]:
    after: list[LayerState] = []
    for index, (layer, carried) in enumerate(zip(model.layers, state, strict=True)):

        def note(name: str, values: FloatArray, index: int = index) -> None:
            if observe is not None:
                observe(index, name, values)

        note("x", x)
        if carried:
            note("h_in", carried[0])
        x, carried = _step_layer(layer, x, carried, note)
        after.append(carried)
    return x, tuple(after)


def _step_layer(
    layer: FloatLayer, x: FloatArray, state: LayerState, note: _Note
) -> tuple[FloatArray, LayerState]:
    if isinstance(layer, FloatLSTM):
        return _lstm(layer, x, state, note)
    if isinstance(layer, FloatGRU):
        return _gru(layer, x, state[0], note)
    if isinstance(layer, FloatSimpleRNN):
        return _simple_rnn(layer, x, state[0], note)
    return _dense(layer, x, note), ()


def _simple_rnn(
    layer: FloatSimpleRNN, x: FloatArray, h: FloatArray, note: _Note
) -> tuple[FloatArray, LayerState]:
    z = x @ layer.kernel.T + h @ layer.recurrent.T + layer.bias
    h = ACTIVATIONS[layer.activation](z)
    note("z", z)
    note("h", h)
    return h, (h,)


def _lstm(
    layer: FloatLSTM, x: FloatArray, state: LayerState, note: _Note
) -> tuple[FloatArray, LayerState]:
    h, c = state
    gate = ACTIVATIONS[layer.recurrent_activation]
    z = x @ layer.kernel.T + h @ layer.recurrent.T + layer.bias
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    c = gate(z_f) * c + gate(z_i) * np.tanh(z_g)
    h = gate(z_o) * np.tanh(c)
    note("z", z)
    note("c", c)
    note("h", h)
    return h, (h, c)


def _gru(
    layer: FloatGRU, x: FloatArray, h: FloatArray, note: _Note
) -> tuple[FloatArray, LayerState]:
    gate = ACTIVATIONS[layer.recurrent_activation]
    split = 2 * layer.units
    of_x = x @ layer.kernel.T + layer.bias
    zr = of_x[:, :split] + h @ layer.recurrent[:split].T + layer.recurrent_bias[:split]
    z, r = np.split(gate(zr), 2, axis=1)
    note("zr", zr)
    if layer.reset_after:
        n_h = h @ layer.recurrent[split:].T + layer.recurrent_bias[split:]
        note("n_x", of_x[:, split:])
        note("n_h", n_h)
        pre = of_x[:, split:] + r * n_h
    else:
        reset = r * h
        note("rh", reset)
        pre = of_x[:, split:] + reset @ layer.recurrent[split:].T
    note("n", pre)
    h = z * h + (1.0 - z) * np.tanh(pre)
    note("h", h)
    return h, (h,)


def _dense(layer: FloatDense, x: FloatArray, note: _Note) -> FloatArray:
    y = x @ layer.kernel.T + layer.bias
    a = ACTIVATIONS[layer.activation](y)
    note("y", y)
    note("a", a)
    return a


def _state_count(layer: FloatLayer) -> int:
    if isinstance(layer, FloatLSTM):
        return 2
    return 1 if isinstance(layer, RECURRENT) else 0


def _check_state(model: FloatModel, batch: int, state: State) -> None:
    wanted = [[(batch, layer.units)] * _state_count(layer) for layer in model.layers]
    got = [[array.shape for array in carried] for carried in state]
    if got != wanted:
        raise StateError(f"{model.name}.state: expected shapes {wanted}, got {got}")
