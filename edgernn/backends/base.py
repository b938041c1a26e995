"""What every backend offers: one integer step, states as values."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgernn.errors import BackendMismatch
from edgernn.formats import Int16Array, OperandArray
from edgernn.interface import Interface

#: int16 vectors in the order of `Interface.states`.
State = tuple[Int16Array, ...]


class Backend(Protocol):
    """Executes one model; holds weights, never a stream's state."""

    name: str
    interface: Interface

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by one reading.

        Args:
            q_x: operand codes [I].
            state: int16 vectors; not modified.

        Returns:
            int16 [O] and the new state; both owned by the caller.
        """
        ...

    def run(self, q_xs: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by T readings; by definition repeated `step`.

        Args:
            q_xs: operand codes [T, I].
            state: int16 vectors; not modified.

        Returns:
            int16 [T, O] and the new state.
        """
        ...

    def close(self) -> None:
        """Release the runtime."""
        ...


def self_test(backend: Backend) -> None:
    """Run the file's golden vector through the runtime.

    Raises:
        BackendMismatch: an output differs; the runtime must not be trusted with this file.
    """
    golden = backend.interface.golden
    if golden is None:
        return
    q_y, _ = backend.run(golden.q_x, backend.interface.initial_state())
    differing = int(np.count_nonzero(q_y != golden.q_y))
    if differing:
        raise BackendMismatch(
            f"backend '{backend.name}': expected the file's golden vector, got {differing} of "
            f"{q_y.size} values that differ. Use another runtime version or the reference backend, "
            "and report this runtime."
        )
