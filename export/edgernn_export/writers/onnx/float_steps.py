"""What the float ONNX form has no operator for: registered cells, functions, and delays.

A cell runs as a Scan over time, whose body is the graph of the cell's lowering in real numbers. The
same interpreter runs it in NumPy and in Keras (`float_model.graph_run`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Final

import numpy as np

from edgernn.graph.ops import Function
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.float_model.functions.pointwise import Arithmetic, pointwise
from edgernn_export.float_model.graph_run import FloatStep
from edgernn_export.float_model.model import FloatCell, FloatDelay, FloatPointwise
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeRows, joined, sliced

#: What a layer reads: tensors [T, B, ...] one behind another.
Fed = Sequence[NodeRows]
#: Outputs [T, B, H] and final states [1, B, N] of a layer.
LayerNodes = tuple[str, tuple[str, ...]]
#: Beyond every axis.
_END: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class NodeArray:
    """A float32 tensor of a graph; what is computed with it becomes nodes.

    Attributes:
        g: receives the nodes.
        name: of the tensor.
    """

    g: GraphBuilder
    name: str

    def __add__(self, other: NodeArray | float) -> NodeArray:
        return self.node("Add", self, other)

    def __sub__(self, other: NodeArray | float) -> NodeArray:
        return self.node("Sub", self, other)

    def __rsub__(self, other: float) -> NodeArray:
        return self.node("Sub", other, self)

    def __mul__(self, other: NodeArray | float) -> NodeArray:
        return self.node("Mul", self, other)

    def __truediv__(self, other: NodeArray | float) -> NodeArray:
        return self.node("Div", self, other)

    def __getitem__(self, place: tuple[EllipsisType, slice]) -> NodeArray:
        """Consecutive elements of the last axis."""
        _, part = place
        width = part.stop - part.start
        return NodeArray(self.g, sliced(self.g, NodeRows(self.name, width), part.start, width).name)

    def node(self, op: str, *read: NodeArray | float, **attributes: object) -> NodeArray:
        """A node that reads tensors and numbers."""
        names = [
            one.name if isinstance(one, NodeArray) else self.g.constant(one, np.float32)
            for one in read
        ]
        return NodeArray(self.g, self.g.node(op, *names, **attributes))


def _joined(arrays: list[NodeArray], axis: int) -> NodeArray:
    first, *_ = arrays
    return first.node("Concat", *arrays, axis=axis)


#: How nodes compute the step of a registered cell.
NODES: Final = Arithmetic(
    matmul=lambda a, b: a.node("MatMul", a, b),
    concatenate=_joined,
    maximum=lambda a, b: a.node("Max", a, b),
    minimum=lambda a, b: a.node("Min", a, b),
    mean=lambda v: v.node("ReduceMean", v, axes=[-1], keepdims=1),
    sqrt=lambda v: v.node("Sqrt", v),
    exp=lambda v: v.node("Exp", v),
    log1p=lambda v: v.node("Log", v + 1.0),
    erf=lambda v: v.node("Erf", v),
    absolute=lambda v: v.node("Abs", v),
    greater=lambda v, number: v.node("Greater", v, number),
    where=lambda which, a, b: which.node("Where", which, a, b),
    functions={
        Function.LINEAR: lambda v: v,
        Function.RELU: lambda v: v.node("Relu", v),
        Function.TANH: lambda v: v.node("Tanh", v),
        Function.SIGMOID: lambda v: v.node("Sigmoid", v),
        # ONNX's own default slope is 0.2, Keras 3 divides by 6.
        Function.HARD_SIGMOID: lambda v: v.node("HardSigmoid", v, alpha=1.0 / 6.0, beta=0.5),
    },
)


def append_cell(g: GraphBuilder, layer: FloatCell, fed: Fed, states: list[str]) -> LayerNodes:
    """Append a registered cell.

    The body says in JSON which cell it is, so that it can be compared with that cell.

    Args:
        g: receives the nodes.
        layer: the cell.
        fed: I features.
        states: [1, B, N] each.
    """
    plan, no_steps = layer.plan, g.constant([0], np.int64)
    step = FloatStep(plan.graph, plan.terms, NODES, plan.epsilon)
    outside = _weights(g, layer)
    of_xs = step.of_input(outside, NodeArray(g, joined(g, fed)))
    told = {"cell": layer.kind, "units": layer.units, "options": dict(layer.options)}
    body = GraphBuilder(layer.name, g, json.dumps(told, sort_keys=True))

    def row(name: str, width: int) -> NodeArray:
        return NodeArray(body, body.input(name, np.float32, ["B", width]))

    before = [row(f"{name}/step", n) for name, n in zip(states, layer.state_widths, strict=True)]
    of_x = {name: row(f"{a.name}/step", _rows(layer, name)) for name, a in of_xs.items()}
    values = step(_weights(body, layer), of_x, before)
    after = [(values[one.after.name], one.after.width) for one in plan.graph.carried]
    for value, width in [*after, (values[plan.graph.outputs[0].name], layer.units)]:
        made = body.node("Identity", value.name)  # a tensor is one output
        body.output(made, made, np.float32, ["B", width])
    first = [g.node("Squeeze", state, no_steps) for state in states]
    *last, y = g.scan(body, first, [array.name for array in of_xs.values()])
    return y, tuple(g.node("Unsqueeze", state, no_steps) for state in last)


def append_pointwise(
    g: GraphBuilder, layer: FloatPointwise, fed: Fed, states: list[str]
) -> LayerNodes:
    """Append a function of every value.

    Args:
        g: receives the nodes.
        layer: says which.
        fed: U features.
        states: none.
    """
    del states
    x = NodeArray(g, joined(g, fed))
    y = pointwise(NODES, PointwiseFunction.parse(layer.function), x)
    return (g.node("Identity", x.name) if y is x else y.name), ()


def append_delay(g: GraphBuilder, layer: FloatDelay, fed: Fed, states: list[str]) -> LayerNodes:
    """Append a delay: the last rows, the newest first.

    Its state in the file is zero where a stream begins, as all states are: the rows less those that
    stand for what was before the stream.

    Args:
        g: receives the nodes.
        layer: the delay.
        fed: I features.
        states: one, [1, B, D*I].
    """
    (state,), x = states, joined(g, fed)
    width, past = layer.inputs, layer.depth - 1
    begin = NodeArray(g, g.constant(np.tile(layer.start, layer.depth), np.float32))
    shifted = bool(np.any(layer.start))
    rows = (NodeArray(g, state) + begin).name if shifted else state
    held = [
        sliced(g, NodeRows(rows, layer.units), back * width, width).name
        for back in reversed(range(past))
    ]
    seen = NodeRows(g.node("Concat", *held, x, axis=0), 0)
    ys = joined(
        g,
        [
            NodeRows(_steps(g, seen.name, past - back, -back or _END), width)
            for back in range(layer.depth)
        ],
    )
    final = NodeArray(g, _steps(g, ys, -1, _END))
    return ys, ((final - begin if shifted else final).name,)


def _steps(g: GraphBuilder, tensor: str, start: int, stop: int) -> str:
    """Steps of a tensor [T, ...]."""
    bounds = (g.constant([number], np.int64) for number in (start, stop, 0))
    return g.node("Slice", tensor, *bounds)


def _rows(layer: FloatCell, name: str) -> int:
    return int(layer.by_name[f"{name}.bias"].size)


def _weights(g: GraphBuilder, layer: FloatCell) -> dict[str, NodeArray]:
    """The weights of a cell, matrices [N, R]."""
    return {
        name: NodeArray(g, g.constant(np.ascontiguousarray(values.T), np.float32))
        for name, values in layer.by_name.items()
    }
