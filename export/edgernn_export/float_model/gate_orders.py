"""The orders in which formats stack the gates of a recurrent layer, and the one of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from edgernn.errors import ShapeError
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.layers import GRU_GATES, LSTM_GATES

#: kind of layer -> its gates, in the order of float layers.
GATES: Final[Mapping[str, str]] = {
    "SimpleRNN": "h",
    "LSTM": "".join(LSTM_GATES),
    "GRU": "".join(GRU_GATES),
}
#: Who writes weights -> kind of layer -> the order in which its gates lie there, in our letters:
#: ONNX calls g "c" and n "h", PyTorch calls the same order "(W_ir|W_iz|W_in)".
GATE_ORDERS: Final[Mapping[str, Mapping[str, str]]] = {
    "keras": {"SimpleRNN": "h", "LSTM": "ifgo", "GRU": "zrn"},
    "onnx": {"SimpleRNN": "h", "LSTM": "iofg", "GRU": "zrn"},
    "torch": {"SimpleRNN": "h", "LSTM": "ifgo", "GRU": "rzn"},
    "flax": {"SimpleRNN": "h", "LSTM": "ifgo", "GRU": "rzn"},
}


def in_our_order(rows: FloatArray, kind: str, order: str) -> FloatArray:
    """Rows of all gates in the order of `GATES`.

    Args:
        rows: [G*H, ...], one block of H rows for each gate.
        kind: "SimpleRNN", "LSTM" or "GRU".
        order: whose, one of `GATE_ORDERS`.

    Raises:
        ShapeError: the rows are no blocks.
    """
    return _moved(rows, GATE_ORDERS[order][kind], GATES[kind])


def in_order_of(rows: FloatArray, kind: str, order: str) -> FloatArray:
    """Rows of all gates in the order of a format: what `in_our_order` undoes.

    Args:
        rows: [G*H, ...], one block of H rows for each gate.
        kind: "SimpleRNN", "LSTM" or "GRU".
        order: whose, one of `GATE_ORDERS`.

    Raises:
        ShapeError: the rows are no blocks.
    """
    return _moved(rows, GATES[kind], GATE_ORDERS[order][kind])


def _moved(rows: FloatArray, given: str, wanted: str) -> FloatArray:
    if rows.shape[0] % len(given):
        raise ShapeError(f"expected a multiple of {len(given)} rows, got {rows.shape[0]}")
    if given == wanted:
        return rows
    blocks = dict(zip(given, np.split(rows, len(given)), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted])
