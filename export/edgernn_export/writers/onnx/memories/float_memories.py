"""Layers with a memory as ONNX nodes of float32: a Scan over the steps of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgernn_export.float_model.memories import FloatAttention, FloatMemory
from edgernn_export.writers.onnx.float_steps import Fed, LayerNodes
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeRows, joined, sliced

#: What the score of an empty slot loses: its share is 0 in float32.
_EMPTY = 1e9


def append_memory(g: GraphBuilder, layer: FloatMemory, fed: Fed, states: list[str]) -> LayerNodes:
    """Append a memory, or attention over one.

    Its states in the file are zeros where a stream begins, as all states are: what tells which
    slots are filled is that less its beginning.

    Args:
        g: receives the nodes.
        layer: the layer.
        fed: I features.
        states: [1, B, N] each.
    """
    no_steps = g.constant([0], np.int64)
    body = GraphBuilder(layer.name, g)
    before = [
        NodeRows(body.input(f"{name}/step", np.float32, ["B", width]), width)
        for name, width in zip(states, layer.state_widths, strict=True)
    ]
    x = joined(g, fed)
    row = NodeRows(body.input(f"{x}/step", np.float32, ["B", layer.inputs]), layer.inputs)
    after = before
    if not isinstance(layer, FloatAttention) or layer.appends:
        after = _appended(body, layer, row, before)
    if isinstance(layer, FloatAttention):
        y = _mean(body, layer, row, after)
    else:
        y = sliced(body, row, layer.inputs - layer.units, layer.units).name
    for value, width in [*after, (y, layer.units)]:
        made = body.node("Identity", value)  # a tensor is one output
        body.output(made, made, np.float32, ["B", width])
    first = [g.node("Squeeze", state, no_steps) for state in states]
    *last, ys = g.scan(body, first, [x])
    return ys, tuple(g.node("Unsqueeze", state, no_steps) for state in last)


def _appended(
    g: GraphBuilder, layer: FloatMemory, row: NodeRows, before: Sequence[NodeRows]
) -> list[NodeRows]:
    """The memory with a row more, the newest first."""
    *rows, filled = before
    parts = [sliced(g, row, row.width - layer.units, layer.units)]
    if not layer.tied:
        parts.append(sliced(g, row, row.width - layer.row_width, layer.width))
    made = []
    for part, old in zip(parts, rows, strict=True):
        kept = sliced(g, old, 0, old.width - part.width)
        made.append(NodeRows(joined(g, [part, kept]), old.width))
    begin = g.constant(layer.initial_state(1)[-1], np.float32)
    whole = NodeRows(g.node("Add", filled.name, begin), filled.width)
    moved = joined(g, [sliced(g, whole, 0, 1), sliced(g, whole, 0, filled.width - 1)])
    return [*made, NodeRows(g.node("Sub", moved, begin), filled.width)]


def _mean(g: GraphBuilder, layer: FloatAttention, row: NodeRows, memory: Sequence[NodeRows]) -> str:
    """The mean of the values by the softmax of their scores, [B, E]."""
    query = g.node("Unsqueeze", sliced(g, row, 0, layer.width).name, g.constant([1], np.int64))
    keys = _rows(g, layer, memory[0 if layer.tied else 1].name, layer.width)
    if layer.score == "additive":
        joint = g.node("Tanh", g.node("Add", keys, query))
    else:
        joint = g.node("Mul", keys, query)
    weighed = g.node("Mul", joint, g.constant(layer.factor, np.float32))
    scores = g.node("ReduceSum", weighed, g.constant([-1], np.int64), keepdims=0)
    filled = sliced(g, memory[-1], 1, layer.slots).name  # 2 of a slot that is filled, 0 of others
    loss = g.node("Mul", g.node("Sub", _number(g, 2.0), filled), _number(g, _EMPTY))
    shares = g.node("Softmax", g.node("Sub", scores, loss), axis=-1)
    values = _rows(g, layer, memory[0].name, layer.units)
    mean = g.node("MatMul", g.node("Unsqueeze", shares, g.constant([1], np.int64)), values)
    return g.node("Squeeze", mean, g.constant([1], np.int64))


def _rows(g: GraphBuilder, layer: FloatMemory, values: str, width: int) -> str:
    return g.node("Reshape", values, g.constant([-1, layer.slots, width], np.int64))


def _number(g: GraphBuilder, number: float) -> str:
    return g.constant(number, np.float32)
