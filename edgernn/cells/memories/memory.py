"""A memory that a program fills, and that attention of another program reads."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import Lowered, OpBuilder, Value, cell_record, register_cell
from edgernn.cells.memories import MemoryLayer, appended
from edgernn.errors import ModelError


@cell_record
class RowMemory(MemoryLayer):
    """The last rows of keys and values; its output is the newest value (clause 7.29)."""

    kind: ClassVar[str] = "memory"

    def __post_init__(self) -> None:
        """Check the widths."""
        MemoryLayer.__post_init__(self)
        if self.inputs != self.row_width:
            raise ModelError(
                f"{self.name}.inputs: expected {self.row_width} values of a row, got {self.inputs}"
            )


def memory(g: OpBuilder, layer: RowMemory, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.29."""
    new = appended(g, layer, x, states)
    return g.part(new[0], 0, layer.units, "y"), new


register_cell(RowMemory, memory)
