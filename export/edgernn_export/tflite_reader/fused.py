"""The function that an operator applies to its own result."""

from __future__ import annotations

from typing import Final

from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.operators import Operator
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced
from edgernn_export.tflite_schema.codes import ActivationFunctionType

_FUNCTIONS: Final = {
    ActivationFunctionType.NONE: PointwiseFunction.of("linear"),
    ActivationFunctionType.RELU: PointwiseFunction.of("relu"),
    ActivationFunctionType.RELU_N1_TO_1: PointwiseFunction.of("clip", low=-1.0, high=1.0),
    ActivationFunctionType.RELU6: PointwiseFunction.of("relu", max_value=6.0),
    ActivationFunctionType.TANH: PointwiseFunction.of("tanh"),
}


def fused_function(operator: Operator) -> PointwiseFunction:
    """The function that an operator is told.

    Raises:
        OperatorRefused: edgernn does not have it.
    """
    number = int(operator.attribute("fusedActivationFunction", 0))
    found = _FUNCTIONS.get(number)  # type: ignore[call-overload]
    if found is None:
        names = [one.name for one in _FUNCTIONS]
        got = "SIGN_BIT" if number == ActivationFunctionType.SIGN_BIT else f"number {number}"
        raise OperatorRefused(f"one of {', '.join(names)}", got, "Train with one of these.")
    return found  # type: ignore[no-any-return]


def with_function(trace: CallTrace, operator: Operator, value: Traced) -> Traced:
    """The result of an operator with the function that it is told."""
    applied = fused_function(operator)
    return value if applied.name == "linear" else layers.function(trace, value, applied)
