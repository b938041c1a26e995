"""Convolutions, pooling and padding of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.pooling import LARGEST, MEAN, SUM, pooled, reduced
from edgernn_export.operator_reader.positions import (
    FrameWindow,
    convolved_within,
    is_within_step,
    mirrored,
)
from edgernn_export.operator_reader.shapes import squeezed, unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, is_constant

_AGAIN: Final = "Export the network again."
_ALONE: Final = "Train with convolutions over the steps alone (Conv1d)."


def _conv(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, kernel = operator.traced(0), operator.floats(1)
    bias = None if operator.given(2) is None else operator.floats(2)
    window = _Window.of(operator, list(kernel.shape[2:]), value)
    value, kept = _steps_alone(trace, value, window)
    kernel = kernel.reshape(*kernel.shape[:2], window.counts[kept])
    if is_within_step(value):
        along = FrameWindow(
            stride=window.strides[kept], dilation=window.dilations[kept],
            before=window.before[kept], after=window.after[kept],
        )  # fmt: skip
        groups = int(operator.attribute("group", 1))
        within = convolved_within(trace, value, kernel, bias, along, groups)
        return [_as_before(within, kept, window.rank)]
    made = layers.convolved(
        trace,
        value,
        kernel,
        bias,
        stride=window.strides[kept],
        dilation=window.dilations[kept],
        padding=(window.before[kept], window.after[kept]),
        groups=int(operator.attribute("group", 1)),
    )
    return [_as_before(made, kept, window.rank)]


def _pool(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    largest = operator.kind == "MaxPool"
    window = _Window.of(operator, list(operator.attribute("kernel_shape")), value)
    value, kept = _steps_alone(trace, value, window)
    if window.before[kept] or window.after[kept] or window.dilations[kept] != 1:
        raise OperatorRefused(
            "pooling without padding and dilation", "others", "Train with pads of 0."
        )
    if operator.attribute("ceil_mode", 0) and window.counts[kept] > 1:
        raise OperatorRefused("ceil_mode=0", "ceil_mode=1", "Train with ceil_mode=0.")
    made = pooled(
        trace, value, largest=largest, count=window.counts[kept], stride=window.strides[kept]
    )
    return [_as_before(made, kept, window.rank)]


def _reduced(what: str) -> Handler:
    """The mean, the sum or the largest of axes that are told."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        value = operator.traced(0)
        axes = operator.integers(1, "axes")
        if not axes and operator.attribute("noop_with_empty_axes", 0):
            return [value]
        keep = bool(operator.attribute("keepdims", 1))
        return [reduced(trace, value, axes or range(value.rank), what, keep=keep)]

    return handler


def _whole_pool(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    what = LARGEST if operator.kind == "GlobalMaxPool" else MEAN
    return [reduced(trace, value, range(2, value.rank), what, keep=True, of_steps=True)]


class _Window:
    """What a convolution or pooling reads along each of its axes.

    Attributes:
        counts, strides, dilations, before, after: by axis.
    """

    def __init__(self, counts: list[int], operator: Operator) -> None:
        self.counts = [int(count) for count in counts]
        self.rank = rank = len(counts)
        self.strides = [int(one) for one in operator.attribute("strides", [1] * rank)]
        self.dilations = [int(one) for one in operator.attribute("dilations", [1] * rank)]
        pads = [int(one) for one in operator.attribute("pads", [0] * 2 * rank)]
        self.before, self.after = pads[:rank], pads[rank:]

    @classmethod
    def of(cls, operator: Operator, counts: list[int], value: Traced) -> _Window:
        """That of an operator on a value with an axis for each."""
        made = cls(counts, operator)
        sizes = (made.counts, made.strides, made.dilations, made.before, made.after)
        good = all(len(one) == made.rank for one in sizes) and value.rank == made.rank + 2
        if not good or min(made.counts + made.strides + made.dilations, default=0) < 1:
            raise OperatorRefused("a window over all axes", "another one", _AGAIN)
        if min(made.before + made.after) < 0:
            raise OperatorRefused("pads of at least 0", "negative ones", _AGAIN)
        auto = operator.attribute("auto_pad", "NOTSET")
        if auto == "SAME_UPPER" or auto == "SAME_LOWER":
            if set(made.counts) != {1}:
                raise OperatorRefused(
                    "zeros before the first step alone", f"auto_pad={auto}",
                    "A stream has no later readings: train with pads=[reach, 0], or none.",
                )  # fmt: skip
        elif auto not in ("NOTSET", "VALID"):
            raise OperatorRefused("a known auto_pad", f"{auto!r:.40}", _AGAIN)
        elif auto == "VALID":
            made.before = made.after = [0] * made.rank
        return made


def _steps_alone(trace: CallTrace, value: Traced, window: _Window) -> tuple[Traced, int]:
    """The value with one axis of steps behind the features, and which of the window's it was."""
    idle = [
        place
        for place in range(window.rank)
        if not value.axes[2 + place]
        and (window.counts[place], window.strides[place]) == (1, 1)
        and not (window.before[place] or window.after[place])
    ]
    if len(idle) == window.rank:
        idle = idle[1:]
    if window.rank - len(idle) != 1:
        raise OperatorRefused(
            "a window over one axis", f"one over {window.rank - len(idle)}", _ALONE
        )
    (kept,) = set(range(window.rank)) - set(idle)
    return squeezed(trace, value, [2 + place for place in idle]), kept


def _as_before(value: Traced, kept: int, rank: int) -> Traced:
    """The value with the axes of size 1 that it had."""
    return unsqueezed(value, [2 + place for place in range(rank) if place != kept])


def _pad(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    pads = operator.integers(1, "pads") or []
    axes = operator.integers(3)
    places = range(value.rank) if axes is None else [axis % value.rank for axis in axes]
    if len(pads) != 2 * len(places):
        raise OperatorRefused("pads before and behind each axis", f"{len(pads)} of them", _AGAIN)
    if not any(pads):
        return [value]
    fill = operator.given(2)
    constant = float(operator.attribute("value", 0.0))
    if fill is not None:
        constant = float(np.asarray(operator.floats(2)).reshape(())) if is_constant(fill) else 1.0
    mode = operator.attribute("mode", "constant")
    ends = {place: (pads[i], pads[i + len(places)]) for i, place in enumerate(places)}
    wide = [place for place, rows in ends.items() if any(rows)]
    if mode == "reflect" and len(wide) == 1:
        return [mirrored(trace, value, wide[0], *ends[wide[0]])]
    before = {place: pads[index] for index, place in enumerate(places) if pads[index]}
    if mode != "constant" or constant or any(pads[len(places) :]) or len(before) != 1:
        raise OperatorRefused(
            "zeros before the first step alone, which a convolution reads",
            f"mode={mode!r:.20}, value {constant:g} and pads {pads!r:.60}",
            "A stream has no later readings: pad its start alone, with zeros.",
        )  # fmt: skip
    ((place, rows),) = before.items()
    if rows < 0:
        raise OperatorRefused("pads of at least 0", f"{rows}", "Export it without negative pads.")
    return [layers.padded(trace, value, place, rows)]


CONVOLUTIONS: Final[dict[str, Handler]] = {
    "AveragePool": _pool,
    "Conv": _conv,
    "GlobalAveragePool": _whole_pool,
    "GlobalMaxPool": _whole_pool,
    "MaxPool": _pool,
    "Pad": _pad,
    "ReduceMax": _reduced(LARGEST),
    "ReduceMean": _reduced(MEAN),
    "ReduceSum": _reduced(SUM),
}
