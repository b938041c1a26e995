"""GRU, reset before and after: NUMERICS.md clauses 7.5 to 7.8 (Cho et al. 2014)."""

from __future__ import annotations

import numpy as np

from edgernn.model.affine import Source
from edgernn.model.layers import GRUAfter, GRUBefore
from edgernn_firmware_sim.reference.arithmetic import Int32, round_product, sat16
from edgernn_firmware_sim.reference.cells.context import GATES, CellContext, CellState
from edgernn_firmware_sim.reference.tables import tanh

_Context = CellContext[GRUBefore] | CellContext[GRUAfter]


def _update(ctx: _Context, z: Int32, n: Int32, h: Int32) -> tuple[Int32, CellState]:
    """Clause 7.5: h' = z*h + (1 - z)*n."""
    w = sat16(np.int32(32768) - z)
    kept = ctx.sat16("z*h", round_product(z * h, 15))
    added = ctx.sat16("w*n", round_product(w * n, 15))
    h_new = ctx.sat16("h", kept + added)
    return h_new, (h_new,)


def step_before(
    ctx: CellContext[GRUBefore], q_x: Int32, state: CellState
) -> tuple[Int32, CellState]:
    """Clause 7.6: the reset gate multiplies h before the matrix product."""
    (h,) = state
    units = ctx.layer.units
    sigma = GATES[ctx.layer.gate_activation]
    operands = ctx.operands(q_x, h)
    gates = sigma(ctx.affine("zr", operands))
    z, r = gates[:, :units], gates[:, units:]
    reset = ctx.sat16("r*h", round_product(r * h, 15))
    operands[Source.RH] = ctx.operand(reset, "operand_rh")
    return _update(ctx, z, tanh(ctx.affine("n", operands)), h)


def step_after(ctx: CellContext[GRUAfter], q_x: Int32, state: CellState) -> tuple[Int32, CellState]:
    """Clause 7.7: the reset gate multiplies the recurrent product."""
    (h,) = state
    units = ctx.layer.units
    sigma = GATES[ctx.layer.gate_activation]
    operands = ctx.operands(q_x, h)
    gates = sigma(ctx.affine("zr", operands))
    z, r = gates[:, :units], gates[:, units:]
    a = ctx.affine("n_x", operands)
    d = ctx.affine("n_h", operands)
    reset = ctx.sat16("r*d", round_product(r * d, 15))
    return _update(ctx, z, tanh(ctx.sat16("n", a + reset)), h)
