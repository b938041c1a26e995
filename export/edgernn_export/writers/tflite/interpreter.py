"""A graph of operations as TFLite operators: the form of a layer without a dedicated one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from edgernn.graph.attention import AdditiveScores, DotScores, RowMean, Softmax
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
from edgernn.model.formats import Precision
from edgernn_export.writers.routed import cut
from edgernn_export.writers.tflite import attention, ops, wide
from edgernn_export.writers.tflite.affine import affine, operand
from edgernn_export.writers.tflite.graph import Graph, Tensor
from edgernn_export.writers.tflite.normalization import normalized

#: Tensors of the values that an operation defines.
Made = Tensor | tuple[Tensor, ...]
#: What changes a wide state.
WideOp = Blend | GatedSum | LeakySum


class OperatorEmitter:
    """Emits the operators of one graph.

    Args:
        graph: receives them.
        precision: of the model.
        free_scale: written on values whose scale only the border knows; no bit depends on it.
    """

    def __init__(self, graph: Graph, precision: Precision, free_scale: float) -> None:
        """Start with no tensors."""
        self.graph = graph
        self.precision = precision
        self.free_scale = free_scale
        self.tensors: dict[str, Tensor] = {}
        self.parts: dict[str, Sequence[Tensor]] = {}

    def __call__(
        self, step: OpGraph, inputs: Sequence[Sequence[Tensor]], states: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Emit a step.

        Args:
            step: what to compute.
            inputs: operand codes or values, in the order of the graph's inputs, each as parts one
                behind another: what reads a part needs no operator to join them.
            states: in the order of the graph's states.

        Returns:
            The outputs and the new states.
        """
        self.parts = {v.name: parts for v, parts in zip(step.inputs, inputs, strict=True)}
        self.tensors = {
            state.before.name: tensor for state, tensor in zip(step.carried, states, strict=True)
        }
        given = {t.index for t in (*states, *(part for parts in inputs for part in parts))}
        for op in step.ops:
            made = EMITTED[type(op)](self, op)
            names = (value.name for value in (op.result, *op.beside))
            self.tensors.update(
                zip(names, made if isinstance(made, tuple) else (made,), strict=True)
            )
        outputs = tuple(self._made(value, given) for value in step.outputs)
        return outputs, tuple(self._made(state.after, given) for state in step.carried)

    def reads(self, op: Op) -> list[Tensor]:
        """The tensors an operation reads."""
        return [self.tensor(value) for value in op.reads]

    def tensor(self, value: Value) -> Tensor:
        """The tensor of a value; the parts of an input are joined once, if anything asks."""
        found = self.tensors.get(value.name)
        if found is None:
            found = ops.joined(self.graph, value.name, self.parts[value.name])
            self.tensors[value.name] = found
        return found

    def scale(self, op: Op) -> float:
        """The label of an operation's result."""
        form = op.result.format
        return self.free_scale if form is None else form.scale

    def gate(self, share: Gate) -> tuple[Gate, Tensor]:
        """A share, and the tensor of its value."""
        return share, self.tensor(share.value)

    def _made(self, value: Value, given: set[int]) -> Tensor:
        """A tensor that an operator makes: a runtime's inputs are not its outputs."""
        tensor = self.tensor(value)
        return ops.relabel(self.graph, tensor, tensor.scale) if tensor.index in given else tensor


def _operand(at: OperatorEmitter, op: OperandOf) -> Tensor:
    (v,) = at.reads(op)
    return operand(at.graph, op.result.name, v, at.precision)


def _input_operand(at: OperatorEmitter, op: InputOperand) -> Tensor:
    (codes,) = at.reads(op)
    return ops.input_operand(at.graph, op.result.name, codes, at.precision)


def _concatenation(at: OperatorEmitter, op: Concatenation) -> Tensor:
    return ops.concatenate(at.graph, op.result.name, at.reads(op))


def _slice(at: OperatorEmitter, op: Slice) -> Tensor:
    name, width = op.result.name, op.result.width
    parts = at.parts.get(op.value.name) or at.reads(op)
    # Parts of a stack have formats of their own, and scales that say so.
    scale = None if op.result.format == op.value.format else at.scale(op)
    found = cut(
        parts, [part.width for part in parts], op.start, width,
        lambda number, part, start, count: ops.part(
            at.graph, name if count == width else f"{name}.{number}", part, start, count, scale
        ),
    )  # fmt: skip
    return ops.joined(at.graph, name, found)


def _affine(at: OperatorEmitter, op: AffineResult) -> Tensor:
    sources = [term.source for term in op.affine.terms]
    operands = dict(zip(sources, at.reads(op), strict=True))
    return affine(at.graph, op.result.name, op.affine, operands, at.scale(op))


_FUNCTIONS: Final[dict[Function, Callable[[Graph, str, Tensor], Tensor]]] = {
    Function.LINEAR: lambda graph, name, v: v,  # noqa: ARG005 (as the others)
    Function.RELU: ops.relu,
    Function.TANH: ops.tanh,
    Function.SIGMOID: ops.sigmoid,
    Function.HARD_SIGMOID: ops.hard_sigmoid,
}


def _activation(at: OperatorEmitter, op: Activation) -> Tensor:
    return _FUNCTIONS[op.function](at.graph, op.result.name, *at.reads(op))


def _product(at: OperatorEmitter, op: Product) -> Tensor:
    a, b = at.reads(op)
    return ops.product(at.graph, op.result.name, a, b, op.shift)


def _sum(at: OperatorEmitter, op: Sum) -> Tensor:
    a, b = at.reads(op)
    return ops.saturating_sum(at.graph, op.result.name, a, b)


def _rescaling(at: OperatorEmitter, op: Rescaling) -> Tensor:
    (v,) = at.reads(op)
    return ops.requantize(at.graph, op.result.name, v, op.shift, "int16") if op.shift else v


def _complement(at: OperatorEmitter, op: Complement) -> Tensor:
    (v,) = at.reads(op)
    return ops.one_minus(at.graph, op.result.name, v, op.one)


def _codes(at: OperatorEmitter, op: CodesOf) -> Tensor:
    return ops.codes(at.graph, op.result.name, *at.reads(op))


def _scaling(at: OperatorEmitter, op: Scaling) -> Tensor:
    (v,) = at.reads(op)
    return ops.scaled(at.graph, op.result.name, v, op.scale, at.scale(op))


def _extremum(at: OperatorEmitter, op: Extremum) -> Tensor:
    a, b = at.reads(op)
    return ops.extremum(at.graph, op.result.name, a, b, op.largest)


def _hypotenuse(at: OperatorEmitter, op: Hypotenuse) -> Tensor:
    a, b = at.reads(op)
    return ops.hypotenuse(at.graph, op.result.name, a, b)


def _normalization(at: OperatorEmitter, op: Normalization) -> Tensor:
    (v,) = at.reads(op)
    return normalized(at.graph, op.result.name, v, op.constants)


def _gather(at: OperatorEmitter, op: Gather) -> Tensor:
    (tokens,) = at.reads(op)
    return ops.gathered(at.graph, op.result.name, tokens, op.table, at.scale(op))


def _curve(at: OperatorEmitter, op: Curve) -> Tensor:
    assert op.table is not None  # a model has its tables
    (v,) = at.reads(op)
    return wide.curve(at.graph, op.result.name, v, op.table, at.scale(op))


def _wide_state(at: OperatorEmitter, op: WideOp) -> tuple[wide.Named, wide.WideState]:
    """What a new wide state is called, and the one before."""
    named = wide.Named(op.result.name, op.result_low.name, at.scale(op))
    return named, wide.WideState(at.tensor(op.high), at.tensor(op.low))


def _blend(at: OperatorEmitter, op: Blend) -> wide.WideState:
    target, gate = at.tensor(op.target), at.gate(op.share)
    return wide.blend(at.graph, *_wide_state(at, op), target, gate)


def _gated_sum(at: OperatorEmitter, op: GatedSum) -> wide.WideState:
    loss, gain, candidate = at.gate(op.loss), at.gate(op.gain), at.tensor(op.candidate)
    return wide.gated_sum(at.graph, *_wide_state(at, op), loss, candidate, gain, op.shift)


def _leaky_sum(at: OperatorEmitter, op: LeakySum) -> wide.WideState:
    entry = at.tensor(op.entry)
    return wide.leaky_sum(at.graph, *_wide_state(at, op), entry, op.constants, op.rectified)


def _wide_rescaling(at: OperatorEmitter, op: WideRescaling) -> Tensor:
    state = wide.WideState(*at.reads(op))
    return wide.rescaled(at.graph, op.result.name, state, op.shift, at.scale(op))


def _dot_scores(at: OperatorEmitter, op: DotScores) -> Tensor:
    query, keys = at.reads(op)
    return attention.dot_scores(at.graph, op.result.name, query, keys, op.shift)


def _additive_scores(at: OperatorEmitter, op: AdditiveScores) -> Tensor:
    query, keys = at.reads(op)
    return attention.additive_scores(at.graph, op.result.name, query, keys, op.weight)


def _softmax(at: OperatorEmitter, op: Softmax) -> Tensor:
    return attention.softmax(at.graph, op.result.name, *at.reads(op))


def _context(at: OperatorEmitter, op: RowMean) -> Tensor:
    shares, rows = at.reads(op)
    return attention.context(at.graph, op.result.name, shares, rows, at.scale(op))


#: operation -> what emits it
EMITTED: Final[dict[type[Op], Callable[[OperatorEmitter, Any], Made]]] = {
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
