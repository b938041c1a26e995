"""LSTM with a recurrent projection (Sak, Senior & Beaufays 2014), as PyTorch's `proj_size`."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    CELL_EXPONENTS,
    PREACTIVATION,
    RELU_EXPONENTS,
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
    Source,
    StateSpec,
    Value,
    cell_record,
    register_cell,
    wide_cell,
    x_and_h,
)


@cell_record
class ProjectedLSTM(LayerRecord):
    """LSTM of many cells whose output, and what its gates see of it, is narrower (clause 7.19).

    m = o * tanh(c'), h' = `projection` of m. The bias of the projection, which the paper has not,
    begins with 0.

    Attributes:
        cells: width C of the gates and of the cell state.
        gate_activation: of i, f, o.
        cell_exponent: fractional bits of the cell state c, 10..14; of a wide one from -5.
        wide: the cell state has a low part (clause 2.8).
        state_exponent: fractional bits of h, 0..15.
        gates: affine map, 4C rows in the order i f g o, over x and h.
        projection: affine map, H rows, over m.
    """

    kind: ClassVar[str] = "projected_lstm"
    shape: ClassVar[AffineShapes] = {
        "gates": (4, X_AND_H),
        "projection": (1, frozenset({(Source.RH,)})),
    }
    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {"cells": ("gates", Source.RH)}
    exponents: ClassVar[dict[str, Exponent]] = {
        "cell_exponent": Exponent(values=("c",), allowed=CELL_EXPONENTS, wide=WIDE_CELL_EXPONENTS),
        "state_exponent": Exponent(values=("projection",), allowed=RELU_EXPONENTS),
    }
    widened: ClassVar[str] = "c"
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {"gates": (0.0, 1.0, 0.0, 0.0)}

    cells: int
    gate_activation: GateActivation
    cell_exponent: int
    state_exponent: int
    gates: Affine
    projection: Affine
    wide: bool = False

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Hidden state, cell state, and its low part where it has one."""
        hidden = QFormat(bits=16, frac_bits=self.state_exponent)
        form = QFormat(bits=16, frac_bits=self.cell_exponent)
        cell = self.state("c", form, self.cells)
        return self.state("h", hidden), cell, *self.low_state(cell)


def projected_lstm(
    g: OpBuilder, layer: ProjectedLSTM, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.19."""
    h, c, *low = states
    z = g.split(g.affine("gates", layer.gates, x_and_h(g, x, h), rows="ifgo"), "ifgo")
    sigma = Function(layer.gate_activation.value)
    new: tuple[Value, ...]
    if low:
        new = parts = wide_cell(g, layer, (z[0], z[1]), g.tanh(z[2], "g"), (c, low[0]))
        o = g.activation(sigma, z[3], "o")
        z_c = g.wide_rescaled(parts, PREACTIVATION, "z_c")
    else:
        i, f, o = (g.activation(sigma, z[k], name) for k, name in ((0, "i"), (1, "f"), (3, "o")))
        added = g.product(i, g.tanh(z[2], "g"), "i*g", c.format)
        new = (g.sum(g.product(f, c, "f*c", c.format), added, "c"),)
        z_c = g.rescaled(new[0], PREACTIVATION, "z_c")
    m = g.product(o, g.tanh(z_c, "tanh_c"), "m", UNIT)
    h_new = g.affine("projection", layer.projection, {Source.RH: g.operand(m, "o_m")}, h.format)
    return h_new, (h_new, *new)


register_cell(ProjectedLSTM, projected_lstm)
