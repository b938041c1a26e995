"""Operators of constants alone, computed when a file is read: weights that exporters take apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn_export.operator_reader.operators import Operator
from edgernn_export.operator_reader.trace import OperatorRefused
from edgernn_export.operator_reader.values import OpenSize, fixed

#: Elements that one result may have.
_MOST_ELEMENTS: Final = 1 << 26
_Array = NDArray[Any]


def folded(operator: Operator) -> Sequence[Any] | None:
    """The results of an operator whose inputs are constants; None if it is not known.

    Raises:
        OperatorRefused: a result would be huge.
    """
    made = _FOLDED.get(operator.kind)
    if made is None:
        return None
    with np.errstate(all="ignore"):
        return [fixed(np.asarray(value)) for value in made(operator)]


def _checked(shape: Sequence[Any]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if math.prod(sizes) > _MOST_ELEMENTS or len(sizes) > 32 or min(sizes, default=0) < 0:
        got = f"shape {sizes!r:.80}"
        raise OperatorRefused("a constant of moderate size", got, "Export the network again.")
    return sizes


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
    return [np.broadcast_to(one.reshape(()), _known_sizes(operator.constant(0)))]


def _known_sizes(sizes: _Array) -> tuple[int, ...]:
    """Sizes with 1 for open ones: what is filled or expanded broadcasts."""
    return _checked([1 if isinstance(size, OpenSize) else size for size in sizes])


def _old_fill(operator: Operator) -> list[_Array]:
    """ConstantFill, which PyTorch wrote before there was ConstantOfShape."""
    value = np.float32(operator.attribute("value", 0.0))
    return [np.broadcast_to(value, _known_sizes(operator.constant(0)))]


def _range(operator: Operator) -> list[_Array]:
    start, stop, step = (operator.constant(index).reshape(()) for index in range(3))
    _checked([max(0, math.ceil((float(stop) - float(start)) / float(step)))])
    return [np.arange(start, stop, step, dtype=start.dtype)]


def _expand(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    shape = np.broadcast_shapes(value.shape, _known_sizes(operator.constant(1)))
    return [np.broadcast_to(value, _checked(shape))]


def _tile(operator: Operator) -> list[_Array]:
    value, counts = operator.constant(0), _known_sizes(operator.constant(1))
    if len(counts) != value.ndim:
        raise ValueError(counts)
    _checked(tuple(size * count for size, count in zip(value.shape, counts, strict=True)))
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
    if any(value.dtype == object for value in values):
        values = [value.astype(object) for value in values]
    _checked([sum(value.size for value in values)])
    return [np.concatenate(values, int(operator.attribute("axis")))]


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
        (_axis(axis, rank), start, stop, step)
        for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True)
    ]


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise OperatorRefused(f"an axis of {rank}", f"{axis}", "Export the network again.")
    return axis % rank


def _split(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    axis = _axis(int(operator.attribute("axis", 0)), value.ndim)
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
    axis = _axis(int(operator.attribute("axis", 0)), value.ndim)
    _checked([indices.size * max(1, value.size // max(1, value.shape[axis]))])
    return [np.take(value, indices.astype(np.int64), axis)]


def _cast(operator: Operator) -> list[_Array]:
    import onnx

    value = operator.constant(0)
    if value.dtype == object:
        return [value]
    return [value.astype(onnx.helper.tensor_dtype_to_np_dtype(int(operator.attribute("to"))))]


def _shape(operator: Operator) -> list[_Array]:
    sizes = np.array(operator.constant(0).shape, dtype=np.int64)
    return [sizes[operator.attribute("start", 0) : operator.attribute("end")]]


def _pair(combined: Callable[[Any, Any], Any]) -> Callable[[Operator], list[_Array]]:
    def made(operator: Operator) -> list[_Array]:
        first, second = operator.constant(0), operator.constant(1)
        shape = _checked(np.broadcast_shapes(first.shape, second.shape))
        try:
            return [combined(first, second)]
        except TypeError:  # a comparison with an open size, which nothing can answer yet
            if object not in (first.dtype, second.dtype):
                raise
            unknown = np.empty(shape, dtype=object)
            unknown.fill(OpenSize((), 1, opaque=True))
            return [unknown]

    return made


def _is_below(first: Any, second: Any) -> bool:
    """Whether a number is below another; an open size is at least its factor.

    Raises:
        TypeError: nothing tells.
    """
    if isinstance(second, OpenSize) and not second.opaque and not isinstance(first, OpenSize):
        if first < second.factor:
            return True
        raise TypeError(second)
    return bool(first < second)


def _less(first: _Array, second: _Array) -> _Array:
    if object not in (first.dtype, second.dtype):
        return np.less(first, second)
    return np.asarray(np.frompyfunc(_is_below, 2, 1)(first, second), dtype=bool)


def _one(changed: Callable[[Any], Any]) -> Callable[[Operator], list[_Array]]:
    return lambda operator: [changed(operator.constant(0))]


def _quotient(first: _Array, second: _Array) -> _Array:
    if first.dtype.kind in "iu" and second.dtype.kind in "iu":
        return np.trunc(first / second).astype(first.dtype)
    return first / second


def _where(operator: Operator) -> list[_Array]:
    chosen, first, second = (operator.constant(index) for index in range(3))
    _checked(np.broadcast_shapes(chosen.shape, first.shape, second.shape))
    return [np.where(chosen, first, second)]


def _reduced(function: Callable[..., Any]) -> Callable[[Operator], list[_Array]]:
    def made(operator: Operator) -> list[_Array]:
        axes = operator.integers(1, "axes")
        keep = bool(operator.attribute("keepdims", 1))
        value = operator.constant(0)
        return [function(value, axis=None if axes is None else tuple(axes), keepdims=keep)]

    return made


_FOLDED: Final[dict[str, Callable[[Operator], Sequence[Any]]]] = {
    "Abs": _one(np.abs),
    "Add": _pair(lambda a, b: a + b),
    "And": _pair(lambda a, b: a & b),
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantFill": _old_fill,
    "ConstantOfShape": _fill,
    "Div": _pair(_quotient),
    "Equal": _pair(lambda a, b: np.equal(a, b, dtype=object).astype(bool)),
    "Exp": _one(np.exp),
    "Expand": _expand,
    "Gather": _gather,
    "Greater": _pair(lambda a, b: _less(b, a)),
    "Identity": _one(lambda value: value),
    "Less": _pair(_less),
    "Mul": _pair(lambda a, b: a * b),
    "Neg": _one(np.negative),
    "Not": _one(np.logical_not),
    "Or": _pair(lambda a, b: a | b),
    "Pow": _pair(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Range": _range,
    "Reciprocal": _one(np.reciprocal),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _one(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _pair(lambda a, b: a - b),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
#: Kinds of operators that are computed where all inputs are constants.
FOLDED: Final = tuple(_FOLDED)
