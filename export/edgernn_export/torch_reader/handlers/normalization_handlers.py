"""Operators of ATen that normalize, or that normalizations are written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn_export.operator_reader import layers, normalizations
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.torch_reader.handlers.layer_handlers import floats
from edgernn_export.torch_reader.handlers.shape_handlers import argument


def _batch_norm(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    if argument(operator, "training", False) or argument(operator, "running_mean") is None:
        raise OperatorRefused(
            "statistics from training", "those of the batch at hand",
            "Call module.eval() before the export, and train with track_running_stats=True.",
        )  # fmt: skip
    mean, variance = operator.floats(3), operator.floats(4)
    scale, offset = floats(operator, "weight"), floats(operator, "bias")
    return [
        normalizations.batch_normalized(
            trace,
            value,
            min(1, value.rank - 1),
            scale=np.ones_like(mean) if scale is None else scale,
            offset=np.zeros_like(mean) if offset is None else offset,
            mean=mean,
            variance=variance,
            epsilon=float(argument(operator, "eps", 1e-5)),
        )
    ]


def _layer_norm(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, count = operator.traced(0), len(argument(operator, "normalized_shape"))
    return [
        normalizations.layer_normalized(
            trace,
            value,
            range(value.rank - count, value.rank),
            scale=floats(operator, "weight"),
            offset=floats(operator, "bias"),
            epsilon=float(argument(operator, "eps", 1e-5)),
        )
    ]


def _variance(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, given = operator.traced(0), argument(operator, "dim")
    unbiased = argument(operator, "unbiased", True)
    if float(argument(operator, "correction", int(unbiased))) != 0.0:
        raise OperatorRefused(
            "the variance of all features (correction=0)", "an estimate of that of more",
            "Train with nn.LayerNorm, or with correction=0.",
        )  # fmt: skip
    places = [value.place(int(place)) for place in np.atleast_1d(given)]
    middle = normalizations.mean(trace, value, places, keep=True)
    from_it = layers.merged(trace, "Subtract", [value, middle])
    square = layers.merged(trace, "Multiply", [from_it, from_it])
    keep = bool(argument(operator, "keepdim", False))
    return [normalizations.mean(trace, square, places, keep=keep)]


def _reciprocal(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    below = layers.rooted(trace, value) if operator.kind == "rsqrt" else value
    return [layers.divided(trace, np.ones(()), below)]


NORMALIZATIONS: Final[dict[str, Handler]] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "native_layer_norm": _layer_norm,
    "reciprocal": _reciprocal,
    "rsqrt": _reciprocal,
    "var": _variance,
}
