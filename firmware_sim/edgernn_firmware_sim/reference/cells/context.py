"""What a cell's step needs besides input and state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import numpy as np

from edgernn.model.affine import Source
from edgernn.model.formats import Precision
from edgernn.model.layers import LSTM, GateActivation, GRUAfter, GRUBefore, Layer
from edgernn_firmware_sim.reference.affine import Operands, affine_map, joined, operand
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.events import Names, Quiet
from edgernn_firmware_sim.reference.tables import hard_sigmoid, sigmoid

L = TypeVar("L", bound=Layer)
#: int32 arrays [B, H] holding int16 codes, in the order of the layer's `states`.
CellState = tuple[Int32, ...]

GATES: Final[dict[GateActivation, Callable[[Int32], Int32]]] = {
    GateActivation.SIGMOID: sigmoid,
    GateActivation.HARD_SIGMOID: hard_sigmoid,
}


#: Gates whose rows one affine map stacks (clauses 7.2, 7.5): events are counted for each gate.
_STACKED: Final[dict[tuple[type, str], str]] = {
    (LSTM, "gates"): "ifgo",
    (GRUBefore, "zr"): "zr",
    (GRUAfter, "zr"): "zr",
}


class CellContext(Generic[L]):
    """One layer, ready to run: its record, its affine maps, and where events go."""

    def __init__(self, layer: L, precision: Precision, note: Quiet) -> None:
        """Lay the weights out once."""
        self.layer = layer
        self.precision = precision
        self.note = note
        self._maps = {
            name: affine_map(a, _event_names(layer, name)) for name, a in layer.affines.items()
        }
        self._joined = joined(layer.affines)

    def affine(self, name: str, operands: Operands) -> Int32:
        """Run one of the layer's affine maps."""
        return self._maps[name](operands, self.note)

    def operand(self, value: Int32, name: str) -> Int32:
        """Clause 2.7 for a value of this layer."""
        return operand(self.precision, value, self.note, f"{self.layer.name}.{name}")

    def operands(self, q_x: Int32, h: Int32) -> Operands:
        """The sources x, h and, where needed, xh (clause 4.1)."""
        q_h = self.operand(h, "operand_h")
        operands = {Source.X: q_x, Source.H: q_h}
        if self._joined:
            operands[Source.XH] = np.concatenate((q_x, q_h), axis=-1)
        return operands

    def sat16(self, name: str, wide: Int32) -> Int32:
        """Saturate a named tensor of this layer."""
        return self.note.sat16(f"{self.layer.name}.{name}", wide)

    def see(self, name: str, tensor: Int32) -> Int32:
        """Show a named tensor of this layer to the recorder."""
        return self.note.see(f"{self.layer.name}.{name}", tensor)


def _event_names(layer: Layer, affine: str) -> Names:
    """What the results of an affine map are called among the events."""
    gates = _STACKED.get((type(layer), affine))
    if gates is None:
        return (f"{layer.name}.{affine}",)
    return tuple(f"{layer.name}.{affine}.{gate}" for gate in gates)
