"""Which recurrent layers can have wide states (clause 2.8), and why others cannot."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from edgernn.cells.general import WIDE_GATES
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.cell_plans import record_of
from edgernn_export.float_model.model import FloatCell, FloatLayer, FloatSimpleRNN

#: Cells whose state is a share of itself and what comes in: their wide form is a `leaky_rnn`.
_LEAKY: Final = ("linear_recurrence", "general_rnn")
#: The functions with which a `general_rnn` is one of them.
_KEEPING: Final = ("linear", "relu")
_GATES: Final = ("gate_function", "gate_activation")


def kept_in_matrix(layer: FloatLayer) -> FloatArray | None:
    """What units keep of themselves from step to step as the diagonal of a matrix.

    Args:
        layer: a recurrent layer.

    Returns:
        float64 [H]; None of layers that keep shares by gates or constants, or nothing.
    """
    if isinstance(layer, FloatSimpleRNN) and layer.activation == "relu":
        return layer.recurrent.diagonal()
    if isinstance(layer, FloatCell) and layer.kind == "general_rnn":
        keeps = dict(layer.options)["cell_function"] in _KEEPING
        return layer.by_name["gates.h"].diagonal() if keeps else None
    return None


def wide_defect(layer: FloatLayer) -> str | None:
    """Why a recurrent layer cannot have a wide state; None where it can.

    Args:
        layer: a recurrent layer.
    """
    if isinstance(layer, FloatSimpleRNN):
        return None if layer.activation == "relu" else _made_anew(layer.activation)
    if not isinstance(layer, FloatCell):
        return None
    options = dict(layer.options)
    if layer.kind in _LEAKY:
        function = options.get("cell_function", "linear")
        return None if function in _KEEPING else _made_anew(function)
    if not any(field.name == "wide" for field in fields(record_of(layer.kind))):
        return f"the cell {layer.kind!r} does not support wide states"
    gate = next((options[name] for name in _GATES if name in options), WIDE_GATES[0])
    if gate not in WIDE_GATES:
        return f"its gates are {gate}, but a wide state requires {' or '.join(WIDE_GATES)}"
    return None


def _made_anew(function: str) -> str:
    return f"its state is {function} of a matrix product, so more bits would not extend its memory"
