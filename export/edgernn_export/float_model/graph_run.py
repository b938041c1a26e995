"""One step of a graph of operations in real numbers, in NumPy or in any library like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    AffineResult,
    Complement,
    Concatenation,
    Curve,
    Extremum,
    Hypotenuse,
    Normalization,
    Op,
    OperandOf,
    Product,
    Rescaling,
    Scaling,
    Slice,
    Sum,
)
from edgernn.model.affine import Source
from edgernn_export.float_model.functions.pointwise import Arithmetic, StepArray, pointwise


def offset_of(name: str) -> str:
    """The name of the weights that are offsets for the constants of this name."""
    return f"{name}.offset"


class FloatStep:
    """Runs the step of one layer: formats, roundings and saturations are those of no number.

    Args:
        graph: of the layer.
        terms: per map what its matrices multiply.
        arithmetic: of the arrays.
        epsilon: what normalizations add to variances.
    """

    def __init__(
        self,
        graph: OpGraph,
        terms: Mapping[str, Sequence[Source]],
        arithmetic: Arithmetic,
        epsilon: float,
    ) -> None:
        """Take the graph."""
        self.graph, self.terms = graph, terms
        self.arithmetic, self.epsilon = arithmetic, epsilon

    def of_input(self, weights: Mapping[str, StepArray], xs: StepArray) -> dict[str, StepArray]:
        """The products of maps with the input [..., I] plus their bias, [..., R] by map."""
        return {
            name: self.arithmetic.matmul(xs, weights[f"{name}.x"]) + weights[f"{name}.bias"]
            for name, sources in self.terms.items()
            if Source.X in sources
        }

    def __call__(
        self,
        weights: Mapping[str, StepArray],
        of_input: Mapping[str, StepArray],
        states: Sequence[StepArray],
    ) -> dict[str, StepArray]:
        """All values of a step, by their names in the graph.

        Args:
            weights: by name, matrices [N, R].
            of_input: from the method of this name, one step.
            states: [B, H] in their order.
        """
        values: dict[str, Any] = {value.name: None for value in self.graph.inputs}
        for state, array in zip(self.graph.carried, states, strict=True):
            values[state.before.name] = array
        run = _FloatRun(self, weights, of_input, values)
        for op in self.graph.ops:
            values[op.result.name] = _ROWS[type(op)](run, op)
        return values


class _FloatRun:
    """One step: its weights, the products with its input, the values so far."""

    def __init__(
        self,
        step: FloatStep,
        weights: Mapping[str, StepArray],
        of_input: Mapping[str, StepArray],
        values: dict[str, Any],
    ) -> None:
        self.arithmetic, self.epsilon, self.weights = step.arithmetic, step.epsilon, weights
        self.of_input, self.values = of_input, values

    def reads(self, op: Op) -> list[Any]:
        return [self.values[value.name] for value in op.reads]


def _same(run: _FloatRun, op: OperandOf | Rescaling) -> StepArray:
    (v,) = run.reads(op)
    return v


def _concatenation(run: _FloatRun, op: Concatenation) -> Any:
    """Values one behind another; of operands the parts, which an affine map takes apart again."""
    parts = run.reads(op)
    return tuple(parts) if op.result.operand else run.arithmetic.concatenate(parts, axis=-1)


def _slice(run: _FloatRun, op: Slice) -> StepArray:
    (v,) = run.reads(op)
    return v[..., op.start : op.start + op.result.width]


def _affine(run: _FloatRun, op: AffineResult) -> StepArray:
    total = run.of_input.get(op.name)
    for source, value in op.by_source.items():
        if source is Source.X:
            continue
        array, name = run.values[value.name], source.value
        if source is Source.XH:
            array, name = array[1], Source.H.value
        product = run.arithmetic.matmul(array, run.weights[f"{op.name}.{name}"])
        total = product + (run.weights[f"{op.name}.bias"] if total is None else total)
    return total


def _activation(run: _FloatRun, op: Activation) -> StepArray:
    (v,) = run.reads(op)
    return run.arithmetic.functions[op.function](v)


def _curve(run: _FloatRun, op: Curve) -> StepArray:
    (v,) = run.reads(op)
    return pointwise(run.arithmetic, op.function, v)


def _product(run: _FloatRun, op: Product) -> StepArray:
    a, b = run.reads(op)
    return a * b


def _sum(run: _FloatRun, op: Sum) -> StepArray:
    a, b = run.reads(op)
    return a + b


def _complement(run: _FloatRun, op: Complement) -> StepArray:
    (v,) = run.reads(op)
    return 1.0 - v


def _scaling(run: _FloatRun, op: Scaling) -> StepArray:
    (v,) = run.reads(op)
    scaled, offset = v * run.weights[op.name], run.weights.get(offset_of(op.name))
    return scaled if offset is None else scaled + offset


def _normalization(run: _FloatRun, op: Normalization) -> StepArray:
    (v,) = run.reads(op)
    centred = v - run.arithmetic.mean(v)
    variance = run.arithmetic.mean(centred * centred)
    return centred / run.arithmetic.sqrt(variance + run.epsilon)


def _extremum(run: _FloatRun, op: Extremum) -> StepArray:
    a, b = run.reads(op)
    return (run.arithmetic.maximum if op.largest else run.arithmetic.minimum)(a, b)


def _hypotenuse(run: _FloatRun, op: Hypotenuse) -> StepArray:
    a, b = run.reads(op)
    return run.arithmetic.sqrt(a * a + b * b)


#: operation -> what runs it; a cell reads operands, so that codes of the input do not occur.
_ROWS: Final[dict[type[Op], Callable[[_FloatRun, Any], Any]]] = {
    OperandOf: _same,
    Rescaling: _same,
    Concatenation: _concatenation,
    Slice: _slice,
    AffineResult: _affine,
    Activation: _activation,
    Curve: _curve,
    Product: _product,
    Sum: _sum,
    Complement: _complement,
    Scaling: _scaling,
    Normalization: _normalization,
    Extremum: _extremum,
    Hypotenuse: _hypotenuse,
}
