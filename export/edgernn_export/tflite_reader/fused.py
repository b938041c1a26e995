"""The function that an operator applies to its own result."""

from __future__ import annotations

from collections.abc import Collection
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
#: What operators apply that are not recurrent: the interpreter leaves out TANH there.
CLIPS: Final = frozenset(set(ActivationFunctionType) - {ActivationFunctionType.TANH})


def fused_function(
    operator: Operator, known: Collection[int] = tuple(_FUNCTIONS)
) -> PointwiseFunction:
    """The function that an operator is told.

    Args:
        operator: the operator.
        known: numbers of those that it may be told.

    Raises:
        OperatorRefused: it is another one.
    """
    number = int(operator.attribute("fusedActivationFunction", 0))
    found = _FUNCTIONS.get(number)  # type: ignore[call-overload]
    if found is None or number not in known:
        names = ", ".join(one.name for one in _FUNCTIONS if one in known)
        told = number in ActivationFunctionType.__members__.values()
        got = ActivationFunctionType(number).name if told else f"number {number}"
        raise OperatorRefused(
            f"one of {names} as its function", got, "Train with a separate layer for it."
        )
    return found  # type: ignore[no-any-return]


def with_function(trace: CallTrace, operator: Operator, value: Traced) -> Traced:
    """The result of an operator that is not recurrent, with the function that it is told.

    Args:
        trace: takes calls.
        operator: the operator.
        value: its result before.

    Raises:
        OperatorRefused: edgernn does not have the function.
    """
    applied = fused_function(operator, CLIPS)
    return value if applied.name == "linear" else layers.function(trace, value, applied)
