"""How far the values of a graph reach: which saturations can act, and which never do."""

from __future__ import annotations

import math
from collections.abc import Callable
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

#: Smallest and largest integer that occurs.
Interval = tuple[int, int]
Known = dict[str, Interval]

_INT16: Final[Interval] = (INT16_MIN, INT16_MAX)
#: Low parts of wide states.
_LOW: Final[Interval] = (0, INT16_MAX)


def intervals(graph: OpGraph) -> Known:
    """Bounds of every value by name, from those of inputs and states alone.

    Affine maps may give any int16: their records are not looked into.
    """
    return _walk(graph)[0]


def saturating(graph: OpGraph) -> frozenset[str]:
    """Names of products and sums whose sat16 can act; for all others it needs no code.

    Clause 7.2 holds for the products of a gate, which is at least 0.
    """
    known, wide = _walk(graph)
    return frozenset(name for name, interval in wide.items() if interval != known[name])


def _walk(graph: OpGraph) -> tuple[Known, Known]:
    """Bounds of every value, and of products and sums before they saturate."""
    outside = (graph.precision.input_low, graph.precision.input_high)
    known = {value.name: outside if value.operand else _INT16 for value in graph.inputs}
    for state in graph.carried:
        known[state.before.name] = outside if state.before.operand else _INT16
    wide: Known = {}
    for op in graph.ops:
        if isinstance(op, InputOperand):
            found = outside
        elif isinstance(op, OperandOf):
            found = (graph.precision.operand_low, graph.precision.operand_high)
        else:
            found = _BOUNDS[type(op)](op, known)
        if isinstance(op, (Product, Sum)):
            wide[op.result.name] = found
            found = (max(found[0], INT16_MIN), min(found[1], INT16_MAX))
        known[op.result.name] = found
        known.update((value.name, _LOW) for value in op.beside)
    return known, wide


def _rounded(v: int, k: int) -> int:
    """R(v, k) of clause 1.3; it never falls where v rises, so bounds map to bounds."""
    if k < 2:
        return (v + k) >> k
    return (v + (1 << (k - 1)) + 1 - 2 * (v < -1)) >> k


def _product(op: Product, known: Known) -> Interval:
    corners = [a * b for a in known[op.a.name] for b in known[op.b.name]]
    return _rounded(min(corners), op.shift), _rounded(max(corners), op.shift)


def _sum(op: Sum, known: Known) -> Interval:
    (a_low, a_high), (b_low, b_high) = known[op.a.name], known[op.b.name]
    return a_low + b_low, a_high + b_high


def _activation(op: Activation, known: Known) -> Interval:
    low, high = known[op.value.name]
    if op.function is Function.LINEAR:
        return low, high
    if op.function is Function.RELU:
        return max(low, 0), max(high, 0)
    return _INT16 if op.function is Function.TANH else (0, INT16_MAX)


def _rescaling(op: Rescaling, known: Known) -> Interval:
    low, high = known[op.value.name]
    if op.shift < 0:
        return max(low << -op.shift, INT16_MIN), min(high << -op.shift, INT16_MAX)
    return _rounded(low, op.shift), _rounded(high, op.shift)


def _complement(op: Complement, known: Known) -> Interval:
    low, high = known[op.value.name]
    return min(op.one - high, INT16_MAX), min(op.one - low, INT16_MAX)


def _codes(op: CodesOf, known: Known) -> Interval:
    return known[op.operand.name]


def _extremum(op: Extremum, known: Known) -> Interval:
    (a_low, a_high), (b_low, b_high) = known[op.a.name], known[op.b.name]
    if op.largest:
        return max(a_low, b_low), max(a_high, b_high)
    return min(a_low, b_low), min(a_high, b_high)


def _hypotenuse(op: Hypotenuse, known: Known) -> Interval:
    legs = known[op.a.name], known[op.b.name]
    least = sum(max(low, -high, 0) ** 2 for low, high in legs)
    most = sum(max(-low, high) ** 2 for low, high in legs)
    return min(_root(least), INT16_MAX), min(_root(most), INT16_MAX)


def _root(number: int) -> int:
    """The root of a whole number, rounded to the nearest."""
    return (math.isqrt(4 * number) + 1) // 2


def _gather(op: Gather, known: Known) -> Interval:  # noqa: ARG001 (as the others)
    return 256 * int(op.table.min()), 256 * int(op.table.max())


def _curve(op: Curve, known: Known) -> Interval:  # noqa: ARG001 (as the others)
    if op.table is None:
        return _INT16
    entries, table = op.table.entries, op.table
    least, most = int(entries.min()), int(entries.max())
    return max(least, table.low), min(most, table.high)


def _any_int16(*_: object) -> Interval:
    return _INT16


def _softmax(op: Softmax, known: Known) -> Interval:  # noqa: ARG001 (as the others)
    return 0, INT16_MAX


def _same(op: Slice, known: Known) -> Interval:
    return known[op.value.name]


def _any_part(op: Concatenation, known: Known) -> Interval:
    parts: tuple[Value, ...] = op.parts
    found = [known[part.name] for part in parts]
    return min(low for low, _ in found), max(high for _, high in found)


_BOUNDS: Final[dict[type[Op], Callable[[Any, Known], Interval]]] = {
    Concatenation: _any_part,
    Slice: _same,
    AffineResult: _any_int16,
    Activation: _activation,
    Product: _product,
    Sum: _sum,
    Rescaling: _rescaling,
    Complement: _complement,
    CodesOf: _codes,
    Scaling: _any_int16,
    Extremum: _extremum,
    Hypotenuse: _hypotenuse,
    Normalization: _any_int16,
    Gather: _gather,
    Curve: _curve,
    Blend: _any_int16,
    GatedSum: _any_int16,
    LeakySum: _any_int16,
    WideRescaling: _any_int16,
    DotScores: _any_int16,
    AdditiveScores: _any_int16,
    Softmax: _softmax,
    RowMean: _any_int16,
}
