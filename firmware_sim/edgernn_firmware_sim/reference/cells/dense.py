"""Dense: NUMERICS.md section 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgernn.model.affine import Source
from edgernn.model.layers import Dense, DenseActivation
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.cells.context import CellContext, CellState
from edgernn_firmware_sim.reference.tables import sigmoid, tanh

_ACTIVATIONS: Final[dict[DenseActivation, Callable[[Int32], Int32]]] = {
    DenseActivation.LINEAR: lambda y: y,
    DenseActivation.RELU: lambda y: np.maximum(y, np.int32(0)),
    DenseActivation.TANH: tanh,
    DenseActivation.SIGMOID: sigmoid,
}


def step(ctx: CellContext[Dense], q_x: Int32, state: CellState) -> tuple[Int32, CellState]:
    """Map [B, I] operand codes to int16 [B, U]; there is no state."""
    y = _ACTIVATIONS[ctx.layer.activation](ctx.affine("out", {Source.X: q_x}))
    return y, state
