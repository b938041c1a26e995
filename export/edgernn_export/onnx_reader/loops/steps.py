"""What a loop reads and gives, over all steps: the recurrent layers that its body is a step of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.onnx_reader.constants import folded
from edgernn_export.onnx_reader.loops.body_values import BodyValues
from edgernn_export.onnx_reader.loops.step_records import StepOf
from edgernn_export.onnx_reader.nodes import StepBody
from edgernn_export.onnx_reader.wording import ONNX, unsupported
from edgernn_export.operator_reader import recurrences
from edgernn_export.operator_reader.graphs.network import OperatorGraph, applied
from edgernn_export.operator_reader.loops.written_cells import WrittenCell
from edgernn_export.operator_reader.operators import Handler, OperatorNode, leading_to
from edgernn_export.operator_reader.selections import joined
from edgernn_export.operator_reader.shapes import transposed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import UNKNOWN, Axis, AxisKind, Traced, is_constant

_AGAIN: Final = "Export the network again."
_ONE_STREAM: Final = "Export the network with a batch of 1."


class LoopSteps:
    """Values of a body over all steps: readings, and what layers give.

    Args:
        trace: takes calls.
        node: the loop.
        body: of the loop.
        handlers: of operators outside the recurrence.
    """

    def __init__(
        self,
        trace: CallTrace,
        node: OperatorNode,
        body: StepBody,
        handlers: Mapping[str, Handler],
    ) -> None:
        """Take the loop."""
        self._trace, self._node, self._body = trace, node, body
        self._graph = OperatorGraph(
            name=node.name, origin=node.origin, inputs=(), constants=body.constants,
            nodes=body.nodes, outputs=body.outputs, handlers=handlers, folded=folded,
            unsupported=lambda one: unsupported(one, handlers), wording=ONNX,
        )  # fmt: skip
        self._time: Axis = ()
        self._backward: bool | None = None
        self._values: dict[str, Any] = dict(body.constants)
        self._cells = 0

    def taken(self, given: StepOf) -> Traced:
        """Readings with axes (steps, streams, features).

        Raises:
            OperatorRefused: they have others, or the loop reads others in the other direction.
        """
        value = given.value
        if value.rank != 3:
            raise OperatorRefused("readings of three axes", f"{value.rank}", _AGAIN)
        backward = value.backward != given.turned
        if self._backward not in (None, backward):
            raise OperatorRefused(
                "readings in one direction", "some forward and some backward",
                "Train with a loop for each direction.",
            )  # fmt: skip
        self._backward = backward
        value = replace(self._trace.swapped(value, 0, 1), backward=False)
        for place, kind in enumerate((AxisKind.TIME, AxisKind.BATCH, AxisKind.FEATURES)):
            value = self._trace.need(value, place, kind)
        self._time = value.axes[0]
        return value

    def outside(self, node: OperatorNode, values: Mapping[str, Any]) -> Sequence[Any]:
        """What an operator gives that reads values of all steps."""
        origin, own = self._trace.origin, self._trace.name
        results = applied(self._graph, node, values, self._trace)
        self._trace.origin, self._trace.name = origin, own
        return results

    def run(
        self, cell: WrittenCell, values: BodyValues, starts: Sequence[Any], name: str
    ) -> recurrences.Recurrence | None:
        """A cell over all steps; None where what it reads was refused.

        Args:
            cell: of the body.
            values: of the body.
            starts: what its states begin with.
            name: of its new state in the body.

        Raises:
            OperatorRefused: it reads, or begins with, something else.
        """
        for one, value in values.values.items():
            if is_constant(value):
                self._values.setdefault(one, value)
        for one, rows in values.readings.items():
            self._values.setdefault(one, Traced(rows.axes[1:], rows.members))
        read = [self._value(one) for one in cell.readings]
        if any(one is UNKNOWN for one in read):
            return None
        backward = bool(self._backward)
        constant = all(is_constant(start) for start in starts)
        weights = RecurrentWeights(
            order="torch", kernel=cell.kernel, recurrent=cell.recurrent, biases=cell.biases,
            start=recurrences.first_states(starts, _ONE_STREAM) if constant else None,
        )  # fmt: skip
        form = RecurrentForm(
            gate=cell.gate, function=cell.function, reset_after=cell.reset_after,
            backward=backward, reordered=backward,
        )  # fmt: skip
        trace = self._trace
        self._cells += 1
        own = trace.name if self._cells == 1 else f"{trace.name}_{self._cells}"
        layer = recurrent(cell.kind, own, trace.origin, weights, form)
        given = joined(trace, [self._over_time(one) for one in read], -1)
        states = [None if is_constant(start) else start for start in starts]
        made = recurrences.recurrent(
            trace, given, (0, 1, 2), [layer], states, units=cell.recurrent.shape[1]
        )
        self._values[name] = made.sequence("BF")
        return made

    def rows(
        self, names: Sequence[str], prepended: Sequence[bool], axes: Sequence[int] | None
    ) -> list[Any]:
        """Values of all steps, in the order in which the loop gives them.

        Args:
            names: in the body.
            prepended: of each, whether the last step comes first.
            axes: of each, the place of the steps; None: the first one.
        """
        made: list[Any] = []
        for index, (name, turned) in enumerate(zip(names, prepended, strict=True)):
            value = self._value(name)
            if not isinstance(value, Traced):
                made.append(value)
                continue
            value = self._over_time(value)
            place = int(axes[index]) % value.rank if axes else 0
            order = list(range(1, value.rank))
            order.insert(place, 0)
            made.append(replace(transposed(value, order), backward=self._backward != turned))
        return made

    def _over_time(self, value: Traced) -> Traced:
        return Traced((self._time, *value.axes), value.members)

    def _value(self, name: str) -> Any:
        """A value of the body that no state is needed for, with axes (streams, features)."""
        origin, own = self._trace.origin, self._trace.name
        left = [node for node in self._body.nodes if not self._knows(node)]
        for node in leading_to([name], left):
            results = applied(self._graph, node, self._values, self._trace)
            self._values |= dict(zip(node.outputs, results, strict=False))
        self._trace.origin, self._trace.name = origin, own
        if name not in self._values:
            raise OperatorRefused("rows that the body computes", f"{name!r:.60}", _AGAIN)
        return self._values[name]

    def _knows(self, node: OperatorNode) -> bool:
        return all(name in self._values for name in node.outputs if name)
