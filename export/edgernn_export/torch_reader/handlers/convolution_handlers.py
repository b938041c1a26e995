"""Convolutions, pooling and padding of ATen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.pooling import LARGEST, MEAN, SUM, pooled, reduced
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.torch_reader.handlers.layer_handlers import LAYERS, floats
from edgernn_export.torch_reader.handlers.shape_handlers import argument


def _convolution(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    kernel, bias = floats(operator, "weight"), floats(operator, "bias")
    assert kernel is not None
    given = argument(operator, "padding", 0)
    reach = (kernel.shape[2] - 1) * _one(operator, "dilation", 1)
    if isinstance(given, str):  # "same" splits the zeros between both ends
        padding = (0, 0) if given == "valid" else (reach // 2, reach - reach // 2)
    else:
        padding = (_one(operator, "padding", 0),) * 2
    value = operator.traced(0)
    if value.rank == 2:
        raise OperatorRefused(
            "an input of axes (batch, features, time)", "one of two axes",
            "Pass an example with an axis for the batch.",
        )  # fmt: skip
    return [
        layers.convolved(
            trace,
            value,
            kernel,
            bias,
            stride=_one(operator, "stride", 1),
            dilation=_one(operator, "dilation", 1),
            padding=padding,
            groups=int(argument(operator, "groups", 1)),
        )
    ]


def _one(operator: Operator, name: str, default: int) -> int:
    """A number that a list may hold."""
    given = argument(operator, name, default)
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return int(listed[0]) if listed else default


def _pool(largest: bool) -> Handler:
    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        count = _one(operator, "kernel_size", 1)
        stride = _one(operator, "stride", count) or count
        others = (
            _one(operator, "padding", 0),
            _one(operator, "dilation", 1) - 1,
            int(argument(operator, "ceil_mode", False)),
        )
        if any(others):
            raise OperatorRefused(
                "pooling without padding, dilation and ceil_mode", "one of them",
                "Train with the defaults.",
            )  # fmt: skip
        value = operator.traced(0)
        return [pooled(trace, value, largest=largest, count=count, stride=stride)]

    return handler


def _reduced(what: str) -> Handler:
    """The mean, the sum or the largest of axes that are told; its places are not known."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        value, told = operator.traced(0), argument(operator, "dim")
        places = list(told) if isinstance(told, (list, tuple)) else [told]
        places = list(range(value.rank)) if told is None or not places else places
        keep = bool(argument(operator, "keepdim", False))
        made = reduced(trace, value, [int(place) for place in places], what, keep=keep)
        return [made]

    return handler


def _max(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """The largest of some axis, of all of them, or of two values."""
    places = operator.attribute("places")
    if "other" in places:
        return LAYERS["maximum"](trace, operator)
    (made,) = _reduced(LARGEST)(trace, operator)
    return [[made, None]] if "dim" in places else [made]


def _adaptive(largest: bool) -> Handler:
    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        value, size = operator.traced(0), _one(operator, "output_size", 1)
        if size != 1:
            raise OperatorRefused(
                "pooling to one step", f"to {size}", "Train with a fixed kernel_size instead."
            )
        what = LARGEST if largest else MEAN
        made = reduced(trace, value, [value.rank - 1], what, keep=True, of_steps=True)
        return [[made, None]] if largest else [made]

    return handler


def _pad(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    pads = [int(one) for one in argument(operator, "pad")]
    mode, filled = argument(operator, "mode", "constant"), argument(operator, "value", 0)
    if mode != "constant" or filled:
        raise OperatorRefused(
            "zeros as padding", f"mode {mode!r}, value {filled!r}", "Pad with zeros."
        )
    for index in range(0, len(pads), 2):
        before, after = pads[index], pads[index + 1]
        place = value.rank - 1 - index // 2
        if after:
            raise OperatorRefused(
                "zeros before the first step alone", f"{after} behind the last",
                "A stream has no later readings: pad with torch.nn.functional.pad(x, (reach, 0)).",
            )  # fmt: skip
        if before:
            value = layers.padded(trace, value, place, before)
    return [value]


CONVOLUTIONS: Final[dict[str, Handler]] = {
    "adaptive_avg_pool1d": _adaptive(largest=False),
    "adaptive_max_pool1d": _adaptive(largest=True),
    "amax": _reduced(LARGEST),
    "avg_pool1d": _pool(largest=False),
    "conv1d": _convolution,
    "max": _max,
    "max_pool1d": _pool(largest=True),
    "mean": _reduced(MEAN),
    "pad": _pad,
    "sum": _reduced(SUM),
}
