"""Convolutions, pooling and padding of TFLite, whose axes are (batch, rows, columns, features)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.pooling import pooled
from edgernn_export.operator_reader.shapes import squeezed, transposed, unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, size_of
from edgernn_export.tflite_reader.fused import with_function
from edgernn_export.tflite_schema.codes import Padding

_AGAIN: Final = "Convert the network again."
_ALONE: Final = "Train with convolutions over the steps alone (Conv1D)."
#: Options for each of the two axes of a window.
_SIDES: Final = ("H", "W")


@dataclass(frozen=True, slots=True, kw_only=True)
class _WindowAxis:
    """What a window reads along one axis."""

    count: int
    stride: int
    dilation: int
    before: int = 0
    after: int = 0

    @property
    def is_idle(self) -> bool:
        return (self.count, self.stride, self.before, self.after) == (1, 1, 0, 0)


def _axes(operator: Operator, counts: Sequence[int], value: Traced) -> list[_WindowAxis]:
    """The window along rows and columns."""
    if value.rank != 4 or min(counts) < 1:
        got = f"{value.rank} axes and a window of {list(counts)}"
        raise OperatorRefused("an input of four axes, and a window over two", got, _AGAIN)
    made = []
    for place, (side, count) in enumerate(zip(_SIDES, counts, strict=True)):
        stride = int(operator.attribute(f"stride{side}", 1))
        dilation = int(operator.attribute(f"dilation{side}Factor", 1))
        if min(stride, dilation) < 1:
            raise OperatorRefused("strides of at least 1", f"{stride}, {dilation}", _AGAIN)
        before, after = 0, 0
        if operator.attribute("padding", Padding.SAME) == Padding.SAME:
            before, after = _same(size_of(value.axes[1 + place]), count, stride, dilation)
        axis = _WindowAxis(
            count=count, stride=stride, dilation=dilation, before=before, after=after
        )
        made.append(axis)
    return made


def _same(size: Any, count: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and behind an axis of a size, of which padding SAME is made."""
    reach = (count - 1) * dilation
    total = reach
    if stride > 1 and reach:
        if not isinstance(size, int):
            raise OperatorRefused(
                "padding VALID, or a fixed number of steps", "padding SAME of any number",
                "Train with padding='causal' or 'valid'.",
            )  # fmt: skip
        total = max(0, (-(-size // stride) - 1) * stride + reach + 1 - size)
    return total // 2, total - total // 2


def _steps_last(
    trace: CallTrace, value: Traced, window: Sequence[_WindowAxis]
) -> tuple[Traced, int]:
    """The value as (batch, features, steps), and which axis of the window the steps were."""
    idle = [place for place in (0, 1) if not value.axes[1 + place] and window[place].is_idle]
    if len(idle) == 2:
        idle = idle[:1]
    if len(idle) != 1:
        raise OperatorRefused("a window over one axis", "one over two", _ALONE)
    flat = squeezed(trace, value, [1 + idle[0]])
    return transposed(flat, (0, 2, 1)), 1 - idle[0]


def _as_before(value: Traced, kept: int) -> Traced:
    """The value with four axes again."""
    return unsqueezed(transposed(value, (0, 2, 1)), [2 - kept])


def _convolution(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, kernel = operator.traced(0), operator.floats(1)
    if kernel.ndim != 4 or not kernel.size:
        raise OperatorRefused("a kernel of four axes", f"shape {kernel.shape}", _AGAIN)
    window = _axes(operator, kernel.shape[1:3], value)
    width = size_of(value.axes[3])
    if operator.kind == "DEPTHWISE_CONV_2D":
        kernel = kernel.transpose(3, 1, 2, 0)  # [O, H, W, 1]
        groups = width if isinstance(width, int) else len(kernel)
    else:
        groups = max(1, width // kernel.shape[3]) if isinstance(width, int) else 1
    bias = None if operator.given(2) is None else operator.floats(2).reshape(-1)
    flat, kept = _steps_last(trace, value, window)
    axis = window[kept]
    made = layers.convolved(
        trace,
        flat,
        kernel.transpose(0, 3, 1, 2).reshape(len(kernel), kernel.shape[3], axis.count),
        bias,
        stride=axis.stride,
        dilation=axis.dilation,
        padding=(axis.before, axis.after),
        groups=groups,
    )
    return [with_function(trace, operator, _as_before(made, kept))]


def _pool(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    counts = [int(operator.attribute(f"filter{side}", 1)) for side in ("Height", "Width")]
    window = _axes(operator, counts, value)
    flat, kept = _steps_last(trace, value, window)
    axis = window[kept]
    if axis.before or axis.after:
        raise OperatorRefused("pooling without padding", "padding SAME", "Train with 'valid'.")
    largest = operator.kind == "MAX_POOL_2D"
    made = pooled(trace, flat, largest=largest, count=axis.count, stride=axis.stride)
    return [with_function(trace, operator, _as_before(made, kept))]


def _pad(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, pads = operator.traced(0), operator.constant(1)
    if pads.shape != (value.rank, 2):
        got = f"shape {pads.shape}"
        raise OperatorRefused("zeros before and behind each axis", got, _AGAIN)
    fill = 0.0 if operator.given(2) is None else float(operator.floats(2).reshape(()))
    before = {place: int(rows) for place, (rows, _) in enumerate(pads) if rows}
    if not pads.any():
        return [value]
    if fill or pads[:, 1].any() or len(before) != 1 or pads.min() < 0:
        raise OperatorRefused(
            "zeros before the first step alone, which a convolution reads",
            f"{fill:g} in {pads.tolist()!r:.60}",
            "A stream has no later readings: pad its start alone, with zeros.",
        )  # fmt: skip
    ((place, rows),) = before.items()
    return [layers.padded(trace, value, place, rows)]


CONVOLUTIONS: Final[dict[str, Handler]] = {
    "AVERAGE_POOL_2D": _pool,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "MAX_POOL_2D": _pool,
    "PAD": _pad,
    "PADV2": _pad,
}
