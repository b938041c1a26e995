"""Steps in the reverse order: what lies between an operator that turns them and one that reads them.

A layer that reads backward is, in a file, one that reads forward what was reversed before. The
value in between is marked; only what brings the steps back into their order may read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import AxisKind, Traced

_MARK: Final = "ReversedSteps"
#: Operators that know what to do with steps in the reverse order, or leave them as they are.
_AWARE: Final = frozenset(
    {"BIDIRECTIONAL_SEQUENCE_LSTM", "EXPAND_DIMS", "GATHER", "RESHAPE", "REVERSE_V2", "SHAPE",
     "SLICE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
     "UNIDIRECTIONAL_SEQUENCE_RNN", "WHILE"}
)  # fmt: skip


def is_reversed(value: Any) -> bool:
    """Whether the steps of a value come in the reverse order."""
    return isinstance(value, Traced) and any(_is_marked(tensor) for tensor in value.tensors)


def turned(trace: CallTrace, value: Traced, place: int) -> Traced:
    """The value with its steps in the other order.

    Args:
        trace: takes calls.
        value: any value.
        place: of the steps.

    Raises:
        OperatorRefused: the axis has no steps.
    """
    value = trace.need(value, place, AxisKind.TIME)
    mark = trace.operation(_MARK)
    return value.each(
        lambda tensor: tensor.call.inputs[0] if _is_marked(tensor) else trace.call(mark, [tensor])
    )


def as_read(value: Traced) -> tuple[Traced, bool]:
    """The value with its steps in the order of the readings, and whether they were reversed."""
    if not is_reversed(value):
        return value, False
    made = value.each(lambda tensor: tensor.call.inputs[0] if _is_marked(tensor) else tensor)
    return made, True


def end_of(value: Traced) -> Traced:
    """The last state of a layer, of which a value has all steps in the reverse order.

    Raises:
        OperatorRefused: it is no layer's output.
    """

    def end(tensor: CallResult) -> CallResult:
        (made,) = tensor.call.inputs
        if not getattr(made.call.layer, "reordered", False) or made.index:
            raise _refused()
        return CallResult(call=made.call, index=1)

    return value.each(end)


def in_order(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """Handlers that refuse values whose steps come in the reverse order, but for those aware."""
    return {
        kind: handler if kind in _AWARE else _checked(handler) for kind, handler in handlers.items()
    }


def _checked(handler: Handler) -> Handler:
    def checked(trace: CallTrace, operator: Operator) -> Sequence[Any]:
        if any(is_reversed(value) for value in operator.inputs):
            raise _refused()
        return handler(trace, operator)

    return checked


def _is_marked(tensor: CallResult) -> bool:
    layer = tensor.call.layer
    return layer is not None and layer.stored_class == _MARK


def _refused() -> OperatorRefused:
    return OperatorRefused(
        "steps in the order of the readings", "steps in the reverse order",
        "Train with a Bidirectional layer, which puts the steps back into their order.",
    )  # fmt: skip
