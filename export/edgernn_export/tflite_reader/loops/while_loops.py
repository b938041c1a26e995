"""WHILE: a loop over all steps of the readings, and the recurrent layers that its body is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.operator_reader import recurrences
from edgernn_export.operator_reader.loops.step_algebra import one_factor
from edgernn_export.operator_reader.loops.written_cells import WrittenCell, written_cells
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.selections import joined
from edgernn_export.operator_reader.shapes import unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import UNKNOWN, AxisKind, Traced, is_constant, size_of
from edgernn_export.tflite_reader.loops.loop_records import (
    LoopGraph,
    StepCount,
    StepLimit,
    StoredRows,
    Unknown,
)
from edgernn_export.tflite_reader.loops.loop_values import LoopValues
from edgernn_export.tflite_reader.wording import KERAS_FILE

_AGAIN: Final = "Convert the network again."
_ONE_STREAM: Final = "Convert the network with a batch of 1."
_CELLS: Final = f"Train with SimpleRNN, GRU or LSTM layers, without masks. {KERAS_FILE}"


@dataclass(slots=True, kw_only=True, eq=False)
class _Loop:
    """What a loop passes on from step to step.

    Attributes:
        body: what it runs.
        given: inputs of the body by name.
        states: places of what changes with the readings.
        rows: places of rows that it fills.
        counters: places of numbers that count the steps.
        results: what it gives, by place.
    """

    body: LoopGraph
    given: dict[str, Any] = field(default_factory=dict)
    states: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    counters: list[int] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)

    def after(self, state: int) -> str:
        """Name of a state after a step."""
        return self.body.outputs[self.states[state]]


def _loop_of(operator: Operator) -> _Loop:
    """The loop, with what it passes on told apart."""
    body, starts = operator.attribute("body"), operator.inputs
    if not isinstance(body, LoopGraph) or not len(body.inputs) == len(body.outputs) == len(starts):
        raise OperatorRefused("a body for what the loop passes on", "another one", _AGAIN)
    loop = _Loop(body=body)
    for place, (name, start) in enumerate(zip(body.inputs, starts, strict=True)):
        if body.outputs[place] == name:
            loop.given[name] = loop.results[place] = start
        elif not is_constant(start):
            _check_state(start)
            loop.given[name] = one_factor(_width(start), ("s", len(loop.states)))
            loop.states.append(place)
        elif start.size == 1 and start.dtype.kind in "iu":
            loop.given[name] = StepCount(int(start.reshape(())))
            loop.counters.append(place)
        elif start.ndim == 3:
            loop.given[name] = StoredRows(len(start))
            loop.rows.append(place)
        else:
            loop.given[name] = one_factor(start.shape[-1] if start.ndim else 1,
                                          ("s", len(loop.states)))  # fmt: skip
            loop.states.append(place)
    return loop


def _check_state(start: Any) -> None:
    if not isinstance(start, Traced) or start.rank != 2:
        raise OperatorRefused("states of two axes", "others", _CELLS)


def _width(start: Traced) -> int:
    size = size_of(start.axes[-1])
    return size if isinstance(size, int) else 0


def _while(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    loop = _loop_of(operator)
    run = _Run(trace, operator)
    settled: dict[str, int] = {}
    left = set(range(len(loop.states)))
    while True:
        values = LoopValues(loop.body, loop.given, settled)
        _check_steps(trace, operator, loop, values)
        cells = written_cells(
            values.algebra,
            left,
            lambda state: values.sum_of(loop.after(state)),  # noqa: B023
        )
        if not cells:
            break
        for cell in cells:
            own = [loop.after(state) for state in cell.states]
            starts = [operator.given(loop.states[state]) for state in cell.states]
            made = run.cell(cell, values, starts, own[0])
            settled[own[0]] = made.units
            for index, state in enumerate(cell.states):
                loop.results[loop.states[state]] = made.state(index, "BF")
            left -= set(cell.states)
    if left or not settled:
        raise _unknown_step(values, [loop.after(state) for state in sorted(left)])
    for place in loop.rows:
        name = loop.body.outputs[place]
        loop.results[place] = run.rows(values, name)
    return [loop.results.get(place, UNKNOWN) for place in range(len(loop.body.outputs))]


def _check_steps(trace: CallTrace, operator: Operator, loop: _Loop, values: LoopValues) -> None:
    """Refuse loops that do not take every reading once, in order."""
    for place in loop.counters:
        before, after = (values.of(names[place]) for names in (loop.body.inputs, loop.body.outputs))
        if not isinstance(before, StepCount) or after != StepCount(before.offset + 1):
            raise OperatorRefused("a counter of the steps", "another number", _CELLS)
    if not values.readings:
        names = [loop.after(state) for state in range(len(loop.states))]
        raise _unknown_step(values, names)
    condition = operator.attribute("condition")
    if not isinstance(condition, LoopGraph) or len(condition.outputs) != 1:
        raise OperatorRefused("a condition of one output", "another", _AGAIN)
    given = {
        name: loop.given[inner]
        for name, inner in zip(condition.inputs, loop.body.inputs, strict=False)
    }
    limit = LoopValues(condition, given, {}).of(condition.outputs[0])
    sizes = {value.sizes[0] for value in values.readings.values()}
    bounds = limit.bounds if isinstance(limit, StepLimit) else ()
    good = len(sizes) == 1 and bounds and all({bound} == sizes for _, bound in bounds)
    if not trace.is_trial and (not good or any(offset for offset, _ in bounds)):
        raise OperatorRefused("a loop over all readings", "another number of steps", _CELLS)


class _Run:
    """Cells of a loop, one behind another, over all steps."""

    def __init__(self, trace: CallTrace, operator: Operator) -> None:
        self._trace = trace
        self._name = operator.node.name
        self._made: dict[str, recurrences.Recurrence] = {}
        self._backward = False

    def cell(
        self, cell: WrittenCell, values: LoopValues, starts: Sequence[Any], name: str
    ) -> recurrences.Recurrence:
        """A cell over all steps; its new state has a name in the body."""
        trace = self._trace
        read = [self._value(one, values) for one in cell.readings]
        constant = all(is_constant(start) for start in starts)
        weights = RecurrentWeights(
            order="torch", kernel=cell.kernel, recurrent=cell.recurrent, biases=cell.biases,
            start=recurrences.first_states(starts, _ONE_STREAM) if constant else None,
        )  # fmt: skip
        form = RecurrentForm(
            gate=cell.gate, function=cell.function, reset_after=cell.reset_after,
            backward=self._backward, reordered=self._backward,
        )  # fmt: skip
        own = f"{self._name}_{len(self._made) + 1}" if self._made else self._name
        layer = recurrent(cell.kind, own, trace.origin, weights, form)
        states = [None if is_constant(start) else start for start in starts]
        made = recurrences.recurrent(
            trace, joined(trace, read, -1), (0, 1, 2), [layer], states,
            units=cell.recurrent.shape[1],
        )  # fmt: skip
        self._made[name] = made
        return made

    def rows(self, values: LoopValues, name: str) -> Any:
        """What the loop fills rows with: the outputs of all steps, or of the last one."""
        rows = values.of(name)
        if not isinstance(rows, StoredRows):  # one row alone, which each step replaces
            rows = StoredRows(1, "all", name)
        vector = values.of(rows.written)
        factors = vector.products if hasattr(vector, "products") else {}
        found = [key[0][1] for key in factors if len(key) == 1 and key[0][0] == "x"]
        plain = len(factors) == 1 and not vector.matrices and not vector.bias.any()
        if not plain or not found or found[0] not in self._made or set(factors.values()) != {1.0}:
            raise _unknown_step(values, [name])
        made = self._made[found[0]].sequence("TBF")
        if rows.count == 1 and size_of(made.axes[0]) != 1:
            return unsqueezed(self._made[found[0]].state(0, "BF"), [0])
        if rows.count != size_of(made.axes[0]) and not self._trace.is_trial:
            raise OperatorRefused("rows of all steps, or of one", f"{rows.count}", _CELLS)
        return replace(made, backward=self._backward)

    def _value(self, name: str, values: LoopValues) -> Traced:
        if name in self._made:
            return self._made[name].sequence("TBF")
        value = values.readings.get(name)
        if value is None or value.rank != 3:
            raise OperatorRefused("readings of three axes", "others", _CELLS)
        self._backward = value.backward
        if any(one.backward != value.backward for one in values.readings.values()):
            raise OperatorRefused(
                "readings in one direction", "some forward and some backward", _CELLS
            )
        value = replace(self._trace.swapped(value, 0, 1), backward=False)
        for place, kind in enumerate((AxisKind.TIME, AxisKind.BATCH, AxisKind.FEATURES)):
            value = self._trace.need(value, place, kind)
        return value


def _unknown_step(values: LoopValues, names: Sequence[str]) -> OperatorRefused:
    unknown = [value.kind for name in names if isinstance(value := values.of(name), Unknown)]
    got = f"one with {unknown[0]}" if unknown else "a step of another cell"
    return OperatorRefused("a body that is one step of a SimpleRNN, GRU or LSTM", got, _CELLS)


WHILE: Final[dict[str, Handler]] = {"WHILE": _while}
