"""A graph of operations in NumPy: one small function per operation, over B streams at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np

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
from edgernn.model.formats import LOW_BITS
from edgernn_firmware_sim.reference.affine import affine_map, operand
from edgernn_firmware_sim.reference.arithmetic import Int32, hypotenuse, round_product, sat16
from edgernn_firmware_sim.reference.attention import (
    additive_scores,
    context,
    dot_scores,
    softmax,
)
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.normalization import normalization
from edgernn_firmware_sim.reference.tables import curve, hard_sigmoid, sigmoid, tanh
from edgernn_firmware_sim.reference.wide import (
    blend,
    gated_sum,
    leaky_sum,
    saturated,
    share_of,
    whole,
)

#: Arrays [B, N] of one step by the number of their value.
Slots = list[Int32]
#: Returns the last value that the operation defines; where there are several, the others are
#: appended to the slots before.
OpFunction = Callable[[Slots], Int32]

FUNCTIONS: Final[dict[Function, Callable[[Int32], Int32]]] = {
    Function.LINEAR: lambda v: v,
    Function.RELU: lambda v: np.maximum(v, np.int32(0)),
    Function.TANH: tanh,
    Function.SIGMOID: sigmoid,
    Function.HARD_SIGMOID: hard_sigmoid,
}


class StepInterpreter:
    """Executes a graph, clause by clause.

    Args:
        graph: of one step.
        note: where saturations and ranges go (section 10).
    """

    def __init__(self, graph: OpGraph, note: Quiet) -> None:
        """Lay the weights out once; every operation becomes a function of the slots it reads."""
        site = _Site(graph, note)
        self._steps = [INTERPRETED[type(op)](op, site) for op in graph.ops]
        self._outputs = [site.slots[value.name] for value in graph.outputs]
        self._after = [site.slots[state.after.name] for state in graph.carried]
        self._numbers = site.slots

    def __call__(self, inputs: Sequence[Int32], states: Slots) -> list[Int32]:
        """One step of int32 arrays [B, N]; replaces the arrays in ``states``.

        Args:
            inputs: operand codes, in the order of the graph's inputs.
            states: codes, in the order of the graph's states.

        Returns:
            The outputs in their order.
        """
        slots = [*inputs, *states]
        for step in self._steps:
            slots.append(step(slots))
        states[:] = [slots[number] for number in self._after]
        return [slots[number] for number in self._outputs]

    def output_of_zeros(
        self, inputs: Sequence[Int32], states: Slots, zeros: Collection[str]
    ) -> list[Int32]:
        """The outputs of a step in which the named values are zero (clause 6.13).

        Args:
            inputs: as in a call.
            states: as in a call, and unchanged.
            zeros: names of values.
        """
        numbers = [self._numbers[name] for name in zeros]
        slots = [*inputs, *states]
        for step in self._steps:
            slots.append(step(slots))
            for number in numbers:
                if number < len(slots):
                    slots[number] = np.zeros_like(slots[number])
        return [slots[number] for number in self._outputs]


class _Site:
    """Where operations are made into functions: the slots of their graph, the recorder."""

    def __init__(self, graph: OpGraph, note: Quiet) -> None:
        before = [state.before for state in graph.carried]
        made = (value for op in graph.ops for value in (op.result, *op.beside))
        values = [*graph.inputs, *before, *made]
        self.slots = {value.name: number for number, value in enumerate(values)}
        self.precision = graph.precision
        self.note = note
        self.carried = {state.after.name for state in graph.carried}

    def reads(self, op: Op) -> list[int]:
        """Numbers of the slots an operation reads."""
        return [self.slots[value.name] for value in op.reads]


def _operand(op: OperandOf, site: _Site) -> OpFunction:
    (v,), precision, note, name = site.reads(op), site.precision, site.note, op.result.name
    return lambda slots: operand(precision, slots[v], note, name)


def _concatenation(op: Concatenation, site: _Site) -> OpFunction:
    reads = site.reads(op)
    return lambda slots: np.concatenate([slots[part] for part in reads], axis=-1)


def _slice(op: Slice, site: _Site) -> OpFunction:
    (v,), part = site.reads(op), slice(op.start, op.start + op.result.width)
    return lambda slots: slots[v][:, part]


def _affine(op: AffineResult, site: _Site) -> OpFunction:
    run, note = affine_map(op.affine, op.rows), site.note
    pairs = list(zip([term.source for term in op.affine.terms], site.reads(op), strict=True))
    return lambda slots: run({source: slots[v] for source, v in pairs}, note)


def _activation(op: Activation, site: _Site) -> OpFunction:
    (v,), function, note, name = site.reads(op), FUNCTIONS[op.function], site.note, op.result.name
    if name in site.carried:  # a state is seen (clause 10.2); no saturation has shown this one
        return lambda slots: note.see(name, function(slots[v]))
    return lambda slots: function(slots[v])


def _product(op: Product, site: _Site) -> OpFunction:
    (a, b), shift, note, name = site.reads(op), op.shift, site.note, op.result.name
    return lambda slots: note.sat16(name, round_product(slots[a] * slots[b], shift))


def _sum(op: Sum, site: _Site) -> OpFunction:
    (a, b), note, name = site.reads(op), site.note, op.result.name
    return lambda slots: note.sat16(name, slots[a] + slots[b])


def _rescaling(op: Rescaling, site: _Site) -> OpFunction:
    (v,), shift, note, name = site.reads(op), op.shift, site.note, op.result.name
    if shift < 0:
        return lambda slots: note.sat16(name, slots[v] << np.int32(-shift))
    return lambda slots: round_product(slots[v], shift)


def _complement(op: Complement, site: _Site) -> OpFunction:
    (v,), one = site.reads(op), np.int32(op.one)
    return lambda slots: sat16(one - slots[v])


def _codes(op: CodesOf | InputOperand, site: _Site) -> OpFunction:
    (v,) = site.reads(op)
    return lambda slots: slots[v]


def _scaling(op: Scaling, site: _Site) -> OpFunction:
    (v,), note, name, shift = site.reads(op), site.note, op.result.name, op.scale.shift
    multiplier, bias = op.scale.multiplier.astype(np.int32), op.scale.bias.astype(np.int32)

    def plain(slots: Slots) -> Int32:
        return note.sat16(f"{name}.product", round_product(slots[v] * multiplier, shift))

    if not op.scale.has_bias:
        return lambda slots: note.sat16(name, round_product(slots[v] * multiplier, shift))
    return lambda slots: note.sat16(name, plain(slots) + bias)


def _extremum(op: Extremum, site: _Site) -> OpFunction:
    a, b = site.reads(op)
    chosen = np.maximum if op.largest else np.minimum
    return lambda slots: chosen(slots[a], slots[b])


def _hypotenuse(op: Hypotenuse, site: _Site) -> OpFunction:
    (a, b), note, name = site.reads(op), site.note, op.result.name
    return lambda slots: note.sat16(name, hypotenuse(slots[a], slots[b]))


def _normalization(op: Normalization, site: _Site) -> OpFunction:
    (v,), run, note, name = site.reads(op), normalization(op.constants), site.note, op.result.name
    return lambda slots: note.sat16(name, run(slots[v]))


def _gather(op: Gather, site: _Site) -> OpFunction:
    (v,), table, width = site.reads(op), 256 * op.table.astype(np.int32), op.result.width
    return lambda slots: table[slots[v]].reshape(-1, width)


def _curve(op: Curve, site: _Site) -> OpFunction:
    assert op.table is not None  # a model has its tables
    (v,), results, note, name = site.reads(op), curve(op.table), site.note, op.result.name
    return lambda slots: note.see(name, results[slots[v]])


def _blend(op: Blend, site: _Site) -> OpFunction:
    high, low, target, gate = site.reads(op)
    share, note, name = share_of(op.share), site.note, op.result.name

    def step(slots: Slots) -> Int32:
        new, new_low = blend(slots[high], slots[low], slots[target], share(slots[gate]))
        slots.append(note.see(name, new))
        return new_low

    return step


def _summed(wide: Int32, slots: Slots, note: Quiet, name: str, least: int = -(1 << 30)) -> Int32:
    """Note a sum that saturates, append its high part, return its low part."""
    note.sat16(name, wide >> LOW_BITS)
    new, new_low = saturated(wide, least)
    slots.append(new)
    return new_low


def _gated_sum(op: GatedSum, site: _Site) -> OpFunction:
    high, low, forget, candidate, gain = site.reads(op)
    lost, gained, shift = share_of(op.loss), share_of(op.gain), op.shift
    note, name = site.note, op.result.name

    def step(slots: Slots) -> Int32:
        loss, share = lost(slots[forget]), gained(slots[gain])
        wide = gated_sum(slots[high], slots[low], loss, slots[candidate], share, shift)
        return _summed(wide, slots, note, name)

    return step


def _leaky_sum(op: LeakySum, site: _Site) -> OpFunction:
    high, low, entry = site.reads(op)
    note, name, least = site.note, op.result.name, 0 if op.rectified else -(1 << 30)

    def step(slots: Slots) -> Int32:
        wide = leaky_sum(slots[high], slots[low], slots[entry], op.constants)
        return _summed(wide, slots, note, name, least)

    return step


def _wide_rescaling(op: WideRescaling, site: _Site) -> OpFunction:
    (high, low), shift, note, name = site.reads(op), op.shift, site.note, op.result.name
    return lambda slots: note.sat16(name, round_product(whole(slots[high], slots[low]), shift))


def _dot_scores(op: DotScores, site: _Site) -> OpFunction:
    (query, keys), shift, note, name = site.reads(op), op.shift, site.note, op.result.name
    return lambda slots: note.sat16(name, dot_scores(slots[query], slots[keys], shift))


def _additive_scores(op: AdditiveScores, site: _Site) -> OpFunction:
    (query, keys), note, name = site.reads(op), site.note, op.result.name
    weight, shift = op.weight.multiplier.astype(np.int32), op.weight.shift

    def step(slots: Slots) -> Int32:
        return note.sat16(name, additive_scores(slots[query], slots[keys], weight, shift))

    return step


def _softmax(op: Softmax, site: _Site) -> OpFunction:
    (scores, filled), note, name = site.reads(op), site.note, op.result.name
    return lambda slots: note.see(name, softmax(slots[scores], slots[filled]))


def _context(op: RowMean, site: _Site) -> OpFunction:
    (shares, rows), note, name = site.reads(op), site.note, op.result.name
    return lambda slots: note.see(name, context(slots[shares], slots[rows]))


#: operation -> what makes its function
INTERPRETED: Final[dict[type[Op], Callable[[Any, _Site], OpFunction]]] = {
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
    InputOperand: _codes,
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
