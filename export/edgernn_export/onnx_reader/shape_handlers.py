"""Operators of ONNX that rearrange values, tell sizes, or take parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from edgernn_export.onnx_reader.constants import parts_of, slices_of
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.selections import joined, picked, sliced, split
from edgernn_export.operator_reader.shapes import reshaped, squeezed, transposed, unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import (
    AxisKind,
    AxisSize,
    Traced,
    fixed,
    is_constant,
    size_of,
)

_AGAIN: Final = "Export the network again."


def axis_of(operator: Operator, value: Traced, default: int) -> int:
    """The attribute axis, counted from the start.

    Raises:
        OperatorRefused: there is no such axis.
    """
    axis = int(operator.attribute("axis", default))
    if not -value.rank <= axis < value.rank:
        raise OperatorRefused(f"an axis of {value.rank}", f"axis={axis}", _AGAIN)
    return axis % value.rank


def _identity(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [operator.given(0)]


def _transpose(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    order = operator.attribute("perm", list(range(value.rank))[::-1])
    return [transposed(value, [int(place) for place in order])]


def _squeeze(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [squeezed(trace, operator.traced(0), operator.integers(1, "axes"))]


def _unsqueeze(_: CallTrace, operator: Operator) -> Sequence[Any]:
    return [unsqueezed(operator.traced(0), operator.integers(1, "axes") or [])]


def _reshape(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    sizes = fixed(operator.constant(1)).reshape(-1)
    copy = not operator.attribute("allowzero", 0)
    return [reshaped(trace, operator.traced(0), _sizes(sizes), copy=copy)]


def _sizes(values: Any) -> list[AxisSize]:
    return [int(v) if not hasattr(v, "keys") else v for v in values]


def _flatten(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    axis = int(operator.attribute("axis", 1))
    place = axis + value.rank if axis < 0 else axis
    atoms = [size_of(entry) for entry in value.axes]
    first: AxisSize = 1
    for size in atoms[:place]:
        first = first * size
    return [reshaped(trace, value, [first, -1], copy=False)]


def _shape(_: CallTrace, operator: Operator) -> Sequence[Any]:
    sizes = operator.traced(0).sizes
    return [fixed(sizes[operator.attribute("start", 0) : operator.attribute("end")])]


def _slice(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    for place, start, stop, step in slices_of(operator, value.rank):
        value = sliced(trace, value, place, start, stop, step)
    return [value]


def _split(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis_of(operator, value, 0)
    size = size_of(value.axes[place])
    if not isinstance(size, int):
        raise OperatorRefused("a split of the features", "one of open size", _AGAIN)
    return split(trace, value, place, parts_of(operator, size))


def _concat(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    values = [operator.traced(index) for index in range(len(operator.inputs))]
    return [joined(trace, values, int(operator.attribute("axis")))]


def _gather(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """An element of a value; the rows of a table are read elsewhere."""
    value, indices = operator.traced(0), operator.constant(1)
    place = axis_of(operator, value, 0)
    if indices.ndim == 0:
        return [picked(trace, value, place, int(indices))]
    if indices.ndim > 1 or not indices.size:
        raise OperatorRefused("one index, or a row of them", f"shape {indices.shape}", _AGAIN)
    listed = [int(index) for index in indices]
    parts = [unsqueezed(picked(trace, value, place, index), [place]) for index in listed]
    return [joined(trace, parts, place)]


def _dropout(_: CallTrace, operator: Operator) -> Sequence[Any]:
    training = operator.given(2)
    if training is not None and (not is_constant(training) or bool(training.reshape(-1)[0])):
        raise OperatorRefused(
            "dropout that does nothing", "training_mode", "Export the network for inference."
        )
    return [operator.given(0)]


def _reverse(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """All steps of all streams from the last one on."""
    value = operator.traced(0)
    places = [int(operator.attribute(name, n)) for name, n in (("time_axis", 0), ("batch_axis", 1))]
    if sorted(places) != [0, 1] or value.rank < 2:
        raise OperatorRefused("axes of steps and of streams", f"{places}", _AGAIN)
    time, batch = places
    lengths = operator.constant(1).reshape(-1)
    value = trace.swapped(value, time, batch)
    value = trace.need(trace.need(value, time, AxisKind.TIME), batch, AxisKind.BATCH)
    if not trace.is_trial and any(length != size_of(value.axes[time]) for length in lengths):
        raise OperatorRefused(
            "sequence_lens of all steps", "others",
            "Leave out sequence_lens, and pass streams of different lengths.",
        )  # fmt: skip
    return [replace(value, backward=not value.backward)]


SHAPES: Final[dict[str, Handler]] = {
    "Concat": _concat,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Reshape": _reshape,
    "ReverseSequence": _reverse,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
