"""LSTM with peepholes: its gates see the cell state (Gers & Schmidhuber 2000)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    CELL_EXPONENTS,
    PREACTIVATION,
    UNIT,
    WIDE_CELL_EXPONENTS,
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
    Function,
    GateActivation,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    ScaleVector,
    StateSpec,
    Value,
    cell_record,
    register_cell,
    wide_cell,
    x_and_h,
)


@cell_record
class PeepholeLSTM(LayerRecord):
    """LSTM whose gates i and f see c, and whose gate o sees the new c (clause 7.15).

    Attributes:
        gate_activation: of i, f, o.
        cell_exponent: fractional bits of the cell state c, 10..14; of a wide one from -5.
        wide: the cell state has a low part (clause 2.8).
        peephole_i, peephole_f, peephole_o: constants, one per unit.
        gates: affine map, 4H rows in the order i f g o.
    """

    kind: ClassVar[str] = "peephole_lstm"
    shape: ClassVar[AffineShapes] = {"gates": (4, X_AND_H)}
    scale_shape: ClassVar[dict[str, int]] = {"peephole_i": 1, "peephole_f": 1, "peephole_o": 1}
    exponents: ClassVar[dict[str, Exponent]] = {
        "cell_exponent": Exponent(values=("c",), allowed=CELL_EXPONENTS, wide=WIDE_CELL_EXPONENTS)
    }
    widened: ClassVar[str] = "c"
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {"gates": (0.0, 1.0, 0.0, 0.0)}

    gate_activation: GateActivation
    cell_exponent: int
    peephole_i: ScaleVector
    peephole_f: ScaleVector
    peephole_o: ScaleVector
    gates: Affine
    wide: bool = False

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Hidden state, cell state, and its low part where it has one."""
        cell = self.state("c", QFormat(bits=16, frac_bits=self.cell_exponent))
        return self.state("h", UNIT), cell, *self.low_state(cell)


def peephole_lstm(
    g: OpBuilder, layer: PeepholeLSTM, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.15."""
    h, c, *low = states
    z = g.split(g.affine("gates", layer.gates, x_and_h(g, x, h), rows="ifgo"), "ifgo")

    def argument(name: str, row: int, cell: Value) -> Value:
        seen = g.scaled(
            cell, f"peephole_{name}", layer.scales[f"peephole_{name}"], f"p_{name}", PREACTIVATION
        )
        return g.sum(z[row], seen, f"z_{name}")

    def gate(name: str, row: int, cell: Value) -> Value:
        return g.activation(Function(layer.gate_activation.value), argument(name, row, cell), name)

    if low:
        z_if = argument("i", 0, c), argument("f", 1, c)
        new = wide_cell(g, layer, z_if, g.tanh(z[2], "g"), (c, low[0]))
        o = gate("o", 3, new[0])
        bent = g.tanh(g.wide_rescaled(new, PREACTIVATION, "z_c"), "tanh_c")
        h_new = g.product(o, bent, "h")
        return h_new, (h_new, *new)
    i, f = gate("i", 0, c), gate("f", 1, c)
    added = g.product(i, g.tanh(z[2], "g"), "i*g", c.format)
    c_new = g.sum(g.product(f, c, "f*c", c.format), added, "c")
    o = gate("o", 3, c_new)
    h_new = g.product(o, g.tanh(g.rescaled(c_new, PREACTIVATION, "z_c"), "tanh_c"), "h")
    return h_new, (h_new, c_new)


register_cell(PeepholeLSTM, peephole_lstm)
