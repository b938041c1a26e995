"""Operators of constants alone, computed when a file is read: weights that exporters take apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn_export.operator_reader.operators import Operator
from edgernn_export.operator_reader.trace import OperatorRefused
from edgernn_export.operator_reader.usual_operators.folding import (
    Folding,
    below,
    changed,
    folded_with,
    joined_constants,
    known_sizes,
    moderate,
    pairwise,
    place_of,
    quotient,
    taken,
)
from edgernn_export.operator_reader.values import AxisKind, OpenSize

_Array = NDArray[Any]


def folded(operator: Operator) -> Sequence[Any] | None:
    """The results of an operator whose inputs are constants; None if it is not known.

    Raises:
        OperatorRefused: a result would be huge.
    """
    return folded_with(_FOLDED, operator)


def _constant(operator: Operator) -> list[_Array]:
    found = [key for key in ("value", "value_float", "value_floats", "value_int", "value_ints")
             if operator.attribute(key) is not None]  # fmt: skip
    if not found:
        raise OperatorRefused("a number as its value", "another", "Export the network again.")
    value = operator.attribute(found[0])
    kind = np.float32 if "float" in found[0] else np.int64
    return [value if found[0] == "value" else np.asarray(value, dtype=kind)]


def _fill(operator: Operator) -> list[_Array]:
    value = operator.attribute("value")
    one = np.zeros(1, np.float32) if value is None else np.asarray(value).reshape(-1)[:1]
    return [np.broadcast_to(one.reshape(()), known_sizes(operator.constant(0)))]


def _old_fill(operator: Operator) -> list[_Array]:
    """ConstantFill, which PyTorch wrote before there was ConstantOfShape."""
    value = np.float32(operator.attribute("value", 0.0))
    return [np.broadcast_to(value, known_sizes(operator.constant(0)))]


def _range(operator: Operator) -> list[_Array]:
    start, stop, step = (operator.constant(index).reshape(()) for index in range(3))
    moderate([max(0, math.ceil((float(stop) - float(start)) / float(step)))])
    return [np.arange(start, stop, step, dtype=start.dtype)]


def _expand(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    shape = np.broadcast_shapes(value.shape, known_sizes(operator.constant(1)))
    return [np.broadcast_to(value, moderate(shape))]


def _tile(operator: Operator) -> list[_Array]:
    value, counts = operator.constant(0), known_sizes(operator.constant(1))
    if len(counts) != value.ndim:
        raise ValueError(counts)
    moderate(tuple(size * count for size, count in zip(value.shape, counts, strict=True)))
    return [np.tile(value, counts)]


def _reshape(operator: Operator) -> list[_Array]:
    value, target = operator.constant(0), operator.integers(1) or []
    if not operator.attribute("allowzero", 0):
        target = [value.shape[place] if size == 0 else size for place, size in enumerate(target)]
    return [value.reshape(target)]


def _transpose(operator: Operator) -> list[_Array]:
    return [operator.constant(0).transpose(operator.attribute("perm"))]


def _squeeze(operator: Operator) -> list[_Array]:
    axes = operator.integers(1, "axes")
    return [np.squeeze(operator.constant(0), None if axes is None else tuple(axes))]


def _unsqueeze(operator: Operator) -> list[_Array]:
    return [np.expand_dims(operator.constant(0), tuple(operator.integers(1, "axes") or ()))]


def _concat(operator: Operator) -> list[_Array]:
    values = [operator.constant(index) for index in range(len(operator.inputs))]
    return [joined_constants(values, int(operator.attribute("axis")))]


def _slice(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    keys = [slice(None)] * value.ndim
    for axis, start, stop, step in slices_of(operator, value.ndim):
        # An end far below 0 means: to the first element, backward.
        keys[axis] = slice(start, None if step < 0 and stop < -value.shape[axis] else stop, step)
    return [value[tuple(keys)]]


def slices_of(operator: Operator, rank: int) -> list[tuple[int, int, int, int]]:
    """Axis, start, stop and step of each slice that the operator takes."""
    starts = operator.integers(1, "starts") or []
    stops = operator.integers(2, "ends") or []
    axes = operator.integers(3, "axes") or list(range(len(starts)))
    steps = operator.integers(4) or [1] * len(starts)
    return [
        (place_of(axis, rank), start, stop, step)
        for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True)
    ]


def _split(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    axis = place_of(int(operator.attribute("axis", 0)), value.ndim)
    sizes = parts_of(operator, value.shape[axis])
    return list(np.split(value, np.cumsum(sizes)[:-1], axis))


def parts_of(operator: Operator, size: int) -> list[int]:
    """Sizes of the parts into which a Split cuts an axis of a size."""
    told = operator.integers(1, "split")
    if told is not None:
        return told
    count = int(operator.attribute("num_outputs", len(operator.node.outputs)))
    if not 0 < count <= len(operator.node.outputs):
        got = f"num_outputs={count}"
        raise OperatorRefused("a part for each output", got, "Export the network again.")
    largest = -(-size // count)
    return [min(largest, size - start) for start in range(0, size, largest)]


def _gather(operator: Operator) -> list[_Array]:
    value, indices = operator.constant(0), operator.constant(1)
    axis = place_of(int(operator.attribute("axis", 0)), value.ndim)
    return [taken(value, indices, axis)]


def _cast(operator: Operator) -> list[_Array]:
    import onnx

    value = operator.constant(0)
    if value.dtype == object:
        return [value]
    return [value.astype(onnx.helper.tensor_dtype_to_np_dtype(int(operator.attribute("to"))))]


def _shape(operator: Operator) -> list[_Array]:
    sizes = np.array(operator.constant(0).shape, dtype=np.int64)
    return [sizes[operator.attribute("start", 0) : operator.attribute("end")]]


def _logic(combined: Callable[..., bool]) -> Folding:
    """Truth values; what depends on an open size stays open."""

    def one(*given: Any) -> Any:
        opened = [value for value in given if isinstance(value, OpenSize)]
        return OpenSize((), 1, opaque=True) if opened else bool(combined(*map(bool, given)))

    def made(operator: Operator) -> list[_Array]:
        values = [operator.constant(index) for index in range(len(operator.inputs))]
        moderate(np.broadcast_shapes(*(value.shape for value in values)))
        return [_truths(np.frompyfunc(one, len(values), 1)(*values))]

    return made


def _equal(operator: Operator) -> list[_Array]:
    """Where values are equal; a network is called with one stream."""
    first, second = operator.constant(0), operator.constant(1)
    moderate(np.broadcast_shapes(first.shape, second.shape))
    return [_truths(np.frompyfunc(_same_size, 2, 1)(first, second))]


def _same_size(first: Any, second: Any) -> Any:
    if not isinstance(first, OpenSize) and not isinstance(second, OpenSize):
        return bool(first == second)
    if first == second and not first.opaque:
        return True
    opened, other = (first, second) if isinstance(first, OpenSize) else (second, first)
    if isinstance(other, OpenSize) or opened.opaque:
        return OpenSize((), 1, opaque=True)
    if other < 0:  # no size
        return False
    if set(opened.keys) == {AxisKind.BATCH}:
        return bool(other == opened.factor)
    return OpenSize((), 1, opaque=True)


def _truths(values: Any) -> _Array:
    """Truth values of one type where all of them are known."""
    made = np.asarray(values, dtype=object)
    opened = any(isinstance(value, OpenSize) for value in made.reshape(-1))
    return made if opened else made.astype(bool)


def _where(operator: Operator) -> list[_Array]:
    chosen, first, second = (operator.constant(index) for index in range(3))
    moderate(np.broadcast_shapes(chosen.shape, first.shape, second.shape))
    if chosen.dtype == object:
        return [np.frompyfunc(_chosen, 3, 1)(chosen, first, second)]
    return [np.where(chosen, first, second)]


def _chosen(condition: Any, first: Any, second: Any) -> Any:
    """One of two values; an open size where an open condition chooses between different ones."""
    if not isinstance(condition, OpenSize):
        return first if condition else second
    return first if first == second else OpenSize((), 1, opaque=True)


def _reduced(function: Callable[..., Any]) -> Folding:
    def made(operator: Operator) -> list[_Array]:
        axes = operator.integers(1, "axes")
        keep = bool(operator.attribute("keepdims", 1))
        value = operator.constant(0)
        return [function(value, axis=None if axes is None else tuple(axes), keepdims=keep)]

    return made


_FOLDED: Final[dict[str, Folding]] = {
    "Abs": changed(np.abs),
    "Add": pairwise(lambda a, b: a + b),
    "And": _logic(lambda a, b: a and b),
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantFill": _old_fill,
    "ConstantOfShape": _fill,
    "Div": pairwise(quotient),
    "Equal": _equal,
    "Exp": changed(np.exp),
    "Expand": _expand,
    "Gather": _gather,
    "Greater": pairwise(lambda a, b: below(b, a)),
    "GreaterOrEqual": pairwise(np.greater_equal),
    "Identity": changed(lambda value: value),
    "Less": pairwise(below),
    "LessOrEqual": pairwise(np.less_equal),
    "Mul": pairwise(lambda a, b: a * b),
    "Neg": changed(np.negative),
    "Not": _logic(lambda a: not a),
    "Or": _logic(lambda a, b: a or b),
    "Pow": pairwise(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Range": _range,
    "Reciprocal": changed(np.reciprocal),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": lambda operator: [np.int64(operator.constant(0).size)],
    "Slice": _slice,
    "Split": _split,
    "Sqrt": changed(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": pairwise(lambda a, b: a - b),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
    "Xor": _logic(lambda a, b: a != b),
}
#: Kinds of operators that are computed where all inputs are constants.
FOLDED: Final = tuple(_FOLDED)
