"""A graph of operations as TFLite operators: what a layer becomes that has no form of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

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
from edgernn.model.formats import Precision
from edgernn_export.writers.tflite import ops
from edgernn_export.writers.tflite.affine import affine, operand
from edgernn_export.writers.tflite.graph import Graph, Tensor


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

    def __call__(
        self, step: OpGraph, inputs: tuple[Tensor, ...], states: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Emit a step.

        Args:
            step: what to compute.
            inputs: operand codes, in the order of the graph's inputs.
            states: in the order of the graph's states.

        Returns:
            The outputs and the new states.
        """
        before = [state.before for state in step.carried]
        self.tensors = {
            value.name: tensor
            for value, tensor in zip([*step.inputs, *before], [*inputs, *states], strict=True)
        }
        given = {tensor.index for tensor in self.tensors.values()}
        for op in step.ops:
            self.tensors[op.result.name] = EMITTED[type(op)](self, op)
        outputs = tuple(self._made(value.name, given) for value in step.outputs)
        return outputs, tuple(self._made(state.after.name, given) for state in step.carried)

    def reads(self, op: Op) -> list[Tensor]:
        """The tensors an operation reads."""
        return [self.tensors[value.name] for value in op.reads]

    def scale(self, op: Op) -> float:
        """What is written on the result of an operation."""
        form = op.result.format
        return self.free_scale if form is None else form.scale

    def _made(self, name: str, given: set[int]) -> Tensor:
        """A tensor that an operator makes: a runtime's inputs are not its outputs."""
        tensor = self.tensors[name]
        return ops.relabel(self.graph, tensor, tensor.scale) if tensor.index in given else tensor


def _operand(at: OperatorEmitter, op: OperandOf) -> Tensor:
    (v,) = at.reads(op)
    return operand(at.graph, op.result.name, v, at.precision)


def _concatenation(at: OperatorEmitter, op: Concatenation) -> Tensor:
    return ops.concatenate(at.graph, op.result.name, at.reads(op))


def _slice(at: OperatorEmitter, op: Slice) -> Tensor:
    (v,) = at.reads(op)
    return ops.part(at.graph, op.result.name, v, op.start, op.result.width)


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
    return ops.one_minus(at.graph, op.result.name, *at.reads(op))


#: operation -> what emits it
EMITTED: Final[dict[type[Op], Callable[[OperatorEmitter, Any], Tensor]]] = {
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
