"""Loop and Scan over the steps of readings, whose body is a step of recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edgernn_export.onnx_reader.loops.body_values import (
    BodyValues,
    allows,
    steps_first,
    without_identities,
)
from edgernn_export.onnx_reader.loops.own_cells import own_results
from edgernn_export.onnx_reader.loops.step_records import Iteration, Permission, RowList, StepOf
from edgernn_export.onnx_reader.loops.steps import LoopSteps
from edgernn_export.onnx_reader.nodes import StepBody
from edgernn_export.operator_reader.loops.step_algebra import one_factor
from edgernn_export.operator_reader.loops.written_cells import written_cells
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.shapes import transposed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import UNKNOWN, Traced, is_constant

_AGAIN: Final = "Export the network again."
_CELLS: Final = (
    "Train with SimpleRNN, GRU or LSTM layers, without masks. Of a Keras model, pass the .keras "
    "file."
)
#: Trip counts from here on mean: as often as the condition allows.
_FOREVER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CarriedState:
    """A state of a loop.

    Attributes:
        before: name of its value before a step.
        after: name of its value after it.
        start: what it begins with.
        place: among the values that the loop passes on.
    """

    before: str
    after: str
    start: Any
    place: int


@dataclass(slots=True, kw_only=True, eq=False)
class _Way:
    """How a loop goes over the steps.

    Attributes:
        body: what it runs.
        given: values of the body by name.
        states: what changes from step to step.
        kept: results for values that are passed on unchanged, by place.
        counters: names before and after a step, of numbers that count the steps.
        rows: names of what it puts in a row, step by step.
        prepended: of each, whether the last step comes first.
        lists: name of what it appends to a list, by the place of the list.
        condition: name of what lets it go on; "" where nothing stops it.
        trips: how often it goes at most; None: as often as the condition allows.
    """

    body: StepBody
    given: dict[str, Any]
    states: list[CarriedState] = field(default_factory=list)
    kept: dict[int, Any] = field(default_factory=dict)
    counters: list[tuple[str, str]] = field(default_factory=list)
    rows: tuple[str, ...] = ()
    prepended: tuple[bool, ...] = ()
    lists: dict[int, str] = field(default_factory=dict)
    condition: str = ""
    trips: Any = None

    def carry(self, befores: Sequence[str], afters: Sequence[str], starts: Sequence[Any]) -> None:
        """Tell apart what is passed on: states, counters, and what stays the same."""
        for place, (before, after, start) in enumerate(zip(befores, afters, starts, strict=True)):
            after = without_identities(self.body, after)
            if isinstance(start, RowList):
                self.given[before] = start
                self.lists[place] = self._appended(before, after, start)
            elif after == before:
                self.given[before] = self.kept[place] = start
            elif is_constant(start) and start.size == 1 and start.dtype.kind in "iu":
                self.given[before] = Iteration(int(start.reshape(())))
                self.counters.append((before, after))
            else:
                state = CarriedState(before=before, after=after, start=start, place=place)
                width = _width_of(start)
                self.given[before] = one_factor(width, ("s", len(self.states)))
                self.states.append(state)

    def _appended(self, before: str, after: str, start: RowList) -> str:
        """The name of what the body appends to a list."""
        for node in self.body.nodes:
            names = [getattr(one, "name", "") for one in node.inputs]
            appends = node.kind == "SequenceInsert" and after in node.outputs and len(names) == 2
            if appends and names[0] == before and start.rows is None:
                return names[1]
        raise OperatorRefused(
            "an empty list, to which each step appends a row", "another list", _CELLS
        )


def _width_of(start: Any) -> int:
    """Width of a state; 0 if it is open."""
    rank = start.ndim if is_constant(start) else start.rank
    if rank != 2:
        raise OperatorRefused("states of two axes, streams and features", f"{rank}", _AGAIN)
    if is_constant(start):
        return int(start.shape[1])
    return next((atom.size or 0 for atom in start.axes[1]), 1)


def loops(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """What reads Loop and Scan.

    Args:
        handlers: of the operators that their bodies may have outside the recurrence.
    """

    def loop(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        return _read(trace, operator, _way_of_loop(operator), handlers)

    def scan(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        made = own_results(trace, operator)
        return _read(trace, operator, _way_of_scan(operator), handlers) if made is None else made

    return {
        "ConcatFromSequence": _of_list, "Loop": loop, "Scan": scan, "SequenceEmpty": _empty_list,
    }  # fmt: skip


def _empty_list(_: CallTrace, operator: Operator) -> Sequence[Any]:
    del operator
    return [RowList()]


def _of_list(_: CallTrace, operator: Operator) -> Sequence[Any]:
    """The rows of all steps side by side."""
    given = operator.given(0)
    if (
        not isinstance(given, RowList)
        or given.rows is None
        or not operator.attribute("new_axis", 0)
    ):
        raise OperatorRefused(
            "rows that a loop appended, side by side along a new axis", "others", _CELLS
        )
    rows = given.rows
    order = list(range(1, rows.rank))
    order.insert(rows.place(int(operator.attribute("axis"))), 0)
    return [transposed(rows, order)]


def _body(operator: Operator) -> tuple[StepBody, list[Any], dict[str, Any]]:
    """The body, the inputs of the loop, and what the body captures."""
    body = operator.attribute("body")
    if not isinstance(body, StepBody):
        raise OperatorRefused("a body of operators", "none", _AGAIN)
    own = operator.attribute("own_inputs")
    captured = dict(zip(body.captured, operator.inputs[own:], strict=True))
    return body, list(operator.inputs[:own]), captured


def _way_of_loop(operator: Operator) -> _Way:
    body, inputs, given = _body(operator)
    trips, condition = (inputs[place] if place < len(inputs) else None for place in range(2))
    starts = inputs[2:]
    if condition is not None and not (is_constant(condition) and allows(condition)):
        raise OperatorRefused("a loop that runs", "one that may not begin", _CELLS)
    count = len(starts)
    if len(body.inputs) != count + 2 or len(body.outputs) < count + 1:
        got = f"a body of {len(body.inputs)} inputs and {len(body.outputs)} outputs"
        raise OperatorRefused(f"a body that passes on {count} values", got, _AGAIN)
    number, goes_on, *befores = body.inputs
    way = _Way(body=body, given=given | {number: Iteration(), goes_on: Permission()})
    way.carry(befores, body.outputs[1 : count + 1], starts)
    way.rows = body.outputs[count + 1 :]
    way.prepended = (False,) * len(way.rows)
    way.condition = body.outputs[0]
    if trips is not None:
        if not is_constant(trips) or trips.size != 1:
            raise OperatorRefused("as many steps as readings", "another number", _CELLS)
        way.trips = trips.reshape(-1)[0]
    return way


def _way_of_scan(operator: Operator) -> _Way:
    body, inputs, given = _body(operator)
    if operator.version < 9:
        raise OperatorRefused("a Scan of opset 9 or newer", "one of opset 8", _AGAIN)
    rows = int(operator.attribute("num_scan_inputs"))
    count = len(inputs) - rows
    if rows < 1 or count < 0 or len(body.inputs) != len(inputs) or len(body.outputs) < count:
        got = f"a body of {len(body.inputs)} inputs and {len(body.outputs)} outputs"
        raise OperatorRefused(f"a body for {len(inputs)} inputs", got, _AGAIN)
    axes = operator.attribute("scan_input_axes", [0] * rows)
    turned = operator.attribute("scan_input_directions", [0] * rows)
    for name, value, axis, way_back in zip(
        body.inputs[count:], inputs[count:], axes, turned, strict=True
    ):
        if not isinstance(value, Traced):
            raise OperatorRefused("readings at every step", "constants", _CELLS)
        given[name] = StepOf(steps_first(value, value.place(int(axis))), turned=bool(way_back))
    way = _Way(body=body, given=given)
    way.carry(body.inputs[:count], body.outputs[:count], inputs[:count])
    way.rows = body.outputs[count:]
    way.prepended = tuple(
        bool(one) for one in operator.attribute("scan_output_directions", [0] * len(way.rows))
    )
    return way


def _read(
    trace: CallTrace, operator: Operator, way: _Way, handlers: Mapping[str, Handler]
) -> Sequence[Any]:
    """The results of a loop: last values of what it passes on, and rows of all steps."""
    steps = LoopSteps(trace, operator.node, way.body, handlers)
    settled: dict[str, int] = {}
    left = set(range(len(way.states)))
    ends: dict[int, Any] = {}
    while True:
        values = BodyValues(way.body, way.given, settled, steps.taken, steps.outside)
        _check_way(trace, way, values)
        cells = written_cells(
            values.algebra,
            left,
            lambda place: values.sum_of(way.states[place].after),  # noqa: B023
        )
        if not cells:
            break
        for cell in cells:
            states = [way.states[place] for place in cell.states]
            made = steps.run(cell, values, [state.start for state in states], states[0].after)
            if made is None:
                return [UNKNOWN] * len(operator.node.outputs)
            settled[states[0].after] = made.units
            for index, state in enumerate(states):
                ends[state.place] = made.state(index, "BF")
            left -= set(cell.states)
    if left or not settled:
        raise _unknown_step(values, [way.states[place].after for place in sorted(left)])
    listed = list(way.lists.values())
    rows = [without_identities(way.body, name) for name in (*way.rows, *listed)]
    if any(values.reads_state(name) for name in rows):
        raise _unknown_step(values, rows)
    turned = (*way.prepended, *[False] * len(listed))
    made_rows = steps.rows(rows, turned, operator.attribute("scan_output_axes"))
    lists = {
        place: RowList(value) if isinstance(value, Traced) else UNKNOWN
        for place, value in zip(way.lists, made_rows[len(way.rows) :], strict=True)
    }
    passed_on = {**way.kept, **ends, **lists}
    count = len(way.states) + len(way.kept) + len(way.counters) + len(lists)
    return [
        *(passed_on.get(place, UNKNOWN) for place in range(count)), *made_rows[: len(way.rows)]
    ]  # fmt: skip


def _check_way(trace: CallTrace, way: _Way, values: BodyValues) -> None:
    """Refuse loops that do not take every reading once, in order."""
    for before, after in way.counters:
        start = way.given[before]
        if values.of(after) != Iteration(start.offset + 1):
            raise OperatorRefused("a counter of the steps", "another number", _CELLS)
    if not values.readings:
        raise OperatorRefused(
            "a loop that takes one reading at every step",
            "one that takes none", _CELLS,
        )  # fmt: skip
    if not way.condition:
        return
    allowed = values.of(way.condition)
    if not isinstance(allowed, Permission) and not allows(allowed):
        raise OperatorRefused(
            "a loop over all readings", _what_is_unreadable(values, [way.condition]), _CELLS
        )
    bounds = list(allowed.bounds) if isinstance(allowed, Permission) else []
    ends = [size for offset, size in bounds if offset == 1]
    if way.trips is not None and not (isinstance(way.trips, (int, np.integer)) and (
        way.trips >= _FOREVER
    )):  # fmt: skip
        ends.append(way.trips)
    sizes = {rows.sizes[0] for rows in values.readings.values()}
    if trace.is_trial:
        return
    if not ends or len(sizes) != 1 or any({bound} != sizes for bound in ends):
        raise OperatorRefused("a loop over all readings", "another number of steps", _CELLS)
    if any({size} != sizes for offset, size in bounds):
        raise OperatorRefused("a loop over all readings", "a condition of other sizes", _CELLS)


def _what_is_unreadable(values: BodyValues, names: Sequence[str]) -> str:
    kind = next((getattr(values.of(name), "kind", "") for name in names), "")
    return f"{kind} in its body" if kind else "another one"


def _unknown_step(values: BodyValues, names: Sequence[str]) -> OperatorRefused:
    kinds = [getattr(values.of(name), "kind", "") for name in names]
    kind = next(filter(None, kinds), "")
    got = f"one with {kind}" if kind else "a step of another cell"
    return OperatorRefused("a body that is one step of a SimpleRNN, GRU or LSTM", got, _CELLS)
