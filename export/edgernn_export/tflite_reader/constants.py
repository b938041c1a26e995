"""Operators of constants alone, computed when a file is read: weights and sizes of other values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn_export.operator_reader.operators import Operator
from edgernn_export.operator_reader.trace import OperatorRefused
from edgernn_export.operator_reader.usual_operators.folding import (
    Folding,
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
from edgernn_export.tflite_schema.codes import TensorType

#: Ends from here on mean: to the last element.
FAR: Final = 2**31 - 1
_AGAIN: Final = "Convert the network again."
_TYPES: Final = {
    TensorType.FLOAT32: np.float32, TensorType.INT32: np.int32, TensorType.INT64: np.int64,
    TensorType.BOOL: np.bool_, TensorType.FLOAT16: np.float16, TensorType.FLOAT64: np.float64,
}  # fmt: skip
_Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSlice:
    """What a slice takes along an axis.

    Attributes:
        place: of the axis.
        start: as of a Python slice.
        stop: as well; `FAR` for the end.
        step: as well.
        is_whole: it takes all elements, in their order or the reverse one.
        alone: it takes one element, without the axis.
    """

    place: int
    start: int
    stop: int
    step: int = 1
    is_whole: bool = False
    alone: bool = False

    @classmethod
    def element(cls, place: int, index: int) -> StepSlice:
        """One element."""
        return cls(place=place, start=index, stop=index + 1 or FAR, alone=True)

    @property
    def key(self) -> slice | int:
        """As an index of an array."""
        if self.alone:
            return self.start
        if self.is_whole:
            return slice(None, None, self.step)
        if self.step < 0 and self.stop < 0:
            return slice(self.start, None if self.stop == -FAR else self.stop, self.step)
        return slice(self.start, self.stop, self.step)


def axis_of(given: Sequence[int] | None, rank: int) -> int:
    """One axis, counted from the start.

    Raises:
        OperatorRefused: none is told, several are, or there is no such axis.
    """
    axes = list(given or ())
    if len(axes) != 1 or not -rank <= axes[0] < rank:
        raise OperatorRefused(f"one axis of {rank}", f"{axes!r:.60}", _AGAIN)
    return axes[0] % rank


def slices_of(operator: Operator, rank: int) -> list[StepSlice]:
    """What SLICE or STRIDED_SLICE takes of a value of a rank, axis by axis."""
    starts, more = operator.integers(1) or [], operator.integers(2) or []
    if len(starts) != len(more) or len(starts) > rank:
        raise OperatorRefused(f"ends for {rank} axes", f"{len(starts)} and {len(more)}", _AGAIN)
    if operator.kind == "SLICE":
        return [
            StepSlice(
                place=place, start=start, stop=FAR if count < 0 else start + count,
                is_whole=start == 0 and count < 0,
            )
            for place, (start, count) in enumerate(zip(starts, more, strict=True))
        ]  # fmt: skip
    steps = operator.integers(3) or []
    masks = {name: int(operator.attribute(f"{name}Mask", 0)) for name in _MASKS}
    if masks["ellipsis"] or masks["newAxis"] or len(steps) != len(starts):
        raise OperatorRefused("a slice of each axis", "new axes or an ellipsis", _AGAIN)
    ends = [a + b for a, b in zip(starts, more, strict=True)]
    ends = ends if operator.attribute("offset", False) else more
    return [
        _strided(place, start, stop, step, masks)
        for place, (start, stop, step) in enumerate(zip(starts, ends, steps, strict=True))
    ]


_MASKS: Final = ("begin", "end", "ellipsis", "newAxis", "shrinkAxis")


def _strided(place: int, start: int, stop: int, step: int, masks: dict[str, int]) -> StepSlice:
    first, last = (bool(masks[name] >> place & 1) for name in ("begin", "end"))
    if not step:
        raise OperatorRefused("a step that is not 0", "0", _AGAIN)
    if masks["shrinkAxis"] >> place & 1:
        return StepSlice.element(place, 0 if first else start)
    ends = (0, FAR) if step > 0 else (-1, -FAR)
    return StepSlice(
        place=place,
        start=ends[0] if first else start,
        stop=ends[1] if last else stop,
        step=step,
        is_whole=first and last and abs(step) == 1,
    )


def folded(operator: Operator) -> Sequence[Any] | None:
    """The results of an operator whose inputs are constants; None if it is not known.

    Raises:
        OperatorRefused: a result would be huge.
    """
    return folded_with(_FOLDED, operator)


def _all_constants(operator: Operator) -> list[_Array]:
    return [operator.constant(index) for index in range(len(operator.inputs))]


def _concatenation(operator: Operator) -> list[_Array]:
    return [joined_constants(_all_constants(operator), int(operator.attribute("axis", 0)))]


def _packed(operator: Operator) -> list[_Array]:
    axis = int(operator.attribute("axis", 0))
    values = [np.expand_dims(value, axis) for value in _all_constants(operator)]
    return [joined_constants(values, axis)]


def _reshaped(operator: Operator) -> list[_Array]:
    told = operator.attribute("newShape") if operator.given(1) is None else operator.integers(1)
    return [operator.constant(0).reshape(list(told or ()))]


def _transposed(operator: Operator) -> list[_Array]:
    return [operator.constant(0).transpose(operator.integers(1))]


def _squeezed(operator: Operator) -> list[_Array]:
    axes = operator.attribute("squeezeDims")
    return [np.squeeze(operator.constant(0), tuple(axes) if axes else None)]


def _expanded(operator: Operator) -> list[_Array]:
    return [np.expand_dims(operator.constant(0), tuple(operator.integers(1) or ()))]


def _sliced(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    return [value[tuple(part.key for part in slices_of(operator, value.ndim))]]


def _elements(operator: Operator) -> list[_Array]:
    value, indices = operator.constant(0), operator.constant(1)
    if operator.attribute("batchDims", 0):
        raise OperatorRefused("batch_dims=0", "others", _AGAIN)
    return [taken(value, indices, place_of(int(operator.attribute("axis", 0)), value.ndim))]


def _filled(operator: Operator) -> list[_Array]:
    return [np.broadcast_to(operator.constant(1).reshape(()), known_sizes(operator.constant(0)))]


def _broadcast(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    shape = np.broadcast_shapes(value.shape, known_sizes(operator.constant(1)))
    return [np.broadcast_to(value, moderate(shape))]


def _range(operator: Operator) -> list[_Array]:
    start, stop, step = (operator.constant(index).reshape(()) for index in range(3))
    moderate([max(0, math.ceil((float(stop) - float(start)) / float(step)))])
    return [np.arange(start, stop, step, dtype=start.dtype)]


def _cast(operator: Operator) -> list[_Array]:
    value = operator.constant(0)
    kind = _TYPES.get(operator.attribute("outDataType", TensorType.FLOAT32))
    if value.dtype == object:
        return [value]
    if kind is None:
        raise OperatorRefused("a cast to numbers", "another", _AGAIN)
    return [value.astype(kind)]


def _split(operator: Operator) -> list[_Array]:
    value, count = operator.constant(1), len(operator.node.outputs)
    return list(np.split(value, count, axis_of(operator.integers(0), value.ndim)))


def _reduced(function: Callable[..., Any]) -> Folding:
    def made(operator: Operator) -> list[_Array]:
        keep = bool(operator.attribute("keepDims", False))
        axes = tuple(operator.integers(1) or ())
        return [function(operator.constant(0), axis=axes or None, keepdims=keep)]

    return made


_FOLDED: Final[dict[str, Folding]] = {
    "ADD": pairwise(lambda a, b: a + b),
    "BROADCAST_TO": _broadcast,
    "CAST": _cast,
    "CONCATENATION": _concatenation,
    "DEQUANTIZE": changed(lambda value: value),
    "DIV": pairwise(quotient),
    "EXPAND_DIMS": _expanded,
    "FILL": _filled,
    "GATHER": _elements,
    "MAXIMUM": pairwise(np.maximum),
    "MINIMUM": pairwise(np.minimum),
    "MUL": pairwise(lambda a, b: a * b),
    "NEG": changed(np.negative),
    "PACK": _packed,
    "RANGE": _range,
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_PROD": _reduced(np.prod),
    "RESHAPE": _reshaped,
    "SHAPE": changed(lambda value: np.array(value.shape, dtype=np.int64)),
    "SLICE": _sliced,
    "SPLIT": _split,
    "SQUEEZE": _squeezed,
    "STRIDED_SLICE": _sliced,
    "SUB": pairwise(lambda a, b: a - b),
    "SUM": _reduced(np.sum),
    "TRANSPOSE": _transposed,
    "ZEROS_LIKE": changed(np.zeros_like),
}
#: Kinds of operators that are computed where all inputs are constants.
FOLDED: Final = tuple(_FOLDED)
