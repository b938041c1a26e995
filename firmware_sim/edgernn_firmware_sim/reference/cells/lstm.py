"""LSTM: NUMERICS.md clauses 7.2 to 7.4 (Hochreiter & Schmidhuber 1997; Gers et al. 2000)."""

from __future__ import annotations

from edgernn.model.layers import LSTM
from edgernn_firmware_sim.reference.arithmetic import Int32, round_product
from edgernn_firmware_sim.reference.cells.context import GATES, CellContext, CellState
from edgernn_firmware_sim.reference.tables import tanh


def step(ctx: CellContext[LSTM], q_x: Int32, state: CellState) -> tuple[Int32, CellState]:
    """Advance [B, I] operand codes and the state (h, c) [B, H] by one step."""
    h, c = state
    units, exponent = ctx.layer.units, ctx.layer.cell_exponent
    sigma = GATES[ctx.layer.gate_activation]
    z = ctx.affine("gates", ctx.operands(q_x, h))
    i = sigma(z[:, :units])
    f = sigma(z[:, units : 2 * units])
    g = tanh(z[:, 2 * units : 3 * units])
    o = sigma(z[:, 3 * units :])
    kept = ctx.sat16("f*c", round_product(f * c, 15))
    added = ctx.sat16("i*g", round_product(i * g, 30 - exponent))
    c_new = ctx.sat16("c", kept + added)
    h_new = ctx.sat16("h", round_product(o * tanh(round_product(c_new, exponent - 10)), 15))
    return h_new, (h_new, c_new)
