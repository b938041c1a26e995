"""One step of every layer as ONNX integer operators: NUMERICS.md sections 7 and 8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.model.affine import Affine, Source
from edgernn.model.formats import INT16_MAX
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GateActivation,
    GRUAfter,
    GRUBefore,
    SimpleRNN,
)
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import (
    Operands,
    ResultRange,
    affine,
    clip,
    product,
    sat16,
)
from edgernn_export.writers.onnx.tables import ENTRIES, REACH, Tables

#: An affine result as an index into an activation table.
_INDEX: Final = ResultRange(low=-REACH, high=REACH, bias=REACH)
_RELU: Final = ResultRange(low=0)

#: int32 tensors [1, H] of int16 codes, in the order of the layer's `states`.
CellState = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a cell needs besides its input and state.

    Attributes:
        g: the graph.
        tables: its lookup tables.
        layer: the layer's record.
    """

    g: GraphBuilder
    tables: Tables
    layer: Any

    def affine(self, record: Affine, operands: Operands, window: ResultRange) -> str:
        """Run an affine map, concatenating [x; h] where it reads both as one."""
        if record.terms[0].source is Source.XH and Source.XH not in operands:
            joint = self.g.node("Concat", operands[Source.X], operands[Source.H], axis=-1)
            operands[Source.XH] = joint
        return affine(self.g, record, operands, window)

    def gather(self, table: str, index: str) -> str:
        """Look up [1, H] indices."""
        return self.g.node("Gather", table, index)

    def split(self, tensor: str, count: int) -> tuple[str, ...]:
        """Cut [1, count*H] into ``count`` gates."""
        return self.g.nodes("Split", [tensor], count, axis=1)


def _operands(cell: Cell, x: str, h: str) -> Operands:
    return {Source.X: x, Source.H: cell.tables.operand(h)}


def _simple_rnn(cell: Cell, x: str, state: CellState) -> CellState:
    """Clause 7.1."""
    layer: SimpleRNN = cell.layer
    operands = _operands(cell, x, state[0])
    if layer.activation is CellActivation.RELU:
        return (cell.affine(layer.gates, operands, _RELU),)
    return (cell.gather(cell.tables.tanh(), cell.affine(layer.gates, operands, _INDEX)),)


def _lstm(cell: Cell, x: str, state: CellState) -> CellState:
    """Clauses 7.2 to 7.4. One lookup serves all gates: the rows of g read the table's tanh half."""
    layer: LSTM = cell.layer
    g, (h, c) = cell.g, state
    halves = np.repeat(np.array([0, 0, ENTRIES, 0], dtype=np.int32), layer.units)
    window = ResultRange(low=-REACH, high=REACH, bias=REACH + halves)
    index = cell.affine(layer.gates, _operands(cell, x, h), window)
    gates = cell.gather(cell.tables.gates_then_tanh(layer.gate_activation), index)
    i, f, candidate, o = cell.split(gates, 4)
    # The inner sat16 of 7.3 and that of 7.4 never act: i, f, o <= 32767.
    kept = product(g, f, c, 15)
    added = product(g, i, candidate, 30 - layer.cell_exponent)
    c_new = sat16(g, g.node("Add", kept, added))
    bent = cell.gather(cell.tables.tanh_of_cell(layer.cell_exponent), c_new)
    return product(g, o, bent, 15), c_new


def _gru_gates(cell: Cell, operands: Operands) -> tuple[str, str]:
    """Clause 7.5: z and r."""
    layer: GRUBefore | GRUAfter = cell.layer
    index = cell.affine(layer.zr, operands, _INDEX)
    gates = cell.gather(cell.tables.gates(layer.gate_activation), index)
    z, r = cell.split(gates, 2)
    return z, r


def _gru_update(cell: Cell, z: str, n: str, h: str) -> CellState:
    """Clause 7.5: h'. Its inner sat16 never act: z, w <= 32767."""
    g = cell.g
    w = g.node("Sub", g.constant(1 << 15), z)
    if cell.layer.gate_activation is GateActivation.HARD_SIGMOID:
        w = g.node(
            "Min", w, g.constant(INT16_MAX)
        )  # the sigmoid of 3.2 never yields 0, this one does
    return (sat16(g, g.node("Add", product(g, z, h, 15), product(g, w, n, 15))),)


def _gru_before(cell: Cell, x: str, state: CellState) -> CellState:
    """Clause 7.6; its sat16 never acts: r <= 32767."""
    layer: GRUBefore = cell.layer
    operands = _operands(cell, x, state[0])
    z, r = _gru_gates(cell, operands)
    operands[Source.RH] = cell.tables.operand(product(cell.g, r, state[0], 15))
    n = cell.gather(cell.tables.tanh(), cell.affine(layer.n, operands, _INDEX))
    return _gru_update(cell, z, n, state[0])


def _gru_after(cell: Cell, x: str, state: CellState) -> CellState:
    """Clause 7.7; its inner sat16 never acts: r <= 32767."""
    layer: GRUAfter = cell.layer
    g = cell.g
    operands = _operands(cell, x, state[0])
    z, r = _gru_gates(cell, operands)
    a = cell.affine(layer.n_x, operands, ResultRange(bias=REACH))
    d = cell.affine(layer.n_h, operands, ResultRange())
    index = clip(g, g.node("Add", a, product(g, r, d, 15)), 0, 2 * REACH)
    return _gru_update(cell, z, cell.gather(cell.tables.tanh(), index), state[0])


def dense_step(cell: Cell, x: str) -> str:
    """Clause 8.1."""
    layer: Dense = cell.layer
    operands = {Source.X: x}
    if layer.activation is DenseActivation.LINEAR:
        return cell.affine(layer.out, operands, ResultRange())
    if layer.activation is DenseActivation.RELU:
        return cell.affine(layer.out, operands, _RELU)
    index = cell.affine(layer.out, operands, _INDEX)
    if layer.activation is DenseActivation.TANH:
        return cell.gather(cell.tables.tanh(), index)
    return cell.gather(cell.tables.gates(GateActivation.SIGMOID), index)


#: Layers with a form of their own; every other one is written operation by operation.
RECURRENT: Final[dict[type, Callable[[Cell, str, CellState], CellState]]] = {
    SimpleRNN: _simple_rnn,
    LSTM: _lstm,
    GRUBefore: _gru_before,
    GRUAfter: _gru_after,
}
