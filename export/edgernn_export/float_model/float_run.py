"""Run a float model in float64: the truth the integer model is compared with.

Equations: see `float_cells`. A state is a tuple with one tuple of arrays [B, H]
per layer: SimpleRNN and GRU ``(h,)``, LSTM ``(h, c)``, Dense ``()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from edgernn.errors import ShapeError, StateError
from edgernn.model.border.coder import check_tokens
from edgernn.model.border.masks import equal_to_mask
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.interface import Rate
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn_export.float_model.cells import CELLS, LayerState
from edgernn_export.float_model.model import (
    RECURRENT,
    FloatCell,
    FloatDelay,
    FloatLayer,
    FloatLSTM,
    FloatMemory,
    FloatModel,
)

State = tuple[LayerState, ...]
#: Called as observe(layer_index, tensor_name, values [T, B, ...]) for every tensor of a stretch.
Observer = Callable[[int, str, FloatArray], None]
#: Called as progress(steps) after every stretch of `run`, with the steps of it.
Progress = Callable[[int], None]
#: Pre-activations in a stretch: 4 MiB, which stay in a cache.
_STRETCH_VALUES: Final = 1 << 19
#: Those of a step of all streams that are taken at once.
_BATCH_VALUES: Final = 1 << 16


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    y: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return y


def with_softmax(model: FloatModel, ys: FloatArray) -> FloatArray:
    """Outputs [..., O] of `run` with probabilities in the place of logits."""
    if model.final_activation != "softmax":
        return ys
    if not model.output_ports:
        return softmax(ys)
    cuts = np.cumsum([port.width for port in model.output_ports])[:-1]
    parts = np.split(ys, cuts, axis=-1)
    done = [
        softmax(part) if port.softmax else part
        for port, part in zip(model.output_ports, parts, strict=True)
    ]
    return np.concatenate(done, axis=-1)


def initial_state(model: FloatModel, batch: int) -> State:
    """What ``batch`` streams begin with: zeros, or what layers, delays and memories begin with."""
    return tuple(
        (np.tile(layer.start, (batch, layer.depth)),)
        if isinstance(layer, FloatDelay)
        else layer.initial_state(batch)
        if isinstance(layer, FloatMemory)
        else _begun_states(layer, batch)
        for layer in model.layers
    )


def _begun_states(layer: FloatLayer, batch: int) -> tuple[FloatArray, ...]:
    """The states of a recurrent layer before the first step."""
    widths = state_widths(layer)
    start = getattr(layer, "start", None)
    if start is None:
        return tuple(np.zeros((batch, width)) for width in widths)
    parts = np.split(start, np.cumsum(widths)[:-1])
    return tuple(np.tile(part, (batch, 1)) for part in parts)


def step(model: FloatModel, x: FloatArray, state: State) -> tuple[FloatArray, State]:
    """Advance all streams by one reading.

    Args:
        model: the float model.
        x: [B, I], physical units; [B, R*I] where a step takes R readings.
        state: from `initial_state` or a previous step; not modified.

    Returns:
        y [B, O] (logits where the model ends in a softmax) and the new state.

    Raises:
        ShapeError: ``x`` is not [B, I].
        ReadingError: what should be a token is none.
        StateError: ``state`` does not belong to this model and batch.
    """
    if x.ndim != 2 or x.shape[1] != model.step_inputs:
        raise ShapeError(f"x: expected shape [B, {model.step_inputs}], got {x.shape}")
    _check_state(model, x.shape[0], state)
    _check_tokens(model, x)
    values, new = _advance(model, x[None].astype(np.float64), state, None)
    return values[0], new


def run(
    model: FloatModel,
    xs: FloatArray,
    state: State | None = None,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> tuple[FloatArray, State]:
    """Run B streams of T readings, layer by layer over one stretch of time after another.

    Args:
        model: the float model.
        xs: [B, T, I], physical units; [B, T, R*I] where a step takes R readings.
        state: state to start from; all zero by default.
        observe: sees every tensor of every stretch, [T, B, ...]: "x", "h_in" (the carried h), "z"
            (pre-activations of all gates), "keep" (that of the gate that keeps the state, LSTM f or
            GRU z, alone), "h", "c"; GRU "zr", "r*h", "n" (reset before) or "zr",
            "n_x", "n_h", "n" (reset after);
            a registered cell "x" and what its plan observes;
            Dense "x", "y" (before the activation) and "a" (after it); merges and embeddings "x"
            and "y"; delays "x" and "rows". The
            input of a network that is no chain is the "x" of layer `MODEL_INPUT`.
        progress: called with the steps of every stretch that is finished.

    Returns:
        ys [B, T, O] (logits where the model ends in a softmax) and the state after the last step.

    Raises:
        ShapeError: ``xs`` is not [B, T, I].
        ReadingError: what should be a token is none.
        StateError: ``state`` does not belong to this model and batch.
    """
    if xs.ndim != 3 or xs.shape[2] != model.step_inputs:
        raise ShapeError(f"xs: expected shape [B, T, {model.step_inputs}], got {xs.shape}")
    batch, steps, _ = xs.shape
    now = initial_state(model, batch) if state is None else state
    _check_state(model, batch, now)
    _check_tokens(model, xs)
    ys = np.empty((batch, steps, model.outputs))
    length = stretch_steps(model, batch)
    for start in range(0, steps, length):
        stretch = xs[:, start : start + length].astype(np.float64)
        values = np.ascontiguousarray(stretch.swapaxes(0, 1))
        values, now = _advance(model, values, now, observe)
        ys[:, start : start + length] = values.swapaxes(0, 1)
        if progress is not None:
            progress(len(values))
    return ys, now


def stretch_steps(model: FloatModel, batch: int) -> int:
    """How many steps of ``batch`` streams `run` takes at once."""
    return max(1, _STRETCH_VALUES // (batch * widest(model)))


def batches(model: FloatModel, blocks: Sequence[FloatArray]) -> Iterator[tuple[FloatArray, int]]:
    """As many streams at once as are fast, and the number of their first row among all."""
    most = max(1, _BATCH_VALUES // widest(model))
    number = 0
    for block in blocks:
        for first in range(0, len(block), most):
            streams = block[first : first + most]
            yield streams, number
            number += streams.shape[0] * streams.shape[1]


def widest(model: FloatModel) -> int:
    """Pre-activations of the layer that has the most."""
    return max(layer.rows for layer in model.layers)


def _advance(
    model: FloatModel, values: FloatArray, state: State, observe: Observer | None
) -> tuple[FloatArray, State]:
    """All layers over a stretch [T, B, I]."""
    after: list[LayerState] = []
    made = {MODEL_INPUT: values}
    if model.routes and observe is not None:
        observe(MODEL_INPUT, "x", values)
    for index, (layer, carried) in enumerate(zip(model.layers, state, strict=True)):
        if model.routes:
            values = _fed(made, model.routes[index])
        tensors, new = CELLS[type(layer)](layer, values, carried)
        after.append(new)
        if observe is not None:
            for name, tensor in tensors.items():
                observe(index, name, tensor)
        values = next(reversed(tensors.values()))
        if model.routes:
            made[index] = values
    return _fed(made, model.routes[-1]) if model.routes else values, tuple(after)


def masked_output(model: FloatModel, observe: Observer | None = None) -> FloatArray:
    """The output before the first reading that is not masked: recurrent layers put out zeros.

    Args:
        model: a float model with a mask.
        observe: sees the tensors of the layers behind all states.

    Returns:
        [O] (logits where the model ends in a softmax), what Keras gives.
    """
    made = {MODEL_INPUT: np.zeros((1, 1, model.step_inputs))}
    zeros = set[int]()
    for index, (layer, route) in enumerate(zip(model.layers, model.wiring, strict=False)):
        if isinstance(layer, RECURRENT):
            made[index] = np.zeros((1, 1, layer.units))
            zeros.add(index)
            continue
        tensors, _ = CELLS[type(layer)](layer, _fed(made, route), ())
        made[index] = next(reversed(tensors.values()))
        if zeros.issuperset(part.source for part in route):
            zeros.add(index)
            if observe is not None:
                for name, tensor in tensors.items():
                    observe(index, name, tensor)
    output: FloatArray = _fed(made, model.wiring[-1])[0, 0]
    return output


def _fed(made: dict[int, FloatArray], route: Route) -> FloatArray:
    """What a route reads of the model's input and the layers' outputs, [T, B, ...] each."""
    parts = [made[part.source][:, :, part.start : part.start + part.width] for part in route]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def state_widths(layer: FloatLayer) -> tuple[int, ...]:
    """Widths of a layer's states, in their order."""
    if isinstance(layer, (FloatCell, FloatMemory)):
        return layer.state_widths
    count = 2 if isinstance(layer, FloatLSTM) else int(isinstance(layer, (*RECURRENT, FloatDelay)))
    return (layer.units,) * count


def _check_tokens(model: FloatModel, xs: FloatArray) -> None:
    readings = xs.reshape(*xs.shape[:-1], xs.shape[-1] // model.inputs, model.inputs)
    check_tokens(model.input_names, model.vocabulary, readings)


def _check_state(model: FloatModel, batch: int, state: State) -> None:
    wanted = [[(batch, width) for width in state_widths(layer)] for layer in model.layers]
    got = [[array.shape for array in carried] for carried in state]
    if got != wanted:
        raise StateError(f"{model.name}.state: expected shapes {wanted}, got {got}")


def begun(model: FloatModel, xs: FloatArray) -> tuple[FloatArray, State]:
    """What the answered steps of whole streams read, and the state they begin with.

    The steps before the first one that is answered are run; after them all layers except delays
    start again. Their state never goes into a delay, so that once at their end is as good as after
    each.

    Args:
        model: the float model, with a rate or without.
        xs: [B, T, I], physical units, from the beginning of each stream.

    Returns:
        [B, N, R*I], N answers, and the state before the first of them.
    """
    state = initial_state(model, len(xs))
    if model.rate is None:
        return xs, state
    steps = blocks_of(model, model.rate, xs)
    early = min(model.rate.unanswered, steps.shape[1])
    if early:
        _, warm = run(model, steps[:, :early])
        state = tuple(
            carried if isinstance(layer, FloatDelay) else first
            for layer, carried, first in zip(model.layers, warm, state, strict=True)
        )
    return steps[:, early:], state


def blocks_of(model: FloatModel, rate: Rate, xs: FloatArray) -> FloatArray:
    """What all steps of whole streams [B, T, I] read, [B, N, R*I]."""
    before = np.zeros(model.inputs) if model.before is None else model.before
    return rate.blocks(xs.astype(np.float64), before)


def answers(model: FloatModel, xs: FloatArray) -> FloatArray:
    """Answers [B, A, O] to whole streams [B, T, I], each from the zero state (logits).

    Those of a model without a rate are one for each reading. A masked reading is no step: it is
    answered what the one before it was.
    """
    masked = equal_to_mask(xs, model.mask)
    if masked.any():
        return np.stack([_unmasked_answers(model, x, ~m) for x, m in zip(xs, masked, strict=True)])
    steps, state = begun(model, xs)
    return run(model, steps, state)[0]


def _unmasked_answers(model: FloatModel, x: FloatArray, steps: BoolArray) -> FloatArray:
    """Answers [T, O] to a stream [T, I] of which these readings are steps, bool [T]."""
    ys, _ = run(model, x[None, steps])
    spread: FloatArray = np.concatenate([masked_output(model)[None], ys[0]])[np.cumsum(steps)]
    return spread


def at_readings(model: FloatModel, rate: Rate, xs: FloatArray) -> FloatArray:
    """Answers [B, T, O] to whole streams [B, T, I] at the readings they belong to (logits).

    Other readings have NaN.
    """
    found = np.full((*xs.shape[:2], model.outputs), np.nan)
    found[:, rate.answered(xs.shape[1])] = answers(model, xs)
    return found
