"""The exact ONNX form: one step in standard ONNX integer operators, bit for bit NUMERICS.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgernn.backends.onnx_file import METADATA_KEY, sealed
from edgernn.backends.step_graph import step_ports
from edgernn.container import interface_json
from edgernn.graph.lowering import lowered
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.layers import Dense
from edgernn_export.writers.onnx.cells import RECURRENT, Cell, CellState, dense_step
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeEmitter, NodeRows, joined, sliced
from edgernn_export.writers.onnx.tables import Tables
from edgernn_export.writers.routed import RoutedVectors


def write_onnx_exact(model: IntegerModel, golden: Golden | None = None) -> bytes:
    """Write an integer model as an ONNX step graph without a single float tensor.

    Inputs: ``x`` [1, I] (int8 in `w8a8`, int16 in `w8a16` and where there are tokens) and every
    state by its name, int16 [1, H]. Outputs: ``y`` int16 [1, O] and every new state as
    ``<name>_out``. For a model with several inputs or outputs, these replace ``x`` or
    ``y`` by their names. Where a step takes R readings, an input is [1, R·I]: they follow one
    another, the oldest first.

    Args:
        model: the integer model.
        golden: self-test vector to store in the file.

    Returns:
        The file's bytes; same model, same bytes.
    """
    g, ports = GraphBuilder(model.name or "edgernn"), step_ports(model)
    tables = Tables(g, model.precision)
    dtype = model.code_dtype
    read = [NodeRows(g.input(p.name, dtype, [1, p.width]), p.width) for p in ports.inputs]
    for spec in model.states:
        g.input(spec.name, np.int16, [1, spec.units])
    readings = model.step_readings
    if len(read) > 1 and readings > 1:
        read = [
            sliced(g, rows, row * (rows.width // readings), rows.width // readings)
            for row in range(readings)
            for rows in read
        ]
    whole = NodeRows(joined(g, read), model.step_width)
    vectors = NodeVectors(g, tables, [whole], tokens=bool(model.input.vocabulary))
    carried: list[str] = []
    for layer, route in zip(model.layers, model.wiring, strict=False):
        fed = vectors.fed(layer, route)
        state = tuple(g.cast(spec.name, np.int32) for spec in layer.states)
        value, new = _layer_step(Cell(g=g, tables=tables, layer=layer), fed, state)
        vectors.add(layer, NodeRows(value, layer.units))
        carried.extend(new)
    values = vectors.values("output", model.wiring[-1])
    for port in ports.outputs:
        y = joined(g, vectors.cut(port.name, values, port.channels.start, port.width))
        g.output(g.cast(y, np.int16), port.name, np.int16, [1, port.width])
    for spec, tensor in zip(model.states, carried, strict=True):
        g.output(g.cast(tensor, np.int16), f"{spec.name}_out", np.int16, [1, spec.units])
    interface = replace(model.interface(), golden=golden)
    return sealed(g.to_bytes({METADATA_KEY: interface_json.dumps(interface)}))


class NodeVectors(RoutedVectors[NodeRows]):
    """The vectors of a model as tensors that nodes make; nodes are numbered, not named.

    Args:
        g: receives the nodes.
        tables: its lookup tables.
        inputs: codes of the model's input.
        tokens: some of them are tokens.
    """

    def __init__(
        self, g: GraphBuilder, tables: Tables, inputs: Sequence[NodeRows], *, tokens: bool
    ) -> None:
        """Start with no layers."""
        super().__init__(inputs, tokens=tokens)
        self.g = g
        self.tables = tables

    def width(self, tensor: NodeRows) -> int:
        """Number of elements."""
        return tensor.width

    def part(self, name: str, tensor: NodeRows, start: int, width: int) -> NodeRows:
        """Consecutive elements of a tensor."""
        del name
        return sliced(self.g, tensor, start, width)

    def operand(self, name: str, value: NodeRows) -> NodeRows:
        """O(v) of clause 2.7, as operand rows."""
        del name
        return NodeRows(self.tables.operand(value.name), value.width)

    def input_operand(self, name: str, codes: NodeRows) -> NodeRows:
        """Operand rows of the codes."""
        del name
        return NodeRows(self.tables.model_input(codes.name), codes.width)

    def held_operand(self, name: str, codes: NodeRows) -> NodeRows:
        """Operand rows of int32 codes."""
        del name
        return NodeRows(self.tables.input_operand(codes.name), codes.width)

    def input_value(self, name: str, codes: NodeRows) -> NodeRows:
        """The codes as int32."""
        del name
        return NodeRows(self.g.cast(codes.name, np.int32), codes.width)


def _layer_step(cell: Cell, fed: Sequence[NodeRows], state: CellState) -> tuple[str, CellState]:
    """Append one step of a layer.

    Args:
        cell: the layer and its graph.
        fed: operand rows of the layer input, or int32 codes where it reads values.
        state: int32 codes of the layer's states, empty for Dense.

    Returns:
        int32 [1, U] layer output, and the new state.
    """
    if type(cell.layer) is Dense:
        return dense_step(cell, joined(cell.g, fed)), state
    own = RECURRENT.get(type(cell.layer))
    if own is not None:
        new = own(cell, joined(cell.g, fed), state)
        return new[0], new
    step = lowered(cell.tables.precision, (cell.layer,))
    (y,), after = NodeEmitter(cell.g, cell.tables)(step, (fed,), state)
    return y, tuple(after)
