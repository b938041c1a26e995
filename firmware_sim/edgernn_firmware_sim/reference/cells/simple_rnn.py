"""SimpleRNN: NUMERICS.md clause 7.1 (Elman 1990)."""

from __future__ import annotations

import numpy as np

from edgernn.model.layers import CellActivation, SimpleRNN
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.cells.context import CellContext, CellState
from edgernn_firmware_sim.reference.tables import tanh


def step(ctx: CellContext[SimpleRNN], q_x: Int32, state: CellState) -> tuple[Int32, CellState]:
    """Advance [B, I] operand codes and the state (h [B, H],) by one step."""
    (h,) = state
    z = ctx.affine("gates", ctx.operands(q_x, h))
    saturating = ctx.layer.activation is CellActivation.TANH
    h_new = tanh(z) if saturating else np.maximum(z, np.int32(0))
    ctx.see("h", h_new)
    return h_new, (h_new,)
