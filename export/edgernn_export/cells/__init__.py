"""Registered cells in Keras: a layer for all of them, and who reads which class of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn_export.cells.cell_readers import CellReader, register_keras_cell
from edgernn_export.float_model.own_cells import FloatCell

if TYPE_CHECKING:
    from edgernn_export.cells.keras_cell import RegisteredCell

__all__ = ["CellReader", "FloatCell", "RegisteredCell", "register_keras_cell"]


def __getattr__(name: str) -> Any:
    """`RegisteredCell`, which imports Keras, when it is used."""
    if name != "RegisteredCell":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgernn_export.cells.keras_cell import RegisteredCell

    return RegisteredCell
