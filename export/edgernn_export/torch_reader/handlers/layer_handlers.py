"""Operators of ATen that compute: matrices, arithmetic and functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Handler, Operator, numbers
from edgernn_export.operator_reader.selections import split
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, is_constant, size_of
from edgernn_export.torch_reader.handlers.shape_handlers import argument, axis

_AGAIN: Final = "Export the network again."
_NO_DIVISION: Final = "Integer models have no division. Train without it."


def floats(operator: Operator, name: str) -> FloatArray | None:
    """A constant argument in float64; None where it is left out.

    Raises:
        OperatorRefused: it depends on the readings.
    """
    value = argument(operator, name)
    if value is None:
        return None
    if isinstance(value, Traced):
        raise OperatorRefused(
            f"a constant as {name}", "one computed of the readings",
            "Train with weights and parameters that do not depend on the readings.",
        )  # fmt: skip
    return numbers(np.asarray(value))


def _linear(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    weight, bias = floats(operator, "weight"), floats(operator, "bias")
    assert weight is not None
    return [layers.dense(trace, value, value.rank - 1, weight.T, bias)]


def _matmul(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    left, right = operator.given(0), operator.given(1)
    if isinstance(left, Traced) and is_constant(right):
        return [_product(trace, left, left.rank - 1, operator.floats(1))]
    if is_constant(left) and isinstance(right, Traced) and right.rank > 1:
        return [_product(trace, right, right.rank - 2, operator.floats(0).swapaxes(-1, -2))]
    raise OperatorRefused(
        "a product with a constant matrix", "one of two values that depend on the readings",
        "Train with attention outside the network, or with a recurrent layer instead.",
    )  # fmt: skip


def _product(trace: CallTrace, value: Traced, place: int, kernel: FloatArray) -> Traced:
    if kernel.ndim > 2 and kernel.size == kernel.shape[-1] * kernel.shape[-2]:
        kernel = kernel.reshape(kernel.shape[-2:])
    if kernel.ndim != 2:
        raise OperatorRefused("a matrix [I, O]", f"shape {kernel.shape}", _AGAIN)
    return layers.dense(trace, value, place, kernel, None)


def _addmm(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, kernel = operator.traced(1), operator.floats(2)
    alpha, beta = float(argument(operator, "alpha", 1)), float(argument(operator, "beta", 1))
    bias = np.broadcast_to(beta * operator.floats(0), (1, kernel.shape[-1]))[0]
    return [layers.dense(trace, value, value.rank - 1, alpha * kernel, bias)]


def arithmetic(kind: str, *, reverse: bool = False) -> Handler:
    """Two values, or a value and a constant; the second times ``alpha``, where it is told."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        pair = [operator.given(0), operator.given(1)]
        if argument(operator, "rounding_mode") is not None:
            raise OperatorRefused("a division without rounding", "one that rounds", _NO_DIVISION)
        alpha = float(argument(operator, "alpha", 1))
        if alpha != 1.0:
            pair[1] = _times(trace, pair[1], alpha)
        first, second = pair[::-1] if reverse else pair
        if kind == "Divide" and isinstance(second, Traced):
            above = first if isinstance(first, Traced) else numbers(np.asarray(first))
            return [layers.divided(trace, above, second)]
        if isinstance(first, Traced) and isinstance(second, Traced):
            return [layers.merged(trace, kind, [first, second])]
        before = not isinstance(first, Traced)
        value, other = (second, first) if before else (first, second)
        constant = numbers(np.asarray(other))
        return [layers.with_constant(trace, kind, value, constant, before=before)]

    return handler


def _times(trace: CallTrace, value: Any, factor: float) -> Any:
    if isinstance(value, Traced):
        return layers.with_constant(trace, "Multiply", value, np.array(factor), before=False)
    return np.asarray(value) * factor


def _extreme(kind: str) -> Handler:
    """The larger or smaller of two values; a constant bounds one."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        pair = [operator.given(0), operator.given(1)]
        values = [value for value in pair if isinstance(value, Traced)]
        if len(values) == 2:
            return [layers.merged(trace, kind, values)]
        bound = next(numbers(np.asarray(one)) for one in pair if not isinstance(one, Traced))
        if bound.size != 1:
            raise OperatorRefused("values, or one number", f"shape {bound.shape}", _AGAIN)
        number = float(bound.reshape(()))
        low, high = (number, math.inf) if kind == "Maximum" else (-math.inf, number)
        return [layers.function(trace, values[0], _clipped(low, high))]

    return handler


def _pow(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, exponent = operator.given(0), operator.given(1)
    if isinstance(value, Traced) and exponent in (0.5, -0.5):
        root = layers.rooted(trace, value)
        return [root if exponent > 0 else layers.divided(trace, np.ones(()), root)]
    if not isinstance(value, Traced) or exponent not in (1, 2):
        raise OperatorRefused("an exponent of 1 or 2", f"{exponent!r:.40}", "Train without it.")
    return [value if exponent == 1 else layers.merged(trace, "Multiply", [value, value])]


def _square(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [layers.merged(trace, "Multiply", [value, value])]


def _negative(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [_times(trace, operator.traced(0), -1.0)]


def _clipped(low: float, high: float) -> PointwiseFunction:
    if low == 0.0:
        return PointwiseFunction.of("relu", **({} if high == math.inf else {"max_value": high}))
    return PointwiseFunction.of("clip", low=low, high=high)


def _clamp(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    bounds = [
        float(argument(operator, name, argument(operator, other, none)))
        for name, other, none in (("min", "min_val", -math.inf), ("max", "max_val", math.inf))
    ]
    return [layers.function(trace, operator.traced(0), _clipped(*bounds))]


def function(name: str, **parameters: tuple[str, float]) -> Handler:
    """A function of each value: parameter -> argument and what it is where it is left out."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        given = {
            parameter: float(argument(operator, key, default))
            for parameter, (key, default) in parameters.items()
        }
        applied = PointwiseFunction.of(name, **given)
        return [layers.function(trace, operator.traced(0), applied)]

    return handler


def _glu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    """The first half of the features, times a sigmoid of the second one."""
    value = operator.traced(0)
    place = axis(operator, value, default=-1)
    width = size_of(value.axes[place])
    if not isinstance(width, int) or width % 2:
        raise OperatorRefused("an even number of features", f"{width}", _AGAIN)
    shown, gate = split(trace, value, place, [width // 2] * 2)
    opened = layers.function(trace, gate, PointwiseFunction.of("sigmoid"))
    return [layers.merged(trace, "Multiply", [shown, opened])]


def _root(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.rooted(trace, operator.traced(0))]


def _absolute(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    applied = PointwiseFunction.of("relu", negative_slope=-1.0)
    return [layers.function(trace, operator.traced(0), applied)]


def _elu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    scale = float(argument(operator, "scale", 1))
    inner = float(argument(operator, "input_scale", 1))
    if inner != 1.0:
        raise OperatorRefused("input_scale=1", f"{inner:g}", "Train with nn.ELU.")
    applied = PointwiseFunction.of("elu", alpha=float(argument(operator, "alpha", 1)))
    made = layers.function(trace, operator.traced(0), applied)
    return [made if scale == 1.0 else _times(trace, made, scale)]


def _gelu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    close = argument(operator, "approximate", "none") == "tanh"
    applied = PointwiseFunction.of("gelu_tanh" if close else "gelu")
    return [layers.function(trace, operator.traced(0), applied)]


def _softplus(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    beta = float(argument(operator, "beta", 1))
    if float(argument(operator, "threshold", 20)) < 15:
        raise OperatorRefused(
            "a threshold of 15 or more", "a smaller one", "Train with the default."
        )
    value = operator.traced(0)
    if beta == 1.0:
        return [layers.function(trace, value, PointwiseFunction.of("softplus"))]
    made = layers.function(trace, _times(trace, value, beta), PointwiseFunction.of("softplus"))
    return [_times(trace, made, 1 / beta)]


def _prelu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    slope = operator.floats(1)
    value = operator.traced(0)
    if slope.size > 1:  # along the second axis, whatever the number of axes
        shape = [1] * value.rank
        shape[min(1, value.rank - 1)] = slope.size
        slope = slope.reshape(shape)
    return [layers.slopes(trace, value, slope)]


def _softmax(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [layers.softmax(trace, value, axis(operator, value, default=-1))]


def _embedding(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.embedded(trace, operator.floats(0), operator.traced(1))]


def _dropout(_: CallTrace, operator: Operator) -> Sequence[Any]:
    training = argument(operator, "train", argument(operator, "training", False))
    if training and float(argument(operator, "p", 0.5)):
        raise OperatorRefused(
                "dropout that does nothing", "a network in training mode",
                "Call module.eval() before the export.",
            )  # fmt: skip
    return [operator.given(0)]


def _cast(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.given(0)
    to = str(argument(operator, "dtype", "torch.float32"))
    floating = to in ("torch.float32", "torch.float64")
    given = isinstance(value, Traced) and not any(one.call.inputs for one in value.tensors)
    if not floating and not given:  # an input may be cast to tokens
        raise OperatorRefused(
            "a cast to float32 or float64", f"one to {to.removeprefix('torch.')}",
            "Train without rounding inside the network.",
        )  # fmt: skip
    return [value]


def _filled(value: float) -> Handler:
    """A constant that a value tells the shape of: one number, which broadcasts."""

    def handler(_: CallTrace, operator: Operator) -> Sequence[Any]:
        given = argument(operator, "fill_value", value)
        return [np.full((1,) * _rank(operator), float(given))]

    return handler


def _rank(operator: Operator) -> int:
    wanted = argument(operator, "size")
    value = operator.given(0)
    if wanted is not None:
        return len(wanted)
    return value.rank if isinstance(value, Traced) else np.ndim(value)


LAYERS: Final[dict[str, Handler]] = {
    "_softmax": _softmax,
    "_to_copy": _cast,
    "abs": _absolute,
    "add": arithmetic("Add"),
    "addmm": _addmm,
    "alpha_dropout": _dropout,
    "celu": function("celu", alpha=("alpha", 1.0)),
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "div": arithmetic("Divide"),
    "dropout": _dropout,
    "elu": _elu,
    "embedding": _embedding,
    "exp": function("exponential"),
    "feature_dropout": _dropout,
    "full_like": _filled(0.0),
    "gelu": _gelu,
    "glu": _glu,
    "hardshrink": function("hard_shrink", threshold=("lambd", 0.5)),
    "hardsigmoid": function("hard_sigmoid"),
    "hardswish": function("hard_silu"),
    "hardtanh": _clamp,
    "leaky_relu": function("relu", negative_slope=("negative_slope", 0.01)),
    "linear": _linear,
    "log_sigmoid": function("log_sigmoid"),
    "matmul": _matmul,
    "maximum": _extreme("Maximum"),
    "minimum": _extreme("Minimum"),
    "mish": function("mish"),
    "mm": _matmul,
    "mul": arithmetic("Multiply"),
    "neg": _negative,
    "new_full": _filled(0.0),
    "new_ones": _filled(1.0),
    "new_zeros": _filled(0.0),
    "ones_like": _filled(1.0),
    "pow": _pow,
    "prelu": _prelu,
    "relu": function("relu"),
    "relu6": function("relu", max_value=("max_val", 6.0)),
    "rsub": arithmetic("Subtract", reverse=True),
    "selu": function("selu"),
    "sigmoid": function("sigmoid"),
    "silu": function("silu"),
    "softmax": _softmax,
    "softplus": _softplus,
    "softshrink": function("soft_shrink", threshold=("lambd", 0.5)),
    "softsign": function("softsign"),
    "special_expit": function("sigmoid"),
    "sqrt": _root,
    "square": _square,
    "sub": arithmetic("Subtract"),
    "tanh": function("tanh"),
    "threshold": function("threshold", threshold=("threshold", 0.0), value=("value", 0.0)),
    "to": _cast,
    "true_divide": arithmetic("Divide"),
    "zeros_like": _filled(0.0),
}
