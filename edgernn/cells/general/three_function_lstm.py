"""LSTM with any functions of its gates, of its candidate, and of its cell state."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from edgernn.cells import (
    Exponent,
    Lowered,
    OpBuilder,
    Value,
    cell_record,
    register_cell,
)
from edgernn.cells.general.general_lstm import GeneralLSTM, lstm_showing


@cell_record
class ThreeFunctionLSTM(GeneralLSTM):
    """LSTM of chosen functions, one of them for the cell state (clause 7.24).

    ONNX's operator has three: f of gates, g of the candidate, and h of the cell state. Its clip is
    one of what f and g read, but not of the cell state, so that g and h differ there, too.
    Exponents, tables and the map are those of `GeneralLSTM`.

    Attributes:
        shown_function: of the cell state where it is put out; ``cell_function`` is of g alone.
    """

    kind: ClassVar[str] = "three_function_lstm"
    curve_shape: ClassVar[dict[str, str]] = GeneralLSTM.curve_shape | {
        "cell_curve": "shown_function"
    }
    exponents: ClassVar[dict[str, Exponent]] = GeneralLSTM.exponents | {
        "shown_exponent": replace(
            GeneralLSTM.exponents["shown_exponent"], result_of=("shown_function",)
        ),
        "state_exponent": replace(
            GeneralLSTM.exponents["state_exponent"], result_of=("gate_function", "shown_function")
        ),
    }

    shown_function: str


def three_function_lstm(
    g: OpBuilder, layer: ThreeFunctionLSTM, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.24.

    Args:
        g: the builder.
        layer: the layer.
        x: what it reads.
        states: before the step.
    """
    return lstm_showing(layer.shown_function, g, layer, x, states)


register_cell(ThreeFunctionLSTM, three_function_lstm)
