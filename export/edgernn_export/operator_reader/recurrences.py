"""Recurrent operators: one or two directions of one layer over the steps of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.operator_reader.operators import numbers
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import (
    Atom,
    Axis,
    AxisKind,
    Traced,
    members_of,
    sizes_array,
)

_STATES = (
    "Train with the zero state as the first one, or pass all states of the network as inputs and "
    "return the next ones as outputs."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recurrence:
    """What a recurrent operator gives.

    Attributes:
        outputs: of every direction, at all steps.
        states: h, and c of an LSTM, of every direction.
        time, batch: axes of the steps and the streams.
        units: width of the outputs.
        cells: width of c.
    """

    outputs: list[CallResult]
    states: list[list[CallResult]]
    time: Axis
    batch: Axis
    units: int
    cells: int

    def sequence(self, order: str) -> Traced:
        """The outputs with axes in an order: T for steps, S directions, B streams, F features."""
        return self._value(self.outputs, order, self.units)

    def state(self, index: int, order: str) -> Traced:
        """A state, 0 for h and 1 for c, with axes in an order as above."""
        tensors = [states[index] for states in self.states]
        return self._value(tensors, order, self.cells if index else self.units)

    def _value(self, tensors: Sequence[CallResult], order: str, width: int) -> Traced:
        count = len(tensors)
        stack: Axis = (Atom(AxisKind.STACK, count),) if count > 1 else ()
        named = {
            "T": self.time, "B": self.batch, "S": stack, "F": (Atom(AxisKind.FEATURES, width),)
        }  # fmt: skip
        like = sizes_array(range(count)).reshape((count,) if count > 1 else ())
        return Traced(tuple(named[letter] for letter in order), members_of(tensors, like))


def recurrent(
    trace: CallTrace,
    value: Traced,
    places: tuple[int, int, int],
    layers: Sequence[StoredLayer],
    states: Sequence[Traced | None],
    *,
    units: int,
    cells: int | None = None,
) -> Recurrence:
    """Apply the layers of one or two directions.

    Args:
        trace: takes calls.
        value: what they read.
        places: of its steps, streams and features.
        layers: a described layer for each direction.
        states: h, and c of an LSTM, with axes (directions, streams, features), or (streams,
            features) of a single direction; None for zeros.
        units: width of the outputs.
        cells: width of c, where it differs.

    Raises:
        OperatorRefused: the axes are others, or only some of the states are given.
    """
    time, batch, _ = places
    value = trace.swapped(value, time, batch)
    for place, kind in zip(places, (AxisKind.TIME, AxisKind.BATCH, AxisKind.FEATURES), strict=True):
        value = trace.need(value, place, kind)
    given = [state for state in states if state is not None]
    if given and len(given) != len(states):
        got = f"{len(given)} of {len(states)}"
        raise OperatorRefused("all initial states of the operator, or none", got, _STATES)
    begun = [_by_direction(trace, state, len(layers)) for state in given]
    outputs, ends = [], []
    for index, layer in enumerate(layers):
        start = [tensors[index] for tensors in begun]
        output = trace.call(layer, [value.tensor, *start])
        outputs.append(output)
        ends.append([CallResult(call=output.call, index=1 + k) for k in range(len(states))])
    return Recurrence(
        outputs=outputs,
        states=ends,
        time=value.axes[time],
        batch=value.axes[batch],
        units=units,
        cells=cells or units,
    )


def first_states(starts: Sequence[Any], cure: str) -> FloatArray | None:
    """What constant states begin with, one behind the other; None for zeros.

    Args:
        starts: [B, H] or [H] each.
        cure: what helps where streams begin with different states.

    Raises:
        OperatorRefused: they do.
    """
    parts = []
    for start in starts:
        rows = numbers(start)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim else rows.reshape(1, 1)
        if not len(rows) or (rows != rows[0]).any():
            raise OperatorRefused(
                "the same initial state for all streams", f"{len(rows)} different ones", cure
            )
        parts.append(rows[0])
    return np.concatenate(parts) if any(part.any() for part in parts) else None


def _by_direction(trace: CallTrace, state: Traced, count: int) -> list[CallResult]:
    """The tensors of a state, one for each direction."""
    if state.rank == 3:
        axis = state.axes[0]
        if len(axis) == 1 and axis[0].kind is None:
            state = trace.need(state, 0, AxisKind.STACK)
    names = {atom.source[0] for atom in state.atoms if atom.source is not None}
    for place, kind in ((-1, AxisKind.FEATURES), (-2, AxisKind.BATCH)):
        state = trace.need(state, state.rank + place, kind)
    if trace.is_trial and state.rank == 2:  # a third axis of an input was that of the directions
        for name in names:
            for place in range(3):
                trace.demanded.setdefault((name, place), AxisKind.STACK)
    tensors = state.tensors
    if len(tensors) == 1 and state.axes[0] and state.axes[0][0].kind is None:
        tensors = tensors * count
    if len(tensors) != count:
        if trace.is_trial:
            return [tensors[0]] * count
        raise OperatorRefused(f"states of {count} directions", f"of {len(tensors)}", _STATES)
    return tensors
