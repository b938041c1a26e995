"""A graph of operations as ONNX nodes: the form of a layer without a dedicated one.

Values are int32 [1, N] codes; operands are the rows that `Tables` computes from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from edgernn.graph.attention import AdditiveScores, DotScores, RowMean, Softmax
from edgernn.graph.intervals import intervals, saturating
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    AffineResult,
    Blend,
    CodesOf,
    Complement,
    Concatenation,
    Curve,
    Extremum,
    Function,
    Gate,
    GatedSum,
    Gather,
    Hypotenuse,
    InputOperand,
    LeakySum,
    Normalization,
    Op,
    OperandOf,
    Product,
    Rescaling,
    Scaling,
    Slice,
    Sum,
    Value,
    WideRescaling,
)
from edgernn.model.formats import INT16_MAX, INT16_MIN
from edgernn.model.layers import GateActivation
from edgernn_export.writers.onnx import wide
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import (
    ResultRange,
    affine,
    clip,
    hypotenuse,
    plus,
    product,
    round_product,
    sat16,
    wide_product,
)
from edgernn_export.writers.onnx.memories import attention
from edgernn_export.writers.onnx.normalization import normalized
from edgernn_export.writers.onnx.tables import REACH, Tables
from edgernn_export.writers.routed import cut


class NodeRows(NamedTuple):
    """A tensor of codes or of operand rows.

    Attributes:
        name: its name.
        width: elements along its last axis.
    """

    name: str
    width: int


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
        self.parts: dict[str, Sequence[NodeRows]] = {}
        self.intervals: dict[str, tuple[int, int]] = {}
        self.saturating: frozenset[str] = frozenset()

    def __call__(
        self, step: OpGraph, inputs: Sequence[Sequence[NodeRows]], states: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Append a step.

        Args:
            step: what to compute.
            inputs: operand rows or int32 codes, in the order of the graph's inputs, each as parts
                one behind another: what reads a part needs no node to join them.
            states: int32 codes, in the order of the graph's states.

        Returns:
            int32 codes of the outputs and of the new states.
        """
        self.intervals, self.saturating = intervals(step), saturating(step)
        self.parts = {v.name: parts for v, parts in zip(step.inputs, inputs, strict=True)}
        self.names = {
            state.before.name: name for state, name in zip(step.carried, states, strict=True)
        }
        for op in step.ops:
            made = APPENDED[type(op)](self, op)
            defined = (value.name for value in (op.result, *op.beside))
            self.names.update(zip(defined, (made,) if isinstance(made, str) else made, strict=True))
        outputs = [self.name(value) for value in step.outputs]
        return outputs, [self.name(state.after) for state in step.carried]

    def reads(self, op: Op) -> list[str]:
        """The tensors an operation reads."""
        return [self.name(value) for value in op.reads]

    def share(self, gate: Gate) -> wide.UpperLower:
        """The share of a gate."""
        return wide.share_of(self.g, self.tables, gate, self.name(gate.value))

    def name(self, value: Value) -> str:
        """The tensor of a value; the parts of an input are joined once, if anything asks."""
        found = self.names.get(value.name)
        if found is None:
            found = self.names[value.name] = joined(self.g, self.parts[value.name])
        return found


def joined(g: GraphBuilder, parts: Sequence[NodeRows]) -> str:
    """[a, b, ...] along the last axis; a single part is itself."""
    names = [part.name for part in parts]
    return names[0] if len(names) == 1 else g.node("Concat", *names, axis=-1)


def sliced(g: GraphBuilder, rows: NodeRows, start: int, width: int, axis: int = -1) -> NodeRows:
    """Consecutive elements."""
    bounds = [[start], [start + width], [axis]]
    made = g.node("Slice", rows.name, *(g.constant(b, np.int64) for b in bounds))
    return NodeRows(made, width)


def _operand(at: NodeEmitter, op: OperandOf) -> str:
    return at.tables.operand(*at.reads(op))


def _input_operand(at: NodeEmitter, op: InputOperand) -> str:
    return at.tables.input_operand(*at.reads(op))


def _concatenation(at: NodeEmitter, op: Concatenation) -> str:
    return at.g.node("Concat", *at.reads(op), axis=-1)


def _slice(at: NodeEmitter, op: Slice) -> str:
    parts = at.parts.get(op.value.name) or [NodeRows(at.name(op.value), op.value.width)]
    axis = -1 if op.value.operand else 1
    found = cut(
        parts, [part.width for part in parts], op.start, op.result.width,
        lambda number, part, start, count: sliced(at.g, part, start, count, axis),  # noqa: ARG005
    )  # fmt: skip
    return joined(at.g, found)


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
    return _looked_up(at, table, v)


def _looked_up(at: NodeEmitter, table: str, v: str) -> str:
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
    if op.shift < 0:
        return sat16(at.g, at.g.node("Mul", v, at.g.constant(1 << -op.shift)))
    return round_product(at.g, v, op.shift)


def _complement(at: NodeEmitter, op: Complement) -> str:
    rest = at.g.node("Sub", at.g.constant(op.one), *at.reads(op))
    return at.g.node("Min", rest, at.g.constant(INT16_MAX))


def _codes(at: NodeEmitter, op: CodesOf) -> str:
    return at.tables.codes(*at.reads(op))


def _scaling(at: NodeEmitter, op: Scaling) -> str:
    """Clause 7.9; where a sat16 cannot act, it needs no node."""
    (v,) = at.reads(op)
    k, multiplier = op.scale.shift, op.scale.multiplier.astype(np.int64)
    largest = -INT16_MIN * int(np.abs(multiplier).max())
    if np.any(multiplier != 1 << k):
        # Where k = 2 and |v*m| >= 2^29, only the sign is right; sat16 leaves nothing else.
        v = product(at.g, v, at.g.constant(multiplier), k)
        v = v if largest >> k < INT16_MAX else sat16(at.g, v)
    if not op.scale.has_bias:
        return v
    return sat16(at.g, plus(at.g, v, op.scale.bias.astype(np.int32)))


def _extremum(at: NodeEmitter, op: Extremum) -> str:
    return at.g.node("Max" if op.largest else "Min", *at.reads(op))


def _hypotenuse(at: NodeEmitter, op: Hypotenuse) -> str:
    return hypotenuse(at.g, *at.reads(op))


def _normalization(at: NodeEmitter, op: Normalization) -> str:
    (v,) = at.reads(op)
    return normalized(at.g, v, op.constants)


def _gather(at: NodeEmitter, op: Gather) -> str:
    (tokens,) = at.reads(op)
    rows = at.g.node("Gather", at.g.constant(op.table, np.int8), tokens, axis=0)
    flat = at.g.node("Reshape", rows, at.g.constant([1, op.result.width], np.int64))
    return at.g.node("Mul", at.g.cast(flat, np.int32), at.g.constant(256))


def _curve(at: NodeEmitter, op: Curve) -> str:
    assert op.table is not None  # a model has its tables
    return at.g.node("Gather", at.tables.curve(op.table), *at.reads(op))


def _wide_state(at: NodeEmitter, op: Blend | GatedSum | LeakySum) -> wide.HighLow:
    return wide.HighLow(at.name(op.high), at.name(op.low))


def _blend(at: NodeEmitter, op: Blend) -> wide.HighLow:
    return wide.blend(at.g, _wide_state(at, op), at.name(op.target), at.share(op.share))


def _gated_sum(at: NodeEmitter, op: GatedSum) -> wide.HighLow:
    loss, gain, candidate = at.share(op.loss), at.share(op.gain), at.name(op.candidate)
    return wide.gated_sum(at.g, _wide_state(at, op), loss, candidate, gain, op.shift)


def _leaky_sum(at: NodeEmitter, op: LeakySum) -> wide.HighLow:
    state, entry = _wide_state(at, op), at.name(op.entry)
    return wide.leaky_sum(at.g, state, entry, op.constants, op.rectified)


def _wide_rescaling(at: NodeEmitter, op: WideRescaling) -> str:
    return wide.rescaled(at.g, wide.HighLow(*at.reads(op)), op.shift)


def _dot_scores(at: NodeEmitter, op: DotScores) -> str:
    query, keys = at.reads(op)
    return attention.dot_scores(at.g, query, keys, op.result.width, op.shift)


def _additive_scores(at: NodeEmitter, op: AdditiveScores) -> str:
    tanh = partial(_looked_up, at, at.tables.tanh())
    query, keys = at.reads(op)
    return attention.additive_scores(at.g, query, keys, op.result.width, op.weight, tanh)


def _softmax(at: NodeEmitter, op: Softmax) -> str:
    return attention.softmax(at.g, *at.reads(op))


def _context(at: NodeEmitter, op: RowMean) -> str:
    shares, rows = at.reads(op)
    return attention.context(at.g, shares, rows, op.shares.width)


#: operation -> what appends it
APPENDED: Final[dict[type[Op], Callable[[NodeEmitter, Any], str | tuple[str, ...]]]] = {
    OperandOf: _operand,
    Concatenation: _concatenation,
    Slice: _slice,
    AffineResult: _affine,
    Activation: _activation,
    Product: _product,
    Sum: _sum,
    Rescaling: _rescaling,
    Complement: _complement,
    CodesOf: _codes,
    Scaling: _scaling,
    Extremum: _extremum,
    Hypotenuse: _hypotenuse,
    Normalization: _normalization,
    InputOperand: _input_operand,
    Gather: _gather,
    Curve: _curve,
    Blend: _blend,
    GatedSum: _gated_sum,
    LeakySum: _leaky_sum,
    WideRescaling: _wide_rescaling,
    DotScores: _dot_scores,
    AdditiveScores: _additive_scores,
    Softmax: _softmax,
    RowMean: _context,
}
