"""A graph of operations in training: one step of a layer on codes, forward exact.

The products of a layer's affine maps with its input are computed before the steps: an affine map
gets these products and the operand of its state alone. Layers that read values get these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edgernn.graph.attention import AdditiveScores, DotScores, RowMean, Softmax
from edgernn.graph.intervals import saturating
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
    WideRescaling,
)
from edgernn.model.affine import Source
from edgernn.model.formats import Precision
from edgernn_export.compress.qat.arithmetic import attention
from edgernn_export.compress.qat.arithmetic.normalization import normalized
from edgernn_export.compress.qat.arithmetic.straight_through import (
    complement,
    hard_sigmoid,
    hypotenuse,
    looked_up,
    operand,
    product,
    rescaled,
    saturated,
    saturating_sum,
    sigmoid,
    tanh,
)
from edgernn_export.compress.qat.arithmetic.wide_states import (
    blended,
    curve,
    gated_sum,
    leaky_sum,
    wide_rescaled,
)
from edgernn_export.compress.qat.maps.training_maps import ReadyMap
from edgernn_export.compress.tensors.back_ends import Tensor, constant, ops
from edgernn_export.float_model.graph_run import offset_of

Maps = dict[str, ReadyMap]
#: Products of the operands of one step with the kernels, by map; absent where a map has none.
Inputs = dict[str, Tensor]
States = tuple[Tensor, ...]


class TrainingInterpreter:
    """Runs the step of one layer, its `graph`.

    Args:
        step: the graph of the layer (`edgernn.graph.lowering.lowered` of it alone).
    """

    def __init__(self, step: OpGraph) -> None:
        """Find out which saturations can act."""
        self.graph = step
        self.precision: Precision = step.precision
        self.saturating = saturating(step)

    def __call__(
        self,
        maps: Maps,
        inputs: Inputs,
        states: States,
        constants: Mapping[str, Tensor] | None = None,
        read: Tensor | None = None,
    ) -> tuple[Tensor, States]:
        """Output codes [B, H] and the new states.

        Args:
            maps: of the layer, by name.
            inputs: products of the layer's input, [B, R] by map.
            states: codes [B, H] in their order.
            constants: multipliers of clause 7.9 [N] and tables [V, D] by the name of the constants,
                and offsets that are trained.
            read: values [B, N] of a layer that reads them. In the others, only the maps, whose
                products are computed already, read the input.
        """
        step = self.graph
        values: dict[str, Any] = {value.name: read for value in step.inputs}
        for state, codes in zip(step.carried, states, strict=True):
            values[state.before.name] = codes
        run = _Run(self, maps, inputs, values, constants or {})
        for op in step.ops:
            values[op.result.name] = RUN[type(op)](run, op)
        (output,) = (values[value.name] for value in step.outputs)
        return output, tuple(values[state.after.name] for state in step.carried)


class _Run:
    """One step: its maps, the products of its input, the values it has so far."""

    def __init__(
        self,
        interpreter: TrainingInterpreter,
        maps: Maps,
        inputs: Inputs,
        values: dict[str, Any],
        constants: Mapping[str, Tensor],
    ) -> None:
        self.interpreter = interpreter
        self.maps, self.inputs, self.values = maps, inputs, values
        self.constants = constants

    def reads(self, op: Op) -> list[Any]:
        return [self.values[value.name] for value in op.reads]


def _operand(run: _Run, op: OperandOf) -> Tensor:
    (v,) = run.reads(op)
    return operand(v, run.interpreter.precision)


def _concatenation(run: _Run, op: Concatenation) -> Any:
    """Values in one; operands apart, those of the input None, as an affine map wants them."""
    parts = run.reads(op)
    return tuple(parts) if op.result.operand else ops.concatenate(parts, axis=-1)


def _slice(run: _Run, op: Slice) -> Tensor:
    (v,) = run.reads(op)
    return v[:, op.start : op.start + op.result.width]


def _affine(run: _Run, op: AffineResult) -> Tensor:
    q_state = None
    for source, value in op.by_source.items():
        found = run.values[value.name]
        if source is Source.XH:
            found = found[1]
        if source is not Source.X:
            q_state = found
    return run.maps[op.name](run.inputs.get(op.name), q_state)


FUNCTIONS: Final[dict[Function, Callable[[Tensor], Tensor]]] = {
    Function.LINEAR: lambda v: v,
    Function.RELU: ops.relu,
    Function.TANH: tanh,
    Function.SIGMOID: sigmoid,
    Function.HARD_SIGMOID: hard_sigmoid,
}


def _activation(run: _Run, op: Activation) -> Tensor:
    (v,) = run.reads(op)
    return FUNCTIONS[op.function](v)


def _product(run: _Run, op: Product) -> Tensor:
    a, b = run.reads(op)
    rounded = product(a, b, op.shift)
    return saturated(rounded) if op.result.name in run.interpreter.saturating else rounded


def _sum(run: _Run, op: Sum) -> Tensor:
    a, b = run.reads(op)
    return saturating_sum(a, b)


def _rescaling(run: _Run, op: Rescaling) -> Tensor:
    (v,) = run.reads(op)
    return rescaled(v, op.shift) if op.shift >= 0 else saturated(v * 2.0**-op.shift)


def _complement(run: _Run, op: Complement) -> Tensor:
    (v,) = run.reads(op)
    return complement(v, op.one)


def _normalization(run: _Run, op: Normalization) -> Tensor:
    (v,) = run.reads(op)
    return normalized(v, op.constants)


def _codes(run: _Run, op: CodesOf | InputOperand) -> Tensor:
    (v,) = run.reads(op)
    return v


def _gather(run: _Run, op: Gather) -> Tensor:
    (tokens,) = run.reads(op)
    return looked_up(run.constants[op.name], tokens)


def _scaling(run: _Run, op: Scaling) -> Tensor:
    (v,) = run.reads(op)
    multiplier = run.constants.get(op.name)
    if multiplier is None:
        multiplier = constant(op.scale.multiplier, v)
    multiplier = multiplier + ops.zeros_like(v)  # its gradient is summed over the batch
    scaled = saturated(product(v, multiplier, op.scale.shift))
    offset = run.constants.get(offset_of(op.name))
    if offset is None:
        if not op.scale.has_bias:
            return scaled
        offset = constant(op.scale.bias, v)
    return saturating_sum(scaled, offset + ops.zeros_like(v))


def _extremum(run: _Run, op: Extremum) -> Tensor:
    a, b = run.reads(op)
    return ops.maximum(a, b) if op.largest else ops.minimum(a, b)


def _hypotenuse(run: _Run, op: Hypotenuse) -> Tensor:
    return hypotenuse(*run.reads(op))


def _curve(run: _Run, op: Curve) -> Tensor:
    assert op.table is not None  # a model has its tables
    (v,) = run.reads(op)
    return curve(v, op.table)


def _blend(run: _Run, op: Blend) -> Tensor:
    high, low, target, code = run.reads(op)
    new, run.values[op.result_low.name] = blended(high, low, target, code, op.share)
    return new


def _gated_sum(run: _Run, op: GatedSum) -> Tensor:
    high, low, lost, candidate, gained = run.reads(op)
    loss, gain = (op.loss, lost), (op.gain, gained)
    new, run.values[op.result_low.name] = gated_sum(high, low, loss, candidate, gain, op.shift)
    return new


def _leaky_sum(run: _Run, op: LeakySum) -> Tensor:
    high, low, entry = run.reads(op)
    new, run.values[op.result_low.name] = leaky_sum(
        high, low, entry, op.constants, rectified=op.rectified
    )
    return new


def _wide_rescaling(run: _Run, op: WideRescaling) -> Tensor:
    high, low = run.reads(op)
    return wide_rescaled(high, low, op.shift)


def _dot_scores(run: _Run, op: DotScores) -> Tensor:
    query, keys = run.reads(op)
    return attention.dot_scores(query, keys, op.shift)


def _additive_scores(run: _Run, op: AdditiveScores) -> Tensor:
    query, keys = run.reads(op)
    return attention.additive_scores(query, keys, op.weight.multiplier, op.weight.shift)


def _softmax(run: _Run, op: Softmax) -> Tensor:
    return attention.softmax(*run.reads(op))


def _context(run: _Run, op: RowMean) -> Tensor:
    return attention.context(*run.reads(op))


#: operation -> what runs it; an operation that defines values beside its result adds them
RUN: Final[dict[type[Op], Callable[[_Run, Any], Any]]] = {
    OperandOf: _operand,
    Concatenation: _concatenation,
    Slice: _slice,
    AffineResult: _affine,
    Activation: _activation,
    Product: _product,
    Sum: _sum,
    Rescaling: _rescaling,
    Complement: _complement,
    Normalization: _normalization,
    CodesOf: _codes,
    InputOperand: _codes,
    Gather: _gather,
    Scaling: _scaling,
    Extremum: _extremum,
    Hypotenuse: _hypotenuse,
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
