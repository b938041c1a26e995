"""The reference as a backend of `edgernn.Session`."""

from __future__ import annotations

from pathlib import Path

from edgernn.backends.base import State
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_firmware_sim.reference.reference import Reference


class ReferenceBackend:
    """Runs NUMERICS.md in NumPy; slow, needs nothing else."""

    name = "reference"

    def __init__(self, model: IntegerModel) -> None:
        """Lay out the model's weights."""
        self.interface = model.interface()
        self._reference = Reference(model)

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by one reading."""
        return self._reference.step(q_x, state)

    def run(self, q_xs: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by T readings."""
        return self._reference.run(q_xs, state)

    def step_batch(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance B streams by one step; see `BatchStepBackend.step_batch`."""
        return self._reference.step(q_x, state)

    def run_batch(self, q_xs: OperandArray) -> Int16Array:
        """Run B whole streams of T readings; see `BatchBackend.run_batch`."""
        q_ys, _ = self._reference.run(*self._reference.begun(q_xs))
        return q_ys

    def close(self) -> None:
        """Nothing to release."""


def open_reference(path: Path, program: str = "") -> ReferenceBackend:
    """Open an .edgernn file.

    Args:
        path: the file.
        program: which program of a file of several.

    Raises:
        FormatError: the file breaks FORMAT.md.
    """
    return ReferenceBackend(ProgramSet.load(path)[program] if program else IntegerModel.load(path))
