"""Operators of TFLite that rearrange values, tell sizes, or take parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.selections import joined, picked, sliced, split, stacked
from edgernn_export.operator_reader.shapes import reshaped, squeezed, transposed, unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import AxisKind, AxisSize, Traced, fixed, size_of
from edgernn_export.tflite_reader.constants import StepSlice, axis_of, slices_of
from edgernn_export.tflite_reader.fused import with_function

_AGAIN: Final = "Convert the network again."


def _reshape(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    if operator.given(1) is None:
        told = operator.attribute("newShape")
        if told is None:
            raise OperatorRefused("a new shape", "none", _AGAIN)
        sizes: list[AxisSize] = [int(size) for size in told]
    else:
        given = fixed(operator.constant(1)).reshape(-1)
        sizes = [size if hasattr(size, "keys") else int(size) for size in given]
    return [reshaped(trace, operator.traced(0), sizes, copy=False)]


def _transpose(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [transposed(operator.traced(0), operator.integers(1) or [])]


def _squeeze(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [squeezed(trace, operator.traced(0), operator.attribute("squeezeDims") or None)]


def _expanded(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [unsqueezed(operator.traced(0), operator.integers(1) or [])]


def _shape(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [fixed(operator.traced(0).sizes)]


def turned(trace: CallTrace, value: Traced, place: int) -> Traced:
    """The value with its steps in the other order.

    Args:
        trace: takes calls.
        value: any value.
        place: of the steps.

    Raises:
        OperatorRefused: the axis has no steps.
    """
    made = trace.need(value, place, AxisKind.TIME)
    return replace(made, backward=not value.backward)


def _part(trace: CallTrace, value: Traced, part: StepSlice) -> Traced:
    """The value with a slice of one axis, or without the axis."""
    place, start, stop, step = part.place, part.start, part.stop, part.step
    if part.is_whole and step == 1:
        return value
    if part.is_whole and step == -1:
        return turned(trace, value, place)
    if part.alone:
        return picked(trace, value, place, start)
    return sliced(trace, value, place, start, stop, step)


def _slice(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    for part in sorted(slices_of(operator, value.rank), key=lambda one: -one.place):
        value = _part(trace, value, part)
    return [value]


def _split(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    of_sizes = operator.kind == "SPLIT_V"
    value = operator.traced(0 if of_sizes else 1)
    place = axis_of(operator.integers(2 if of_sizes else 0), value.rank)
    size = size_of(value.axes[place])
    count = int(operator.attribute("numSplits", len(operator.node.outputs)))
    if not isinstance(size, int):
        raise OperatorRefused("a split of the features", "one of open size", _AGAIN)
    if count < 1 or count != len(operator.node.outputs) or (size % count and not of_sizes):
        raise OperatorRefused(f"a part of {size} for each output", f"{count} parts", _AGAIN)
    sizes = [size // count] * count
    if of_sizes:
        told = operator.integers(1) or []
        rest = size - sum(one for one in told if one >= 0)
        sizes = [one if one >= 0 else rest for one in told]
    return split(trace, value, place, sizes)


def _concatenation(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    values = [operator.traced(index) for index in range(len(operator.inputs))]
    return [with_function(trace, operator, joined(trace, values, operator.attribute("axis", 0)))]


def _packed(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    values = [operator.traced(index) for index in range(len(operator.inputs))]
    return [stacked(trace, values, int(operator.attribute("axis", 0)))]


def _unpacked(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis_of([operator.attribute("axis", 0)], value.rank)
    return [picked(trace, value, place, index) for index in range(len(operator.node.outputs))]


def _reversed(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [turned(trace, value, axis_of(operator.integers(1), value.rank))]


def elements(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """Elements of a value by constant indices; the rows of a table are read elsewhere."""
    value, indices = operator.traced(0), operator.constant(1)
    place = axis_of([operator.attribute("axis", 0)], value.rank)
    if indices.ndim > 1 or not indices.size:
        raise OperatorRefused("one index, or a row of them", f"shape {indices.shape}", _AGAIN)
    parts = [StepSlice.element(place, int(index)) for index in indices.reshape(-1)]
    found = [_part(trace, value, part) for part in parts]
    if indices.ndim == 0:
        return found
    return [joined(trace, [unsqueezed(one, [place]) for one in found], place)]


def _keeping(handler: Handler) -> Handler:
    """A handler whose result has its steps in the order of its input."""

    def kept(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        backward = operator.traced(0).backward
        return [replace(made, backward=backward) for made in handler(trace, operator)]

    return kept


SHAPES: Final[dict[str, Handler]] = {
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _keeping(_expanded),
    "PACK": _packed,
    "RESHAPE": _keeping(_reshape),
    "REVERSE_V2": _reversed,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SQUEEZE": _keeping(_squeeze),
    "STRIDED_SLICE": _slice,
    "TRANSPOSE": _keeping(_transpose),
    "UNPACK": _unpacked,
}
