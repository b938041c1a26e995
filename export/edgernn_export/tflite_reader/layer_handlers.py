"""Operators of TFLite that compute: matrices, merges and functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.shapes import reshaped
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
from edgernn_export.tflite_reader.fused import with_function
from edgernn_export.tflite_reader.shape_handlers import elements
from edgernn_export.tflite_reader.wording import KERAS_FILE
from edgernn_export.tflite_schema.codes import TensorType

_AGAIN: Final = "Convert the network again."
_FLOATS: Final = (TensorType.FLOAT32, TensorType.FLOAT16, TensorType.FLOAT64)


def _fully_connected(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, weights = operator.traced(0), operator.given(1)
    if not is_constant(weights):
        return [with_function(trace, operator, matrix_product(trace, value, weights))]
    kernel = operator.floats(1)
    if kernel.ndim != 2 or operator.attribute("weightsFormat", 0):
        raise OperatorRefused("weights [O, I]", f"shape {kernel.shape} or shuffled ones", _AGAIN)
    bias = None if operator.given(2) is None else operator.floats(2).reshape(-1)
    if bias is not None and bias.shape != (len(kernel),):
        raise OperatorRefused(f"a bias of {len(kernel)}", f"shape {bias.shape}", _AGAIN)
    if value.rank != 2 and not operator.attribute("keepNumDims", False):
        value = reshaped(trace, value, [-1, kernel.shape[1]], copy=False)
    made = layers.dense(trace, value, value.rank - 1, kernel.T, bias)
    return [with_function(trace, operator, made)]


def _batch_matmul(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    left, right = operator.given(0), operator.given(1)
    turned = [bool(operator.attribute(name, False)) for name in ("adjX", "adjY")]
    pair = []
    for value, adjoint in zip((left, right), turned, strict=True):
        if adjoint and isinstance(value, Traced):
            raise OperatorRefused("a value times a matrix", "a transposed value", _AGAIN)
        pair.append(value.swapaxes(-1, -2) if adjoint else value)
    return [matrix_product(trace, pair[0], pair[1])]


def _with_fused(handler: Handler) -> Handler:
    """A handler behind which the function that the operator is told is applied."""

    def fused(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        return [
            with_function(trace, operator, made) if isinstance(made, Traced) else made
            for made in handler(trace, operator)
        ]

    return fused


def _function(name: str, **fixed: float) -> Handler:
    """A function of each value, with fixed parameters."""
    applied = PointwiseFunction.of(name, **fixed)
    return lambda trace, operator: [layers.function(trace, operator.traced(0), applied)]


def _square(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value = operator.traced(0)
    return [layers.merged(trace, "Multiply", [value, value])]


def _gelu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    close = bool(operator.attribute("approximate", False))
    applied = PointwiseFunction.of("gelu_tanh" if close else "gelu")
    return [layers.function(trace, operator.traced(0), applied)]


def _prelu(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    return [layers.slopes(trace, operator.traced(0), operator.floats(1))]


def _softmax(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    value, beta = operator.traced(0), float(operator.attribute("beta", 1.0))
    if beta != 1.0:
        value = layers.with_constant(trace, "Multiply", value, np.array(beta), before=False)
    return [layers.softmax(trace, value, value.rank - 1)]


def _gather(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    table, tokens = operator.given(0), operator.given(1)
    if operator.kind == "EMBEDDING_LOOKUP":
        table, tokens = tokens, table
    if operator.attribute("batchDims", 0):
        raise OperatorRefused("batch_dims=0", "others", _AGAIN)
    if not (is_constant(table) and isinstance(tokens, Traced)):
        return elements(trace, operator)
    values = operator.floats(0 if operator.kind == "GATHER" else 1)
    if values.ndim != 2 or int(operator.attribute("axis", 0)) != 0:
        raise OperatorRefused("a table [V, E] of which rows are taken", f"{values.shape}", _AGAIN)
    return [layers.embedded(trace, values, tokens)]


def _cast(_: CallTrace, operator: Operator) -> Sequence[Any]:
    to = operator.attribute("outDataType", TensorType.FLOAT32)
    return [in_type(operator.traced(0), to, to in _FLOATS)]


def _chosen(_: CallTrace, operator: Operator) -> Sequence[Any]:
    """One of two values, by a condition that is the same for all elements."""
    condition = operator.given(0)
    if not is_constant(condition) or condition.dtype != np.bool_ or np.ptp(condition.astype(int)):
        raise OperatorRefused(
            "a condition that does not depend on the readings", "another one",
            f"Train without masks and comparisons. {KERAS_FILE}",
        )  # fmt: skip
    return [operator.given(1 if condition.all() else 2)]


LAYERS: Final[dict[str, Handler]] = {
    "ADD": _with_fused(arithmetic("Add")),
    "ADD_N": several("Add"),
    "BATCH_MATMUL": _batch_matmul,
    "CAST": _cast,
    "DIV": _with_fused(arithmetic("Divide")),
    "ELU": _function("elu"),
    "EMBEDDING_LOOKUP": _gather,
    "EXP": _function("exponential"),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GELU": _gelu,
    "HARD_SWISH": _function("hard_silu"),
    "LEAKY_RELU": applied_function("relu", negative_slope=("alpha", 0.0)),
    "LESS": below_zero,
    "LOGISTIC": _function("sigmoid"),
    "MAXIMUM": several("Maximum"),
    "MINIMUM": several("Minimum"),
    "MUL": _with_fused(arithmetic("Multiply")),
    "NEG": negative,
    "POW": power,
    "PRELU": _prelu,
    "RELU": _function("relu"),
    "RELU6": _function("relu", max_value=6.0),
    "RELU_0_TO_1": _function("relu", max_value=1.0),
    "RELU_N1_TO_1": _function("clip", low=-1.0, high=1.0),
    "SELECT": _chosen,
    "SELECT_V2": _chosen,
    "SOFTMAX": _softmax,
    "SQRT": root,
    "SQUARE": _square,
    "SUB": _with_fused(arithmetic("Subtract")),
    "TANH": _function("tanh"),
}
