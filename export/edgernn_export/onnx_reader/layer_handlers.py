"""Operators of ONNX that compute: matrices, convolutions, normalization, merges and functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.onnx_reader.shape_handlers import SHAPES, axis_of
from edgernn_export.operator_reader import layers, normalizations, patterns
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.usual_operators.arithmetic import (
    applied_function,
    arithmetic,
    below_zero,
    in_type,
    matrix_product,
    negative,
    power,
    root,
    several,
)
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
    return [matrix_product(trace, operator.given(0), operator.given(1))]


def _reciprocal(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.divided(trace, np.ones(()), operator.traced(0))]


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
    if not isinstance(value, Traced):
        return [value]
    to = int(operator.attribute("to"))
    return [in_type(value, to, to in _FLOATS)]


LAYERS: Final[dict[str, Handler]] = {
    "Add": arithmetic("Add"),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Celu": applied_function("celu", alpha=("alpha", 1.0)),
    "Clip": _clip,
    "Div": arithmetic("Divide"),
    "Elu": applied_function("elu", alpha=("alpha", 1.0)),
    "Erf": lambda trace, operator: [patterns.error_function(trace, operator.traced(0))],
    "Exp": applied_function("exponential"),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": applied_function("hard_silu"),
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": applied_function("relu", negative_slope=("alpha", 0.01)),
    "MatMul": _matmul,
    "Less": below_zero,
    "Max": several("Maximum"),
    "Mean": several("Average"),
    "Min": several("Minimum"),
    "Mish": applied_function("mish"),
    "Mul": arithmetic("Multiply"),
    "Neg": negative,
    "PRelu": _prelu,
    "Pow": power,
    "Reciprocal": _reciprocal,
    "Relu": applied_function("relu"),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": applied_function("sigmoid"),
    "Softmax": _softmax,
    "Sqrt": root,
    "Softplus": applied_function("softplus"),
    "Softsign": applied_function("softsign"),
    "Sub": arithmetic("Subtract"),
    "Sum": several("Add"),
    "Tanh": applied_function("tanh"),
    "ThresholdedRelu": applied_function("threshold", threshold=("alpha", 1.0)),
}
