"""Operators of ONNX that compute: matrices, convolutions, normalization, merges and functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.onnx_reader.shape_handlers import SHAPES, axis_of
from edgernn_export.operator_reader import layers, normalizations, patterns
from edgernn_export.operator_reader.operators import Handler, Operator, numbers
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, is_constant

_AGAIN: Final = "Export the network again."
_FLOATS: Final = (1, 10, 11, 16)


def _gemm(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, weights = operator.traced(0), operator.floats(1)
    if operator.attribute("transA", 0) or weights.ndim != 2:
        raise OperatorRefused("A times a matrix B", "another product", _AGAIN)
    if operator.attribute("transB", 0):
        weights = weights.T
    alpha, beta = float(operator.attribute("alpha", 1.0)), float(operator.attribute("beta", 1.0))
    bias = None
    if operator.given(2) is not None:
        bias = beta * np.broadcast_to(operator.floats(2), (1, weights.shape[1]))[0]
    return [layers.dense(trace, value, value.rank - 1, alpha * weights, bias)]


def _matmul(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    left, right = operator.given(0), operator.given(1)
    if isinstance(left, Traced) and is_constant(right):
        kernel, value, place = operator.floats(1), left, left.rank - 1
    elif is_constant(left) and isinstance(right, Traced):
        kernel, value, place = operator.floats(0).swapaxes(-1, -2), right, right.rank - 2
    else:
        raise OperatorRefused(
            "a product with a constant matrix", "one of two values that depend on the readings",
            "Train with attention outside the network, or with a recurrent layer instead.",
        )  # fmt: skip
    if kernel.ndim > 2 and kernel.size == kernel.shape[-1] * kernel.shape[-2]:
        kernel = kernel.reshape(kernel.shape[-2:])
    if kernel.ndim != 2 or place < 0:
        raise OperatorRefused("a matrix [I, O]", f"shape {kernel.shape}", _AGAIN)
    return [layers.dense(trace, value, place, kernel, None)]


def _arithmetic(kind: str) -> Handler:
    """Two values, or a value and a constant."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        first, second = operator.given(0), operator.given(1)
        if kind == "Divide" and isinstance(second, Traced):
            above = first if isinstance(first, Traced) else operator.floats(0)
            return [layers.divided(trace, above, second)]
        if isinstance(first, Traced) and isinstance(second, Traced):
            return [layers.merged(trace, kind, [first, second])]
        before = is_constant(first)
        value = operator.traced(1 if before else 0)
        constant = operator.floats(0 if before else 1)
        if kind == "Multiply" and not constant.any() and constant.ndim <= value.rank:
            return [np.zeros((1,) * value.rank)]
        return [layers.with_constant(trace, kind, value, constant, before=before)]

    return handler


def _several(kind: str) -> Handler:
    """One value or more, of the same shape; constants among them bound a maximum or minimum."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        traced = [value for value in operator.inputs if isinstance(value, Traced)]
        constants = [numbers(value) for value in operator.inputs if is_constant(value)]
        made = traced[0] if len(traced) == 1 else layers.merged(trace, kind, traced)
        for constant in constants:
            if kind == "Add":
                made = layers.with_constant(trace, kind, made, constant, before=False)
                continue
            if constant.size != 1 or kind == "Average":
                raise OperatorRefused("values, or one number", f"shape {constant.shape}", _AGAIN)
            bound = float(constant.reshape(()))
            ends = {"low": bound, "high": math.inf} if kind == "Maximum" else {
                "low": -math.inf, "high": bound
            }  # fmt: skip
            made = layers.function(trace, made, PointwiseFunction.of("clip", **ends))
        return [made]

    return handler


def _pow(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, exponent = operator.traced(0), operator.floats(1)
    if exponent.size == 1 and float(exponent.reshape(())) in (0.5, -0.5):
        root = layers.rooted(trace, value)
        return [root if exponent > 0.0 else layers.divided(trace, np.ones(()), root)]
    if exponent.size != 1 or float(exponent.reshape(())) not in (1.0, 2.0):
        got = f"{exponent.reshape(-1)[:3].tolist()}"
        raise OperatorRefused("an exponent of 1 or 2", got, "Train without it.")
    if float(exponent.reshape(())) == 1.0:
        return [value]
    return [layers.merged(trace, "Multiply", [value, value])]


def _root(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.rooted(trace, operator.traced(0))]


def _reciprocal(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.divided(trace, np.ones(()), operator.traced(0))]


def _mean(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, axes = operator.traced(0), operator.integers(1, "axes")
    if not axes and operator.attribute("noop_with_empty_axes", 0):
        return [value]
    places = [value.place(axis) for axis in axes or range(value.rank)]
    keep = bool(operator.attribute("keepdims", 1))
    return [normalizations.mean(trace, value, places, keep=keep)]


def _layer_normalization(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, first = operator.traced(0), axis_of(operator, operator.traced(0), -1)
    given = [
        operator.floats(index).reshape(-1) if operator.given(index) is not None else None
        for index in (1, 2)
    ]
    return [
        normalizations.layer_normalized(
            trace,
            value,
            range(first, value.rank),
            scale=given[0],
            offset=given[1],
            epsilon=float(operator.attribute("epsilon", 1e-5)),
        )
    ]


def _negative(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    constant = np.array(-1.0)
    value = operator.traced(0)
    return [layers.with_constant(trace, "Multiply", value, constant, before=False)]


def _function(name: str, **attributes: tuple[str, float]) -> Handler:
    """A function of each value: parameter -> attribute and what it is where it is left out."""

    def handler(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        given = {
            parameter: float(operator.attribute(key, default))
            for parameter, (key, default) in attributes.items()
        }
        applied = PointwiseFunction.of(name, **given)
        return [layers.function(trace, operator.traced(0), applied)]

    return handler


def _hard_sigmoid(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    alpha = float(operator.attribute("alpha", 0.2))
    beta = float(operator.attribute("beta", 0.5))
    names = {1 / 6: "hard_sigmoid", 0.2: "hard_sigmoid_keras2"}
    name = next((names[slope] for slope in names if abs(alpha - slope) < 1e-6), None)
    value = operator.traced(0)
    if name is None or beta != 0.5:
        value = layers.with_constant(trace, "Multiply", value, np.array(alpha), before=False)
        value = layers.with_constant(trace, "Add", value, np.array(beta), before=False)
        return [layers.function(trace, value, PointwiseFunction.of("clip", low=0.0, high=1.0))]
    return [layers.function(trace, value, PointwiseFunction.of(name))]


def _clip(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    low = _bound(operator, 1, "min", -math.inf)
    high = _bound(operator, 2, "max", math.inf)
    if (low, high) == (0.0, math.inf):
        applied = PointwiseFunction.of("relu")
    elif low == 0.0:
        applied = PointwiseFunction.of("relu", max_value=high)
    else:
        applied = PointwiseFunction.of("clip", low=low, high=high)
    return [layers.function(trace, operator.traced(0), applied)]


def _bound(operator: Operator, index: int, name: str, default: float) -> float:
    if operator.given(index) is not None:
        bound = float(operator.floats(index).reshape(()))
    else:
        bound = float(operator.attribute(name, default))
    return math.copysign(math.inf, bound) if abs(bound) > 3.4e38 else bound


def _gelu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    close = operator.attribute("approximate", "none") == "tanh"
    applied = PointwiseFunction.of("gelu_tanh" if close else "gelu")
    return [layers.function(trace, operator.traced(0), applied)]


def _shrink(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    border = float(operator.attribute("lambd", 0.5))
    bias = float(operator.attribute("bias", 0.0))
    if bias not in (0.0, border):
        raise OperatorRefused(f"a bias of 0 or {border:g}", f"{bias:g}", "Train with one of these.")
    name = "soft_shrink" if bias else "hard_shrink"
    applied = PointwiseFunction.of(name, threshold=border)
    return [layers.function(trace, operator.traced(0), applied)]


def _prelu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.slopes(trace, operator.traced(0), operator.floats(1))]


def _selu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    usual = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}
    for name, value in usual.items():
        given = float(operator.attribute(name, value))
        if abs(given - value) > 1e-6:
            raise OperatorRefused(
                f"{name}={value:.6g}", f"{given:g}", "Train with Elu, or without it."
            )
    return [layers.function(trace, operator.traced(0), PointwiseFunction.of("selu"))]


def _softmax(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    place = axis_of(operator, value, -1 if operator.version >= 13 else 1)
    if operator.version < 13 and place != value.rank - 1:
        # Older versions take the softmax over all axes from this one on.
        sizes = [len(axis) for axis in value.axes[place + 1 :]]
        if any(sizes):
            raise OperatorRefused(
                "a softmax over the features", f"one over axes {place} to {value.rank - 1}",
                "Export the network with opset_version=13 or newer.",
            )  # fmt: skip
    return [layers.softmax(trace, value, place)]


def _batch_normalization(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    if operator.attribute("training_mode", 0) or operator.attribute("spatial", 1) != 1:
        raise OperatorRefused(
            "statistics from training", "others", "Export the network for inference."
        )
    value = operator.traced(0)
    scale, offset, mean, variance = (operator.floats(index).reshape(-1) for index in range(1, 5))
    return [
        normalizations.batch_normalized(
            trace,
            value,
            min(1, value.rank - 1),
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=float(operator.attribute("epsilon", 1e-5)),
        )
    ]


def _gather(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    table, tokens = operator.given(0), operator.given(1)
    if not (is_constant(table) and isinstance(tokens, Traced)):
        return SHAPES["Gather"](trace, operator)
    values = operator.floats(0)
    if values.ndim != 2 or int(operator.attribute("axis", 0)) != 0:
        raise OperatorRefused("a table [V, E] of which rows are taken", f"{values.shape}", _AGAIN)
    return [layers.embedded(trace, values, tokens)]


def _cast(_: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.given(0)
    if isinstance(value, Traced):
        to = int(operator.attribute("to"))
        given = not any(tensor.call.inputs for tensor in value.tensors)
        if to not in _FLOATS and not given:  # an input may be cast to tokens
            raise OperatorRefused(
                "a cast between types of floats", f"one to type {to}",
                "Train without rounding inside the network.",
            )  # fmt: skip
    return [value]


def _less(_: CallTrace, operator: Operator) -> Sequence[Any]:
    """Whether tokens are below 0, which exporters of Keras ask: none is."""
    value, bound = operator.traced(0), operator.floats(1)
    tokens = all(
        not tensor.call.inputs and "int" in str(tensor.call.layer.config.get("dtype"))
        for tensor in value.tensors
    )
    if not tokens or np.any(bound > 0):
        raise OperatorRefused(
            "a comparison of tokens with 0", "another one",
            "Train without comparisons inside the network.",
        )  # fmt: skip
    return [np.zeros((1,) * value.rank, dtype=bool)]


LAYERS: Final[dict[str, Handler]] = {
    "Add": _arithmetic("Add"),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Celu": _function("celu", alpha=("alpha", 1.0)),
    "Clip": _clip,
    "Div": _arithmetic("Divide"),
    "Elu": _function("elu", alpha=("alpha", 1.0)),
    "Erf": lambda trace, operator: [patterns.error_function(trace, operator.traced(0))],
    "Exp": _function("exponential"),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _function("hard_silu"),
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _function("relu", negative_slope=("alpha", 0.01)),
    "MatMul": _matmul,
    "Less": _less,
    "Max": _several("Maximum"),
    "Mean": _several("Average"),
    "Min": _several("Minimum"),
    "Mish": _function("mish"),
    "Mul": _arithmetic("Multiply"),
    "Neg": _negative,
    "PRelu": _prelu,
    "Pow": _pow,
    "Reciprocal": _reciprocal,
    "ReduceMean": _mean,
    "Relu": _function("relu"),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": _function("sigmoid"),
    "Softmax": _softmax,
    "Sqrt": _root,
    "Softplus": _function("softplus"),
    "Softsign": _function("softsign"),
    "Sub": _arithmetic("Subtract"),
    "Sum": _several("Add"),
    "Tanh": _function("tanh"),
    "ThresholdedRelu": _function("threshold", threshold=("alpha", 1.0)),
}
