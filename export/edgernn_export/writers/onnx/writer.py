"""The exact ONNX form: one step in standard ONNX integer operators, bit for bit NUMERICS.md."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.backends.onnx_file import METADATA_KEY, sealed
from edgernn.container import interface_json
from edgernn.graph.lowering import lowered
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.layers import Dense
from edgernn_export.writers.onnx.cells import RECURRENT, Cell, CellState, dense_step
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeEmitter
from edgernn_export.writers.onnx.tables import Tables


def write_onnx_exact(model: IntegerModel, golden: Golden | None = None) -> bytes:
    """Write an integer model as an ONNX step graph without a single float tensor.

    Inputs: ``x`` [1, I] (int8 in `w8a8`, int16 in `w8a16`) and every state by its name, int16
    [1, H]. Outputs: ``y`` int16 [1, O] and every new state as ``<name>_out``.

    Args:
        model: the integer model.
        golden: self-test vector to store in the file.

    Returns:
        The file's bytes; same model, same bytes.
    """
    g = GraphBuilder(model.name or "edgernn")
    tables = Tables(g, model.precision)
    q_x = g.input("x", model.precision.operand_dtype, [1, model.input.width])
    for spec in model.states:
        g.input(spec.name, np.int16, [1, spec.units])
    value, operand = "", tables.model_input(q_x)
    carried: list[str] = []
    for index, layer in enumerate(model.layers):
        if index:
            operand = tables.operand(value)
        state = tuple(g.cast(spec.name, np.int32) for spec in layer.states)
        value, new = _layer_step(Cell(g=g, tables=tables, layer=layer), operand, state)
        carried.extend(new)
    g.output(g.cast(value, np.int16), "y", np.int16, [1, model.output.width])
    for spec, tensor in zip(model.states, carried, strict=True):
        g.output(g.cast(tensor, np.int16), f"{spec.name}_out", np.int16, [1, spec.units])
    interface = replace(model.interface(), golden=golden)
    return sealed(g.to_bytes({METADATA_KEY: interface_json.dumps(interface)}))


def _layer_step(cell: Cell, x: str, state: CellState) -> tuple[str, CellState]:
    """Append one step of a layer.

    Args:
        cell: the layer and its graph.
        x: operand rows of the layer input.
        state: int32 codes of the layer's states, empty for Dense.

    Returns:
        int32 [1, U] layer output, and the new state.
    """
    if type(cell.layer) is Dense:
        return dense_step(cell, x), state
    own = RECURRENT.get(type(cell.layer))
    if own is not None:
        new = own(cell, x, state)
        return new[0], new
    step = lowered(cell.tables.precision, (cell.layer,))
    (y,), after = NodeEmitter(cell.g, cell.tables)(step, (x,), state)
    return y, tuple(after)
