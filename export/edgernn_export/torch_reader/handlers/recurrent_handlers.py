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
from edgernn_export.operator_reader.selections import joined, last_step, sliced
from edgernn_export.operator_reader.shapes import unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused, told
from edgernn_export.operator_reader.values import Atom, AxisKind, Traced, is_constant

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
    """A recurrent operator of ATen, or one of `whole_operators`."""
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
    states = states if isinstance(states, (list, tuple)) else [states]
    starts = _starts(states)
    weights = [numbers(np.asarray(one)) for one in arrays]
    turns = (False, True) if both else (False,)
    ends: list[list[Traced]] = [[] for _ in range(kind.states)]
    per_layer = len(weights) // (count * len(turns))
    for layer in range(count):
        made = []
        hidden = weights[layer * len(turns) * per_layer + 1].shape[1]
        cells = len(weights[layer * len(turns) * per_layer]) // kind.gates
        for index, backward in enumerate(turns):
            place = layer * len(turns) + index
            name = trace.name + (f"_l{layer}" if count > 1 else "") + "_reverse" * backward
            rows = weights[place * per_layer : (place + 1) * per_layer]
            begin = None if starts else _start(states, place, (hidden, cells)[: kind.states])
            made.append(_layer(kind, name, trace.origin, rows, biased, backward, begin))
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
    start: FloatArray | None,
) -> StoredLayer:
    """A layer in one direction."""
    weights = RecurrentWeights(
        order="torch",
        kernel=arrays[0],
        recurrent=arrays[1],
        biases=(arrays[2], arrays[3]) if biased else (),
        projection=arrays[-1] if len(arrays) in (3, 5) else None,
        start=start,
    )
    form = RecurrentForm(function=kind.function, backward=backward, reordered=backward)
    return recurrent(kind.name, name, origin, weights, form)


def _starts(states: Sequence[Any]) -> list[Traced]:
    """States that come from outside; none where all are constant.

    Raises:
        OperatorRefused: only some of the states are constant.
    """
    found = [state for state in states if isinstance(state, Traced)]
    others = [state for state in states if is_constant(state) and np.any(state)]
    if found and (others or len(found) != len(states)):
        raise OperatorRefused(
            "all first states, or none", f"{len(found)} of {len(states)}", _STATES
        )
    return found


def _start(states: Sequence[Any], place: int, widths: Sequence[int]) -> FloatArray | None:
    """What the states of a layer begin with, one behind the other; None for zeros or no constants.

    Args:
        states: constants [..., B, H], whose axes of size 1 broadcast, or None for zeros.
        place: of the layer, along the axis before the streams.
        widths: of the states.

    Raises:
        OperatorRefused: streams begin with different states.
    """
    if not any(is_constant(state) and np.any(state) for state in states):
        return None
    rows = []
    for state, width in zip(states, widths, strict=True):
        values = np.zeros((1, 1, 1)) if state is None else numbers(np.asarray(state))
        values = values.reshape((1,) * (3 - values.ndim) + values.shape)
        of_layer = values[place if len(values) > 1 else 0]
        if (of_layer != of_layer[0]).any():
            raise OperatorRefused(
                "the same first state for all streams", f"{len(of_layer)} different ones",
                "Begin all streams with one state, a parameter that is expanded.",
            )  # fmt: skip
        rows.append(np.broadcast_to(of_layer[0], width))
    found: FloatArray = np.concatenate(rows)
    return found


def _of_layer(trace: CallTrace, state: Traced, layer: int, count: int, turns: int) -> Traced:
    """The states of one layer, of those of all layers."""
    if count == 1:
        return state
    return sliced(trace, state, 0, layer * turns, (layer + 1) * turns)


def _cell(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """A cell of torch: in a loop over all steps, where its states are starts, or of one step."""
    kind = KINDS[operator.kind.removesuffix("_cell")]
    arrays = [numbers(np.asarray(one)) for one in operator.inputs[2:] if one is not None]
    units = arrays[1].shape[1]
    states = operator.given(1)
    states = states if isinstance(states, (list, tuple)) else [states] * kind.states
    begin = None if _starts(states) else _start(states, 0, (units,) * kind.states)
    layer = _layer(kind, trace.name, trace.origin, arrays, len(arrays) > 2, False, begin)
    if not operator.attribute("in_loop"):
        return [_one_step(trace, operator, kind, layer, units)]
    made = _over_steps(trace, operator.traced(0), layer, states, units)
    return [[made] * kind.states if kind.states > 1 else made]


def _one_step(
    trace: CallTrace, operator: Operator, kind: RecurrentKind, layer: StoredLayer, units: int
) -> Any:
    """The results of a cell for one reading."""
    states = operator.given(1)
    starts = _starts(states if isinstance(states, (list, tuple)) else [states])
    value = unsqueezed(operator.traced(0), [0])
    found = recurrences.recurrent(
        trace, value, (0, value.rank - 2, value.rank - 1), [layer],
        starts or [None] * kind.states, units=units,
    )  # fmt: skip
    made = [found.state(index, "BF") for index in range(kind.states)]
    return made if kind.states > 1 else made[0]


def _written_cell(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """A cell that operators of a loop compute."""
    cell = operator.attribute("cell")
    units = cell.recurrent.shape[1]
    states = operator.given(1)
    weights = RecurrentWeights(
        order="torch",
        kernel=cell.kernel,
        recurrent=cell.recurrent,
        biases=cell.biases,
        start=None if _starts(states) else _start(states, 0, (units,) * len(states)),
    )
    form = RecurrentForm(gate=cell.gate, function=cell.function, reset_after=cell.reset_after)
    layer = recurrent(cell.kind, trace.name, trace.origin, weights, form)
    value = joined(trace, list(operator.given(0)), -1)
    return [_over_steps(trace, value, layer, states, units)]


def _over_steps(
    trace: CallTrace, value: Traced, layer: StoredLayer, states: Sequence[Any], units: int
) -> Traced:
    """A layer over the steps of a loop, whose axis no value of the loop has."""
    starts = _starts(states)
    value = Traced(((Atom(AxisKind.TIME, None),), *value.axes), value.members)
    rank = value.rank
    found = recurrences.recurrent(
        trace, value, (0, rank - 2, rank - 1), [layer], starts or [None] * len(states), units=units
    )
    return found.sequence("BF")


def _step_of(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """Any step of a value, whose axis of steps is left out."""
    value, place = operator.traced(0), int(operator.given(1))
    value = trace.need(value, place, AxisKind.TIME)
    return [Traced(value.axes[:place] + value.axes[place + 1 :], value.members)]


def _all_steps(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """All steps of a result of a loop, along a new axis or in the place of one of size 1."""
    value, source, place = operator.traced(0), operator.traced(1), int(operator.given(2))
    steps = trace.need(source, place, AxisKind.TIME).axes[place]
    stacks = operator.kind.startswith("stack")
    rank = value.rank + stacks
    at = int(operator.given(3)) % rank
    single = value.axes[at] == (Atom(AxisKind.FEATURES, 1),)
    if not stacks and value.axes[at] and not single:
        raise OperatorRefused(
            "results of steps one behind another", f"along the {told(value.axes[at])}",
            "Join them with torch.stack.",
        )  # fmt: skip
    return [Traced((*value.axes[:at], steps, *value.axes[at + 1 - stacks :]), value.members)]


def _last_of(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """The result of the last step of a loop."""
    value = operator.traced(0)
    value = Traced(((Atom(AxisKind.TIME, None),), *value.axes), value.members)
    made = last_step(trace, value, 0)
    return [Traced(made.axes[1:], made.members)]


def _unknown_loop(_: CallTrace, operator: Operator) -> Sequence[Any]:
    """An element of a value that a loop of unknown cells reads."""
    del operator
    raise OperatorRefused(
        "a loop over the steps that passes on the states of nn.GRUCell, nn.LSTMCell, nn.RNNCell, "
        "or of a GRU, LSTM or RNN written out",
        "one that passes on something else",
        "Use one of these cells, and read each step without what the network gave before.",
    )


RECURRENT: Final[dict[str, Handler]] = {
    **dict.fromkeys(KINDS, _layers),
    **dict.fromkeys((f"{kind}_cell" for kind in KINDS), _cell),
    "cat_of_loop": _all_steps,
    "last_of_loop": _last_of,
    "stack_of_loop": _all_steps,
    "step_of": _step_of,
    "unknown_loop": _unknown_loop,
    "written_cell": _written_cell,
}
