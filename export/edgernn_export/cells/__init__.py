"""Cells for Keras beyond its own, and layers, and who reads which class of cells."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from edgernn_export.cells.cell_readers import CellReader, register_keras_cell
from edgernn_export.cells.known_cells import KNOWN
from edgernn_export.float_model.own_cells import FloatCell

if TYPE_CHECKING:
    from edgernn_export.cells.cfc_cell import CfCCell
    from edgernn_export.cells.fast_cells import FastGRNNCell, FastRNNCell
    from edgernn_export.cells.keras_cell import RegisteredCell
    from edgernn_export.cells.svdf_layer import SVDF
    from edgernn_export.cells.zoneout_cells import ZoneoutGRUCell, ZoneoutLSTMCell

__all__ = [
    "SVDF",
    "CellReader",
    "CfCCell",
    "FastGRNNCell",
    "FastRNNCell",
    "FloatCell",
    "RegisteredCell",
    "ZoneoutGRUCell",
    "ZoneoutLSTMCell",
    "register_keras_cell",
]

#: Classes that import Keras, by name, and their modules: imported when they are used.
_OF_KERAS: Final = {
    "CfCCell": "cfc_cell",
    "FastGRNNCell": "fast_cells",
    "FastRNNCell": "fast_cells",
    "RegisteredCell": "keras_cell",
    "SVDF": "svdf_layer",
    "ZoneoutGRUCell": "zoneout_cells",
    "ZoneoutLSTMCell": "zoneout_cells",
}

for _name, _reader in KNOWN.items():
    register_keras_cell(_name, _reader)


def __getattr__(name: str) -> Any:
    """A class that imports Keras, when it is used."""
    if name not in _OF_KERAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_OF_KERAS[name]}"), name)
