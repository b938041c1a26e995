"""What operators of ONNX give in one step of a loop: sums of products, counters and conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.described.onnx_forms import function_of_node
from edgernn_export.onnx_reader.constants import folded, parts_of, slices_of
from edgernn_export.onnx_reader.loops.step_records import (
    Iteration,
    Permission,
    StepOf,
    Unreadable,
)
from edgernn_export.onnx_reader.nodes import StepBody
from edgernn_export.operator_reader.loops.step_algebra import (
    NoSum,
    ProductSum,
    StepAlgebra,
    added,
    matrix_of,
    one_factor,
    operand,
    times,
    whole,
)
from edgernn_export.operator_reader.operators import Operator, OperatorNode
from edgernn_export.operator_reader.shapes import transposed
from edgernn_export.operator_reader.trace import OperatorRefused
from edgernn_export.operator_reader.values import UNKNOWN, Traced, is_constant


class BodyValues:
    """The values of a body.

    Attributes:
        algebra: of the step.
        values: by name; vectors are sums of products, in which readings have their names in the
            body.
        readings: what the loop takes one step of at a time, with axes (steps, streams, features),
            by the name of that step.
    """

    def __init__(
        self,
        body: StepBody,
        given: Mapping[str, Any],
        settled: Mapping[str, int],
        taken: Callable[[StepOf], Traced],
        outside: Callable[[OperatorNode, Mapping[str, Any]], Sequence[Any]],
    ) -> None:
        """Follow the body.

        Args:
            body: of a loop.
            given: its inputs and what it captures, by name; sums of products are states.
            settled: widths of states after the step that known cells compute, by name.
            taken: gives values of the readings, or refuses them.
            outside: applies an operator that reads values of all steps.
        """
        self.algebra = StepAlgebra()
        self._taken, self._outside = taken, outside
        self.readings: dict[str, Traced] = {}
        self._of_state = {name for name, value in given.items() if isinstance(value, ProductSum)}
        self.values: dict[str, Any] = dict(body.constants)
        for name, value in given.items():
            self.values[name] = self.taken(value, name) if isinstance(value, StepOf) else value
        for node in body.nodes:
            results = self._results(node)
            for place, name in enumerate(node.outputs):
                value = results[place] if place < len(results) else Unreadable(node.kind)
                if name in settled:
                    value = one_factor(settled[name], ("x", name))
                elif not self._of_state.isdisjoint(node.reads()):
                    self._of_state.add(name)
                self.values[name] = value

    def of(self, name: str) -> Any:
        """A value; unreadable where there is none."""
        return self.values.get(name, Unreadable(""))

    def sum_of(self, name: str) -> ProductSum:
        """A vector.

        Raises:
            NoSum: it is none, or not known.
        """
        value = self.of(name)
        if not isinstance(value, ProductSum):
            raise NoSum
        return value

    def _results(self, node: OperatorNode) -> Sequence[Any]:
        unknown = Unreadable(node.kind)
        for name in node.reads():
            if name not in self.values:
                raise OperatorRefused(
                    "inputs that are given, or come from earlier operators",
                    f"{name!r:.60} in its body, which does not", "Export the network again.",
                )  # fmt: skip
        inputs = [None if one is None else self.values[one.name] for one in node.inputs]
        for value in inputs:
            if isinstance(value, Unreadable):
                return [value] * len(node.outputs)
        operator = Operator(node=node, inputs=tuple(inputs))
        if all(value is None or is_constant(value) for value in inputs):
            return folded(operator) or [unknown]
        if all(
            value is None or is_constant(value) or isinstance(value, Traced) for value in inputs
        ):
            results = self._outside(node, self.values)
            return [unknown if value is UNKNOWN else value for value in results]
        try:
            function = function_of_node(node.kind, node.attributes)
            if function is not None:
                return [self.applied(function, node, inputs[0])]
            rule = _RULES.get(node.kind)
            return [unknown] if rule is None else rule(self, operator)
        except NoSum:
            return [unknown] * len(node.outputs)

    def applied(self, function: str, node: OperatorNode, value: Any) -> ProductSum:
        """A function of a vector; of readings alone, it is a reading.

        Raises:
            NoSum: it is no vector.
        """
        inner = whole(value)
        if self._of_state.isdisjoint(node.reads()):
            return one_factor(inner.width, ("x", node.outputs[0]))
        return self.algebra.applied(function, inner)

    def reads_state(self, name: str) -> bool:
        """Whether a value depends on states of the step before."""
        return name in self._of_state

    def taken(self, value: StepOf, name: str) -> ProductSum:
        """One step of a value, in the name that the body has for it."""
        rows = self._taken(value)
        self.readings[name] = rows
        size = rows.axes[2][0].size if rows.axes[2] else 1
        return one_factor(size or 0, ("x", name))


def _identity(_: BodyValues, operator: Operator) -> Sequence[Any]:
    return [operator.given(0)]


def _cast(_: BodyValues, operator: Operator) -> Sequence[Any]:
    value = operator.given(0)
    if isinstance(value, ProductSum) and int(operator.attribute("to")) != 1:
        raise NoSum
    return [value]


def _matmul(run: BodyValues, operator: Operator) -> Sequence[Any]:
    value, matrix = operator.given(0), matrix_of(operator.given(1))
    return [run.algebra.multiplied(matrix.T, _parts(value))]


def _parts(value: Any) -> ProductSum | list[ProductSum]:
    return value if isinstance(value, list) else whole(value)


def _gemm(run: BodyValues, operator: Operator) -> Sequence[Any]:
    matrix = matrix_of(operator.given(1))
    if not operator.attribute("transB", 0):
        matrix = matrix.T
    if operator.attribute("transA", 0):
        raise NoSum
    made = run.algebra.multiplied(
        matrix * float(operator.attribute("alpha", 1.0)), _parts(operator.given(0))
    )
    if operator.given(2) is None:
        return [made]
    return [added(made, operand(operator.given(2)), float(operator.attribute("beta", 1.0)))]


def _sum(run: BodyValues, operator: Operator) -> Sequence[Any]:
    first, second = operator.given(0), operator.given(1)
    if isinstance(first, Iteration) or isinstance(second, Iteration):
        return [_counted(first, second)]
    total = operand(first)
    for value in operator.inputs[1:]:
        total = added(total, operand(value), 1.0)
    del run
    return [total]


def _counted(first: Any, second: Any) -> Iteration:
    count, constant = (first, second) if isinstance(first, Iteration) else (second, first)
    if not is_constant(constant) or constant.size != 1 or constant.dtype.kind not in "iu":
        raise NoSum
    return Iteration(count.offset + int(constant.reshape(())))


def _difference(_: BodyValues, operator: Operator) -> Sequence[Any]:
    return [added(operand(operator.given(0)), operand(operator.given(1)), -1.0)]


def _product(run: BodyValues, operator: Operator) -> Sequence[Any]:
    return [run.algebra.product(operand(operator.given(0)), operand(operator.given(1)))]


def _quotient(run: BodyValues, operator: Operator) -> Sequence[Any]:
    value, divisor = whole(operator.given(0)), operand(operator.given(1))
    if not isinstance(divisor, float) or divisor == 0.0:
        raise NoSum
    return [run.algebra.product(value, 1.0 / divisor)]


def _clip(run: BodyValues, operator: Operator) -> Sequence[Any]:
    """A ramp between two numbers."""
    low = _end(operator, 1, "min", -math.inf)
    high = _end(operator, 2, "max", math.inf)
    if not low < high:
        raise NoSum
    function = PointwiseFunction.of("ramp", low=low, high=high)
    return [run.applied(str(function), operator.node, operator.given(0))]


def _end(operator: Operator, index: int, name: str, default: float) -> float:
    value = operator.given(index)
    end = float(operator.attribute(name, default)) if value is None else operand(value)
    if not isinstance(end, float):
        raise NoSum
    return end


def _negative(_: BodyValues, operator: Operator) -> Sequence[Any]:
    return [times(whole(operator.given(0)), -1.0)]


def _check_last_axis(axis: int) -> None:
    if axis not in (-1, 1):
        raise NoSum


def _concat(_: BodyValues, operator: Operator) -> Sequence[Any]:
    _check_last_axis(int(operator.attribute("axis")))
    return [[whole(value) for value in operator.inputs]]


def _split(run: BodyValues, operator: Operator) -> Sequence[Any]:
    _check_last_axis(int(operator.attribute("axis", 0)))
    value = whole(operator.given(0))
    ends = np.cumsum(sizes := parts_of(operator, value.width))
    if min(sizes, default=0) < 1 or ends[-1] != value.width:
        raise NoSum
    return [
        run.algebra.rows(value, int(end) - size, int(end))
        for end, size in zip(ends, sizes, strict=True)
    ]


def _slice(run: BodyValues, operator: Operator) -> Sequence[Any]:
    value = whole(operator.given(0))
    first, last = 0, value.width
    for axis, start, stop, step in slices_of(operator, 2):
        if axis == 0 and (start, step) == (0, 1) and stop >= 2**31 - 1:
            continue
        _check_last_axis(axis)
        if step != 1:
            raise NoSum
        first, last, _ = slice(start, stop).indices(value.width)
    if last <= first:
        raise NoSum
    return [run.algebra.rows(value, first, last)]


def _gather(run: BodyValues, operator: Operator) -> Sequence[Any]:
    """The reading of the step at hand."""
    value = operator.given(0)
    if not isinstance(value, Traced) or operator.given(1) != Iteration():
        raise NoSum
    place = value.place(int(operator.attribute("axis", 0)))
    return [run.taken(StepOf(steps_first(value, place)), operator.node.outputs[0])]


def steps_first(value: Traced, place: int) -> Traced:
    """A value with the axis at a place before the others."""
    order = [place, *(other for other in range(value.rank) if other != place)]
    return transposed(value, order)


def _appended(_: BodyValues, operator: Operator) -> Sequence[Any]:
    """The list after the step; what it contains is told elsewhere."""
    return [operator.given(0)]


def _less(_: BodyValues, operator: Operator) -> Sequence[Any]:
    """The number of the step, or of the next one, compared with that of all steps."""
    count, bound = operator.given(0), operator.given(1)
    if not isinstance(count, Iteration) or not is_constant(bound) or bound.size != 1:
        raise NoSum
    if not 0 <= count.offset <= 1:
        raise NoSum
    return [Permission(((count.offset, bound.reshape(-1)[0]),))]


def _and(_: BodyValues, operator: Operator) -> Sequence[Any]:
    found: tuple[tuple[int, Any], ...] = ()
    for value in operator.inputs:
        if isinstance(value, Permission):
            found += value.bounds
        elif not is_constant(value) or not allows(value):
            raise NoSum
    return [Permission(found)]


def allows(value: Any) -> bool:
    """Whether a constant condition holds."""
    return is_constant(value) and value.dtype == bool and value.size == 1 and bool(value.all())


_RULES: Final[dict[str, Callable[[BodyValues, Operator], Sequence[Any]]]] = {
    "Add": _sum,
    "And": _and,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Div": _quotient,
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": _identity,
    "Less": _less,
    "MatMul": _matmul,
    "Mul": _product,
    "Neg": _negative,
    "SequenceInsert": _appended,
    "Slice": _slice,
    "Split": _split,
    "Sub": _difference,
    "Sum": _sum,
}


def without_identities(body: StepBody, name: str) -> str:
    """The name of the value that Identity operators give under other names."""
    same = {
        node.outputs[0]: node.inputs[0].name
        for node in body.nodes
        if node.kind == "Identity" and node.outputs and node.inputs and node.inputs[0] is not None
    }
    seen = set()
    while name in same and name not in seen:
        seen.add(name)
        name = same[name]
    return name
