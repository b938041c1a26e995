"""RNN, LSTM and GRU of torch, layer by layer, and their cells inside a loop over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.operator_reader import recurrences
from edgernn_export.operator_reader.operators import Handler, Operator, numbers
from edgernn_export.operator_reader.selections import joined, sliced
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, is_constant

_STATES: Final = (
    "Train with the zero state as the first one, or pass it as an input and return the next one."
)


@dataclass(frozen=True, slots=True)
class RecurrentKind:
    """What an operator or cell of torch is.

    Attributes:
        name: of the layer that it is.
        gates: rows of weights for each unit.
        states: number of states.
        function: of a SimpleRNN.
    """

    name: str
    gates: int
    states: int
    function: str = "tanh"


#: Operators of whole layers, and of cells, without "_cell".
KINDS: Final = {
    "gru": RecurrentKind("GRU", 3, 1),
    "lstm": RecurrentKind("LSTM", 4, 2),
    "rnn_relu": RecurrentKind("SimpleRNN", 1, 1, "relu"),
    "rnn_tanh": RecurrentKind("SimpleRNN", 1, 1),
}


def _layers(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """A recurrent operator of ATen, or one that `whole_operators` has in its place."""
    kind, places = KINDS[operator.kind], operator.attribute("places")
    given = iter(range(len(places)))
    value = operator.traced(next(given))
    states, arrays = operator.given(next(given)), operator.given(next(given))
    biased, count = bool(operator.given(next(given))), int(operator.given(next(given)))
    dropout, training = float(operator.given(next(given))), bool(operator.given(next(given)))
    both, first_batch = bool(operator.given(next(given))), bool(operator.given(next(given)))
    if training and dropout:
        raise OperatorRefused(
            "a network in evaluation mode", f"dropout={dropout:g} in training mode",
            "Call module.eval() before the export.",
        )  # fmt: skip
    if isinstance(arrays, bool):
        raise OperatorRefused(
            "a recurrent operator on padded readings", "one on a packed sequence",
            "Pass the module itself instead of a saved program.",
        )  # fmt: skip
    starts = _starts(states if isinstance(states, (list, tuple)) else [states])
    weights = [numbers(np.asarray(one)) for one in arrays]
    turns = (False, True) if both else (False,)
    ends: list[list[Traced]] = [[] for _ in range(kind.states)]
    per_layer = len(weights) // (count * len(turns))
    for layer in range(count):
        made = []
        for index, backward in enumerate(turns):
            start = (layer * len(turns) + index) * per_layer
            name = trace.name + (f"_l{layer}" if count > 1 else "") + "_reverse" * backward
            rows = weights[start : start + per_layer]
            made.append(_layer(kind, name, trace.origin, rows, biased, backward))
        hidden = weights[layer * len(turns) * per_layer + 1].shape[1]
        cells = len(weights[layer * len(turns) * per_layer]) // kind.gates
        begun = [_of_layer(trace, one, layer, count, len(turns)) for one in starts]
        found = recurrences.recurrent(
            trace, value, (1, 0, 2) if first_batch else (0, 1, 2), made,
            begun or [None] * kind.states, units=hidden, cells=cells,
        )  # fmt: skip
        value = _side_by_side(found.sequence("BTSF" if first_batch else "TBSF"))
        for index, collected in enumerate(ends):
            collected.append(found.state(index, "SBF"))
    last = [joined(trace, states, 0) if len(states) > 1 else states[0] for states in ends]
    return [[value, *last]]


def _side_by_side(value: Traced) -> Traced:
    """Directions and features as one axis."""
    *before, stack, features = value.axes
    return Traced((*before, (*stack, *features)), value.members)


def _layer(
    kind: RecurrentKind,
    name: str,
    origin: str,
    arrays: Sequence[FloatArray],
    biased: bool,
    backward: bool,
) -> StoredLayer:
    """A layer in one direction."""
    weights = RecurrentWeights(
        order="torch",
        kernel=arrays[0],
        recurrent=arrays[1],
        biases=(arrays[2], arrays[3]) if biased else (),
        projection=arrays[-1] if len(arrays) in (3, 5) else None,
    )
    form = RecurrentForm(function=kind.function, backward=backward, reordered=backward)
    return recurrent(kind.name, name, origin, weights, form)


def _starts(states: Sequence[Any]) -> list[Traced]:
    """States that are no zeros; none where all are.

    Raises:
        OperatorRefused: a constant that is not zero, or only some of the states are given.
    """
    for state in states:
        if is_constant(state) and np.any(state):
            raise OperatorRefused(
                "first states of zero, or ones that are inputs of the network", "others", _STATES
            )
    found = [state for state in states if isinstance(state, Traced)]
    if found and len(found) != len(states):
        raise OperatorRefused(
            "all first states, or none", f"{len(found)} of {len(states)}", _STATES
        )
    return found


def _of_layer(trace: CallTrace, state: Traced, layer: int, count: int, turns: int) -> Traced:
    """The states of one layer, of those of all layers."""
    if count == 1:
        return state
    return sliced(trace, state, 0, layer * turns, (layer + 1) * turns)


RECURRENT: Final[dict[str, Handler]] = dict.fromkeys(KINDS, _layers)
