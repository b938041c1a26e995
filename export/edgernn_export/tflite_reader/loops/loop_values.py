"""What operators of TFLite give in one step of a loop: vectors, counters, rows and conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
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
from edgernn_export.operator_reader.values import OpenSize, Traced, is_constant
from edgernn_export.tflite_reader.constants import axis_of, folded, slices_of
from edgernn_export.tflite_reader.fused import CLIPS
from edgernn_export.tflite_reader.loops.loop_records import (
    LoopGraph,
    StepCount,
    StepLimit,
    StepPlace,
    StoredRows,
    Unknown,
)
from edgernn_export.tflite_schema.codes import ActivationFunctionType

#: Functions of vectors; ramps, so that a part of a hard sigmoid is known as one.
_FUNCTIONS: Final = {
    kind: str(PointwiseFunction.of(name, **ends))
    for kind, name, ends in (
        ("ELU", "elu", {}),
        ("HARD_SWISH", "hard_silu", {}),
        ("LOGISTIC", "sigmoid", {}),
        ("RELU", "relu", {}),
        ("RELU6", "ramp", {"low": 0.0, "high": 6.0}),
        ("RELU_N1_TO_1", "ramp", {"low": -1.0, "high": 1.0}),
        ("TANH", "tanh", {}),
    )
}


class LoopValues:
    """The values of a graph of a loop.

    Attributes:
        algebra: of the step.
        values: by name; vectors are sums of products.
        readings: what the loop takes one step of at a time, by the name of that step.
    """

    def __init__(
        self, graph: LoopGraph, given: Mapping[str, Any], settled: Mapping[str, int]
    ) -> None:
        """Follow the graph.

        Args:
            graph: of a body or condition.
            given: its inputs by name; sums of products are states.
            settled: widths of states after the step that known cells compute, by name.
        """
        self.algebra = StepAlgebra()
        self.readings: dict[str, Traced] = {}
        self.values: dict[str, Any] = {**graph.constants, **given}
        for node in graph.nodes:
            results = self._results(node)
            for place, name in enumerate(node.outputs):
                value = results[place] if place < len(results) else Unknown(node.kind)
                known = name in settled
                self.values[name] = one_factor(settled[name], ("x", name)) if known else value

    def of(self, name: str) -> Any:
        """A value; unknown where there is none."""
        return self.values.get(name, Unknown("a missing value"))

    def sum_of(self, name: str) -> ProductSum:
        """A vector.

        Raises:
            NoSum: it is none, or not known.
        """
        return whole(self.of(name))

    def _results(self, node: OperatorNode) -> Sequence[Any]:
        unknown = Unknown(node.kind)
        inputs = [None if one is None else self.of(one.name) for one in node.inputs]
        for value in inputs:
            if isinstance(value, Unknown):
                return [value] * len(node.outputs)
        operator = Operator(node=node, inputs=tuple(inputs))
        if all(value is None or is_constant(value) for value in inputs):
            return folded(operator) or [unknown]
        try:
            function = _FUNCTIONS.get(node.kind)
            if function is not None:
                return [self.algebra.applied(function, whole(inputs[0]))]
            rule = _RULES.get(node.kind)
            return [unknown] if rule is None else rule(self, operator)
        except NoSum:
            return [unknown] * len(node.outputs)

    def fused(self, operator: Operator, value: ProductSum | float) -> ProductSum:
        """A result with the function that its operator is told."""
        number = int(operator.attribute("fusedActivationFunction", 0))
        made = whole(value)
        if number == ActivationFunctionType.NONE:
            return made
        known = number in CLIPS
        function = _FUNCTIONS.get(ActivationFunctionType(number).name) if known else None
        if function is None:
            raise NoSum
        return self.algebra.applied(function, made)

    def step_of(self, value: Traced, name: str) -> ProductSum:
        """The reading of the step at hand."""
        self.readings[name] = value
        size = next((atom.size for atom in value.axes[-1]), 1) if value.axes else 0
        return one_factor(size or 0, ("x", name))


def _number(value: Any) -> int:
    if not is_constant(value) or value.size != 1 or value.dtype.kind not in "iu":
        raise NoSum
    return int(value.reshape(()))


def _connected(run: LoopValues, operator: Operator) -> Sequence[Any]:
    value, matrix = operator.given(0), matrix_of(operator.given(1))
    if operator.attribute("weightsFormat", 0):
        raise NoSum
    parts = value if isinstance(value, list) else whole(value)
    made: ProductSum | float = run.algebra.multiplied(matrix, parts)
    if operator.given(2) is not None:
        made = added(made, operand(operator.given(2)), 1.0)
    return [run.fused(operator, made)]


def _multiplied(run: LoopValues, operator: Operator) -> Sequence[Any]:
    matrix = matrix_of(operator.given(1))
    value = operator.given(0)
    if operator.attribute("adjX", False):
        raise NoSum
    parts = value if isinstance(value, list) else whole(value)
    turned = bool(operator.attribute("adjY", False))
    return [run.algebra.multiplied(matrix if turned else matrix.T, parts)]


def _sum(run: LoopValues, operator: Operator) -> Sequence[Any]:
    first, second = operator.given(0), operator.given(1)
    if isinstance(second, StepCount):
        first, second = second, first
    if isinstance(first, StepCount):
        return [StepCount(first.offset + _number(second))]
    return [run.fused(operator, added(operand(first), operand(second), 1.0))]


def _difference(run: LoopValues, operator: Operator) -> Sequence[Any]:
    first, second = (operand(operator.given(index)) for index in (0, 1))
    return [run.fused(operator, added(first, second, -1.0))]


def _product(run: LoopValues, operator: Operator) -> Sequence[Any]:
    first, second = (operand(operator.given(index)) for index in (0, 1))
    return [run.fused(operator, run.algebra.product(first, second))]


def _negative(_: LoopValues, operator: Operator) -> Sequence[Any]:
    return [times(whole(operator.given(0)), -1.0)]


def _split(run: LoopValues, operator: Operator) -> Sequence[Any]:
    value, count = whole(operator.given(1)), len(operator.node.outputs)
    if axis_of(operator.integers(0), 2) != 1 or not value.width or value.width % count:
        raise NoSum
    size = value.width // count
    return [run.algebra.rows(value, n * size, (n + 1) * size) for n in range(count)]


def _slice(run: LoopValues, operator: Operator) -> Sequence[Any]:
    value = operator.given(0)
    if isinstance(value, Traced):
        return [_reading(run, operator, value)]
    if isinstance(value, StoredRows):
        return [_rows_beside(operator, value)]
    made = whole(value)
    first, last = 0, made.width
    for part in slices_of(operator, 2):
        if part.is_whole and part.step == 1:
            continue
        if part.place == 0 and not part.alone and (part.start, part.step) == (0, 1):
            if part.stop < 1:
                raise NoSum
            continue  # the only stream
        if part.place != 1 or part.alone or part.step != 1:
            raise NoSum
        first, last, _ = slice(part.start, part.stop).indices(made.width)
    if last <= first:
        raise NoSum
    return [run.algebra.rows(made, first, last)]


def _reading(run: LoopValues, operator: Operator, value: Traced) -> ProductSum:
    """A step of the readings, as STRIDED_SLICE takes it."""
    start, stop = operator.given(1), operator.given(2)
    at_hand = isinstance(start, StepPlace) and start.count == StepCount() and not any(start.rest)
    alone = int(operator.attribute("shrinkAxisMask", 0)) == 1
    if operator.kind != "STRIDED_SLICE" or not at_hand or not alone:
        raise NoSum
    whole = (1 << len(start.rest) + 1) - 2
    masks = [int(operator.attribute(name, 0)) for name in ("beginMask", "endMask")]
    steps = operator.given(3)
    ends = isinstance(stop, StepPlace) and stop.count == StepCount(1)
    if any(mask != whole for mask in masks) or not ends or not is_constant(steps):
        raise NoSum
    if (steps != 1).any():
        raise NoSum
    return run.step_of(value, operator.node.outputs[0])


def _element(run: LoopValues, operator: Operator) -> Sequence[Any]:
    """The reading of the step at hand, as GATHER takes it."""
    value, axis = operator.given(0), int(operator.attribute("axis", 0))
    if not isinstance(value, Traced) or operator.given(1) != StepCount() or axis:
        raise NoSum
    return [run.step_of(value, operator.node.outputs[0])]


def _rows_beside(operator: Operator, rows: StoredRows) -> StoredRows:
    """The rows before the step at hand, or those behind it."""
    begin, size = operator.given(1), operator.given(2)
    if operator.kind != "SLICE" or rows.part != "all" or rows.written:
        raise NoSum
    if is_constant(begin) and isinstance(size, StepPlace):
        if begin.any() or size.count != StepCount() or any(one != -1 for one in size.rest):
            raise NoSum
        return StoredRows(rows.count, "before")
    if isinstance(begin, StepPlace) and is_constant(size):
        if begin.count != StepCount(1) or any(begin.rest) or (size != -1).any():
            raise NoSum
        return StoredRows(rows.count, "behind")
    raise NoSum


def _joined(_: LoopValues, operator: Operator) -> Sequence[Any]:
    values, axis = operator.inputs, int(operator.attribute("axis", 0))
    if isinstance(values[0], StepPlace) and all(map(is_constant, values[1:])):
        rest = [int(one) for value in values[1:] for one in value.reshape(-1)]
        return [StepPlace(values[0].count, (*values[0].rest, *rest))]
    if len(values) == 3 and isinstance(values[0], StoredRows) and axis == 0:
        before, _, behind = values
        if not isinstance(behind, StoredRows) or before.part != "before" or behind.part != "behind":
            raise NoSum
        return [StoredRows(before.count, "all", operator.node.inputs[1].name)]
    if axis not in (-1, 1) or operator.attribute("fusedActivationFunction", 0):
        raise NoSum
    return [[whole(value) for value in values]]


def _put(_: LoopValues, operator: Operator) -> Sequence[Any]:
    rows, place = operator.given(0), operator.given(2)
    good = isinstance(rows, StoredRows) and rows.part == "all" and not rows.written
    if not good or not isinstance(place, StepPlace) or place.count != StepCount():
        raise NoSum
    if any(place.rest):
        raise NoSum
    return [StoredRows(rows.count, "all", operator.node.inputs[1].name)]


def _reshaped(_: LoopValues, operator: Operator) -> Sequence[Any]:
    value, sizes = operator.given(0), operator.given(1)
    if isinstance(value, StepCount):
        return [StepPlace(value)]
    made = whole(value)
    told = list(sizes) if is_constant(sizes) else list(operator.attribute("newShape") or ())
    wide = [size for size in told if isinstance(size, OpenSize) or size not in (1, -1)]
    if len(wide) > 1 or (wide and wide[0] != made.width):
        raise NoSum  # it would join or part the features
    return [made]


def _expanded(_: LoopValues, operator: Operator) -> Sequence[Any]:
    value = operator.given(0)
    return [StepPlace(value) if isinstance(value, StepCount) else whole(value)]


def _packed(_: LoopValues, operator: Operator) -> Sequence[Any]:
    first, *rest = operator.inputs
    if not isinstance(first, StepCount):
        raise NoSum
    return [StepPlace(first, tuple(_number(one) for one in rest))]


def _below(_: LoopValues, operator: Operator) -> Sequence[Any]:
    count, bound = operator.given(0), operator.given(1)
    if not isinstance(count, StepCount) or not is_constant(bound) or bound.size != 1:
        raise NoSum
    return [StepLimit(((count.offset, bound.reshape(-1)[0]),))]


def _both(_: LoopValues, operator: Operator) -> Sequence[Any]:
    found: tuple[tuple[int, Any], ...] = ()
    for value in operator.inputs:
        if isinstance(value, StepLimit):
            found += value.bounds
        elif not (is_constant(value) and value.dtype == np.bool_ and value.all()):
            raise NoSum
    return [StepLimit(found)]


_RULES: Final[dict[str, Callable[[LoopValues, Operator], Sequence[Any]]]] = {
    "ADD": _sum,
    "BATCH_MATMUL": _multiplied,
    "CONCATENATION": _joined,
    "DYNAMIC_UPDATE_SLICE": _put,
    "EXPAND_DIMS": _expanded,
    "FULLY_CONNECTED": _connected,
    "GATHER": _element,
    "LESS": _below,
    "LOGICAL_AND": _both,
    "MUL": _product,
    "NEG": _negative,
    "PACK": _packed,
    "RESHAPE": _reshaped,
    "SLICE": _slice,
    "SPLIT": _split,
    "STRIDED_SLICE": _slice,
    "SUB": _difference,
}
