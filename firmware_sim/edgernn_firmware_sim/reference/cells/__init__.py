"""One file per cell; the table of steps by layer record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from edgernn.model.layers import LSTM, Dense, GRUAfter, GRUBefore, SimpleRNN
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.cells import dense, gru, lstm, simple_rnn
from edgernn_firmware_sim.reference.cells.context import CellContext, CellState

#: layer record -> step(context, q_x [B, I], state) -> (output int16 [B, H], new state)
Step = Callable[[CellContext[Any], Int32, CellState], tuple[Int32, CellState]]
STEPS: Final[dict[type, Step]] = {
    SimpleRNN: simple_rnn.step,
    LSTM: lstm.step,
    GRUBefore: gru.step_before,
    GRUAfter: gru.step_after,
    Dense: dense.step,
}
