"""A graph of operations as ONNX nodes: what a layer becomes that has no form of its own.

Values are int32 [1, N] codes; operands are the rows that `Tables` makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from edgernn.graph.intervals import intervals, saturating
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    AffineResult,
    Complement,
    Concatenation,
    Function,
    Op,
    OperandOf,
    Product,
    Rescaling,
    Slice,
    Sum,
)
from edgernn.model.formats import INT16_MAX
from edgernn.model.layers import GateActivation
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import (
    ResultRange,
    affine,
    clip,
    plus,
    product,
    round_product,
    sat16,
    wide_product,
)
from edgernn_export.writers.onnx.tables import REACH, Tables


class NodeEmitter:
    """Appends the nodes of one graph.

    Args:
        g: receives them.
        tables: its lookup tables.
    """

    def __init__(self, g: GraphBuilder, tables: Tables) -> None:
        """Start with no tensors."""
        self.g = g
        self.tables = tables
        self.names: dict[str, str] = {}
        self.intervals: dict[str, tuple[int, int]] = {}
        self.saturating: frozenset[str] = frozenset()

    def __call__(
        self, step: OpGraph, inputs: Sequence[str], states: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Append a step.

        Args:
            step: what to compute.
            inputs: operand rows, in the order of the graph's inputs.
            states: int32 codes, in the order of the graph's states.

        Returns:
            int32 codes of the outputs and of the new states.
        """
        before = [state.before for state in step.carried]
        self.intervals, self.saturating = intervals(step), saturating(step)
        self.names = {
            value.name: name
            for value, name in zip([*step.inputs, *before], [*inputs, *states], strict=True)
        }
        for op in step.ops:
            self.names[op.result.name] = APPENDED[type(op)](self, op)
        outputs = [self.names[value.name] for value in step.outputs]
        return outputs, [self.names[state.after.name] for state in step.carried]

    def reads(self, op: Op) -> list[str]:
        """The tensors an operation reads."""
        return [self.names[value.name] for value in op.reads]


def _operand(at: NodeEmitter, op: OperandOf) -> str:
    return at.tables.operand(*at.reads(op))


def _concatenation(at: NodeEmitter, op: Concatenation) -> str:
    return at.g.node("Concat", *at.reads(op), axis=-1)


def _slice(at: NodeEmitter, op: Slice) -> str:
    bounds = [[op.start], [op.start + op.result.width], [1]]
    return at.g.node("Slice", *at.reads(op), *(at.g.constant(b, np.int64) for b in bounds))


def _affine(at: NodeEmitter, op: AffineResult) -> str:
    sources = [term.source for term in op.affine.terms]
    operands = dict(zip(sources, at.reads(op), strict=True))
    return affine(at.g, op.affine, operands, ResultRange())


_GATES: Final = {
    Function.SIGMOID: GateActivation.SIGMOID,
    Function.HARD_SIGMOID: GateActivation.HARD_SIGMOID,
}


def _activation(at: NodeEmitter, op: Activation) -> str:
    (v,) = at.reads(op)
    if op.function is Function.LINEAR:
        return v
    if op.function is Function.RELU:
        return at.g.node("Max", v, at.g.constant(0))
    is_tanh = op.function is Function.TANH
    table = at.tables.tanh() if is_tanh else at.tables.gates(_GATES[op.function])
    return at.g.node("Gather", table, plus(at.g, clip(at.g, v, -REACH, REACH), REACH))


def _product(at: NodeEmitter, op: Product) -> str:
    bounds = [at.intervals[value.name] for value in op.reads]
    largest = max(abs(a * b) for a in bounds[0] for b in bounds[1])
    a, b = at.reads(op)
    rounded = (product if largest < 1 << 30 else wide_product)(at.g, a, b, op.shift)
    return sat16(at.g, rounded) if op.result.name in at.saturating else rounded


def _sum(at: NodeEmitter, op: Sum) -> str:
    total = at.g.node("Add", *at.reads(op))
    return sat16(at.g, total) if op.result.name in at.saturating else total


def _rescaling(at: NodeEmitter, op: Rescaling) -> str:
    (v,) = at.reads(op)
    return round_product(at.g, v, op.shift)


def _complement(at: NodeEmitter, op: Complement) -> str:
    rest = at.g.node("Sub", at.g.constant(1 << 15), *at.reads(op))
    return at.g.node("Min", rest, at.g.constant(INT16_MAX))


#: operation -> what appends it
APPENDED: Final[dict[type[Op], Callable[[NodeEmitter, Any], str]]] = {
    OperandOf: _operand,
    Concatenation: _concatenation,
    Slice: _slice,
    AffineResult: _affine,
    Activation: _activation,
    Product: _product,
    Sum: _sum,
    Rescaling: _rescaling,
    Complement: _complement,
}
