"""LSTM with any functions of its gates and cell, any range of the cell, and wide states."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    GATE_EXPONENTS,
    OPERATIONS,
    PREACTIVATION,
    VALUE_EXPONENTS,
    WIDE_CELL_EXPONENTS,
    X_AND_H,
    Affine,
    AffineShapes,
    CurveTable,
    Exponent,
    Function,
    LayerRecord,
    Lowered,
    OpBuilder,
    StateSpec,
    Value,
    applied,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cells.general import check_gates, gate_of, quantized


@cell_record
class GeneralLSTM(LayerRecord):
    """LSTM of chosen functions (clause 7.24).

    Attributes:
        gate_function: of i, f, o.
        cell_function: of the candidate g and of the cell state where it is put out.
        wide: the cell state has a low part (clause 2.8).
        gate_input_exponent: fraction bits of the pre-activations of i, f, o.
        gate_exponent: of i, f, o.
        candidate_input_exponent: of the pre-activation of g.
        candidate_exponent: of g.
        cell_exponent: of the cell state c.
        shown_exponent: of the function of c.
        state_exponent: of h.
        gate_curve, candidate_curve, cell_curve: tables of functions that are no operations.
        gates: affine map, 4H rows in the order i f g o.
    """

    kind: ClassVar[str] = "general_lstm"
    shape: ClassVar[AffineShapes] = {"gates": (4, X_AND_H)}
    curve_shape: ClassVar[dict[str, str]] = {
        "gate_curve": "gate_function",
        "candidate_curve": "cell_function",
        "cell_curve": "cell_function",
    }
    widened: ClassVar[str] = "c"
    exponents: ClassVar[dict[str, Exponent]] = {
        "gate_exponent": Exponent(
            values=("i", "f", "o"), allowed=GATE_EXPONENTS, result_of=("gate_function",)
        ),
        "gate_input_exponent": Exponent(
            values=("gates.i", "gates.f", "gates.o"),
            allowed=VALUE_EXPONENTS,
            argument_of="gate_function",
            partner="gate_exponent",
        ),
        "candidate_exponent": Exponent(
            values=("g",), allowed=VALUE_EXPONENTS, result_of=("cell_function",)
        ),
        "candidate_input_exponent": Exponent(
            values=("gates.g",),
            allowed=VALUE_EXPONENTS,
            argument_of="cell_function",
            partner="candidate_exponent",
        ),
        "cell_exponent": Exponent(values=("c",), allowed=WIDE_CELL_EXPONENTS),
        "shown_exponent": Exponent(
            values=("shown",),
            allowed=VALUE_EXPONENTS,
            result_of=("cell_function",),
            partner="cell_exponent",
        ),
        "state_exponent": Exponent(
            values=("h",), allowed=VALUE_EXPONENTS, result_of=("gate_function", "cell_function")
        ),
    }
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {"gates": (0.0, 1.0, 0.0, 0.0)}

    gate_function: str
    cell_function: str
    gate_exponent: int
    gate_input_exponent: int
    candidate_exponent: int
    candidate_input_exponent: int
    cell_exponent: int
    shown_exponent: int
    state_exponent: int
    gates: Affine
    wide: bool = False
    gate_curve: CurveTable | None = None
    candidate_curve: CurveTable | None = None
    cell_curve: CurveTable | None = None

    def __post_init__(self) -> None:
        """Check the gates of a wide state."""
        LayerRecord.__post_init__(self)
        check_gates(self, self.gate_function)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Hidden state, cell state, and its low part where it has one."""
        cell = self.state("c", quantized(self.cell_exponent))
        return self.state("h", quantized(self.state_exponent)), cell, *self.low_state(cell)


def general_lstm(g: OpBuilder, layer: GeneralLSTM, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.24."""
    return lstm_showing(layer.cell_function, g, layer, x, states)


def lstm_showing(
    function: str, g: OpBuilder, layer: GeneralLSTM, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.24 with a function of the cell state that may differ from that of the candidate.

    Args:
        function: of the cell state where it is put out.
        g: the builder.
        layer: the layer.
        x: what it reads.
        states: before the step.
    """
    h, c, *low = states
    inner, outer = quantized(layer.gate_input_exponent), quantized(layer.gate_exponent)
    of_candidate = quantized(layer.candidate_input_exponent)
    alike = inner == of_candidate
    gates = g.affine("gates", layer.gates, x_and_h(g, x, h), inner if alike else None, rows="ifgo")
    z = g.split(gates, "ifgo", None if alike else [inner, inner, of_candidate, inner])

    def gate(row: int, name: str) -> Value:
        table = ("gate_curve", layer.gate_curve)
        return applied(g, layer.gate_function, z[row], table, name, outer)

    candidate = applied(
        g, layer.cell_function, z[2], ("candidate_curve", layer.candidate_curve), "g",
        quantized(layer.candidate_exponent),
    )  # fmt: skip
    wide: tuple[Value, ...]
    if low:
        loss = gate_of(g, layer, z[1], "f", outer, complement=True)
        gain = gate_of(g, layer, z[0], "i", outer, complement=False)
        wide = g.gated_sum((c, low[0]), loss, candidate, gain, "c")
    else:
        added = g.product(gate(0, "i"), candidate, "i*g", c.format)
        wide = (g.sum(g.product(gate(1, "f"), c, "f*c", c.format), added, "c"),)
    h_new = g.product(gate(3, "o"), _shown(g, layer, function, wide), "h", h.format)
    return h_new, (h_new, *wide)


def _shown(g: OpBuilder, layer: GeneralLSTM, function: str, wide: tuple[Value, ...]) -> Value:
    """The function of the new cell state, whose low part counts where codes of Q5.10 are finer."""
    c, *low = wide
    own = OPERATIONS.get(function)
    if own is not None and own.bounded:
        read = (
            g.wide_rescaled((c, low[0]), PREACTIVATION, "z_c")
            if low
            else g.rescaled(c, PREACTIVATION, "z_c")
        )
        return g.activation(own, read, "shown")
    if own is Function.LINEAR:
        return c
    table = ("cell_curve", layer.cell_curve)
    return applied(g, function, c, table, "shown", quantized(layer.shown_exponent))


register_cell(GeneralLSTM, general_lstm)
