"""RNN, LSTM and GRU of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.described.onnx_forms import KINDS, recurrent_forms
from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.float_model.gate_orders import GATE_ORDERS
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.operator_reader import recurrences
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.shapes import transposed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import OpenSize, Traced, is_constant, size_of

_AGAIN: Final = "Export the network again."


def _recurrent(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    if value.rank != 3:
        raise OperatorRefused("an input of three axes", f"{value.rank}", _AGAIN)
    attributes = operator.node.attributes
    forms = recurrent_forms(operator.kind, trace.origin, attributes)
    kernel, back = operator.floats(1), operator.floats(2)
    if kernel.ndim != 3 or back.ndim != 3 or len(kernel) != len(forms):
        got = f"shapes {kernel.shape} and {back.shape}"
        raise OperatorRefused(f"weights W and R of {len(forms)} directions", got, _AGAIN)
    first_batch = bool(operator.attribute("layout", 0))
    places = (1, 0, 2) if first_batch else (0, 1, 2)
    _check_lengths(operator, value, places[0])
    units = back.shape[1] // _gates(operator)
    hidden = int(operator.attribute("hidden_size", units))
    if hidden != units:
        raise OperatorRefused(f"weights of hidden_size={hidden}", f"of {units}", _AGAIN)
    layers = [_layer(trace, operator, index, form) for index, form in enumerate(forms)]
    starts = [_start(operator, index, first_batch) for index in _states(operator)]
    made = recurrences.recurrent(trace, value, places, layers, starts, units=units)
    sequence, state = ("BTSF", "BSF") if first_batch else ("TSBF", "SBF")
    ends = [made.state(index, state) for index in range(len(starts))]
    return [made.sequence(sequence), *ends]


def _states(operator: Operator) -> Sequence[int]:
    """Inputs that states begin with."""
    return (5, 6) if operator.kind == "LSTM" else (5,)


def _gates(operator: Operator) -> int:
    """Rows of weights for each unit."""
    return len(GATE_ORDERS["onnx"][KINDS[operator.kind][0]])


def _layer(trace: CallTrace, operator: Operator, index: int, form: RecurrentForm) -> StoredLayer:
    """The layer of one direction."""
    biases: tuple[FloatArray, ...] = ()
    if operator.given(3) is not None:
        both = operator.floats(3)[index]
        biases = both[: both.size // 2], both[both.size // 2 :]
    peepholes = None
    if operator.given(7) is not None:
        i, o, f = np.split(operator.floats(7)[index], 3)
        peepholes = i, f, o
    weights = RecurrentWeights(
        order="onnx",
        kernel=operator.floats(1)[index],
        recurrent=operator.floats(2)[index],
        biases=biases,
        peepholes=peepholes,
        start=_constant_start(operator, index, bool(operator.attribute("layout", 0))),
    )
    name = f"{trace.name}_reverse" if index else trace.name
    return recurrent(KINDS[operator.kind][0], name, trace.origin, weights, form)


def _constant_start(operator: Operator, direction: int, first_batch: bool) -> FloatArray | None:
    """What the states of a direction begin with, one behind the other, where it is constant."""
    given = [operator.given(index) for index in _states(operator)]
    if not any(value is not None and is_constant(value) for value in given):
        return None
    parts, units = [], operator.floats(2).shape[2]
    for index, value in zip(_states(operator), given, strict=True):
        if value is None or not is_constant(value):
            parts.append(np.zeros(units))
            continue
        states = operator.floats(index)
        if states.ndim != 3:
            raise OperatorRefused("initial states of three axes", f"{states.ndim}", _AGAIN)
        rows = states[:, direction] if first_batch else states[direction]
        if not len(rows) or (rows != rows[0]).any():
            raise OperatorRefused(
                "the same initial state for all streams", f"{len(rows)} different ones",
                "Export the network with a batch of 1.",
            )  # fmt: skip
        parts.append(rows[0])
    return np.concatenate(parts)


def _start(operator: Operator, index: int, first_batch: bool) -> Traced | None:
    """A state to begin with that is an input of the network, or made of one; None for others."""
    value = operator.given(index)
    if value is None:
        return None
    if is_constant(value):
        return None
    state = operator.traced(index)
    if state.rank != 3:
        raise OperatorRefused("initial states of three axes", f"{state.rank}", _AGAIN)
    return transposed(state, (1, 0, 2)) if first_batch else state


def _check_lengths(operator: Operator, value: Traced, place: int) -> None:
    """Lengths of sequences: all steps, or those that a stream has.

    A stream ends where its readings do, so that lengths need not be told.
    """
    lengths = operator.given(4)
    if lengths is None or not is_constant(lengths):
        return
    size = size_of(value.axes[place])
    if isinstance(size, OpenSize) or any(int(one) != size for one in lengths.reshape(-1)):
        raise OperatorRefused(
            "sequence_lens of all steps, or as an input",
            f"{lengths.reshape(-1)[:4].tolist()} of {size if isinstance(size, int) else 'any'}",
            "Leave out sequence_lens, and pass streams of different lengths.",
        )  # fmt: skip


RECURRENT: Final[dict[str, Handler]] = dict.fromkeys(KINDS, _recurrent)
