"""NUMERICS.md clauses 1 to 5 as ONNX integer operators.

ONNX divides integers towards zero and shifts unsigned numbers only; onnxruntime computes in int32
and has few int16 operators. Three identities turn that into the floor shifts and the double
rounding of section 1:

* A floor shift that is clipped from below at L needs no floor: u - L*2^s is divided towards zero
  and clipped at 0; what the two divisions disagree on is negative and clipped away.
* R(p, k) = trunc((p + clip(2p, -2^(k-1), 2^(k-1) + 1)) / 2^k) for k >= 3.
* In `w8a16` acc = 4a + 1, so half_up(acc, k) = half_up(a, k - 2): the two constant bits are never
  computed and everything stays below 2^30.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Affine, Affine8, Source, Term16
from edgernn.model.formats import INT16_MAX, INT16_MIN, Int8Array
from edgernn_export.writers.onnx.graph import GraphBuilder

#: Operands and weights are stored with this zero point: MatMulInteger of uint8 by uint8 is exact on
#: every CPU (uint8 by int8 is not on AVX2 without VNNI) and several times faster than int8 by int8.
ZERO_POINT: Final = 128
#: Low bits of a 14-bit `w8a16` operand; operands travel as two rows, high and low part.
LOW_BITS: Final = 7

Operands = dict[Source, str]
_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRange:
    """Where the result of an affine map goes: clip(z, low, high) + bias.

    Attributes:
        low: lower clip, <= 0.
        high: upper clip, > 0.
        bias: added per row after clipping; an index into a table starts at 0.
    """

    low: int = INT16_MIN
    high: int = INT16_MAX
    bias: int | npt.NDArray[np.int32] = 0


def plus(g: GraphBuilder, tensor: str, addend: int | npt.NDArray[np.int32]) -> str:
    """Add a constant, or nothing where it is 0."""
    if not np.any(addend):
        return tensor
    return g.node("Add", tensor, g.constant(addend))


def clip(g: GraphBuilder, tensor: str, low: int, high: int) -> str:
    """min(max(tensor, low), high)."""
    return g.node("Clip", tensor, g.constant(low), g.constant(high))


def sat16(g: GraphBuilder, tensor: str) -> str:
    """Clause 1.1."""
    return clip(g, tensor, INT16_MIN, INT16_MAX)


def hypotenuse(g: GraphBuilder, a: str, b: str) -> str:
    """The rounded root of a² + b² (clause 7.10), bit by bit."""
    v, w = (g.node("Max", leg, g.constant(-INT16_MAX)) for leg in (a, b))
    squares = g.node("Add", g.node("Mul", v, v), g.node("Mul", w, w))
    r = g.constant(0)
    for bit in reversed(range(15)):
        tried = g.node("Add", r, g.constant(1 << bit))
        fits = g.node("GreaterOrEqual", squares, g.node("Mul", tried, tried))
        r = g.node("Where", fits, tried, r)
    above = g.node("Greater", g.node("Sub", squares, g.node("Mul", r, r)), r)
    return g.node("Min", g.node("Add", r, g.cast(above, np.int32)), g.constant(INT16_MAX))


def round_product(g: GraphBuilder, p: str, k: int) -> str:
    """Clause 1.3, R(p, k), for |p| < 2^30, or 2^29 where k = 2."""
    if k == 0:
        return p
    # The clip yields what is added before a division towards zero: 2^(k-1) + 1 for every p whose
    # result is positive, -2^(k-1) for every p whose result is negative, and too little to matter
    # for the others. k = 2 needs a steeper slope; k = 1 rounds half up only.
    half, gain = (0, 1) if k == 1 else (1 << (k - 1), 4 if k == 2 else 2)
    steep = p if gain == 1 else g.node("Mul", p, g.constant(gain))
    nudge = clip(g, steep, -half, half + 1)
    return g.node("Div", g.node("Add", p, nudge), g.constant(1 << k))


def product(g: GraphBuilder, a: str, b: str, k: int) -> str:
    """R(a*b, k) of int16 codes, one of which is not -32768."""
    return round_product(g, g.node("Mul", a, b), k)


def wide_product(g: GraphBuilder, a: str, b: str, k: int) -> str:
    """R(a*b, k) of any two int16 codes."""
    return round_wide(g, g.node("Mul", a, b), k)


def round_wide(g: GraphBuilder, p: str, k: int) -> str:
    """R(p, k) for |p| <= 2^30: twice or four times as much would pass int32."""
    if k < 2:
        return round_product(g, p, k)
    half = 1 << (k - 1)
    near = clip(g, p, -half, half + 1)
    steep = g.node("Mul", near, g.constant(4 if k == 2 else 2))
    nudge = clip(g, steep, -half, half + 1)
    return g.node("Div", g.node("Add", p, nudge), g.constant(1 << k))


def affine(g: GraphBuilder, record: Affine, operands: Operands, window: ResultRange) -> str:
    """An affine map of section 4 or 5 on operand rows (see `onnx_tables.Tables`).

    Args:
        g: the graph.
        record: weights and scaling.
        operands: uint8 tensors with zero point 128 by source: [1, N] in `w8a8`, high and low part
            [2, 1, N] in `w8a16`.
        window: where the result goes.

    Returns:
        int32 [1, R].
    """
    if isinstance(record, Affine8):
        total = _scaled_sum(g, record, operands)
        bias = record.bias.astype(np.int64)
        shift = np.array(record.shift, dtype=np.int64)
        return _shifted(g, total, bias, shift, window)
    parts = [_term16(g, term, operands[term.source]) for term in record.terms]
    wide = parts[0] if len(parts) == 1 else g.node("Add", *parts)
    if len(parts) == 2 or (window.low, window.high) != (INT16_MIN, INT16_MAX):
        wide = clip(g, wide, window.low, window.high)
    return plus(g, wide, window.bias)


def _scaled_sum(g: GraphBuilder, record: Affine8, operands: Operands) -> str:
    """Clause 4.2 without the bias."""
    parts = []
    for term in record.terms:
        acc = _matmul(g, operands[term.source], term.weights)
        parts.append(g.node("Mul", acc, g.constant(term.multiplier)))
    return parts[0] if len(parts) == 1 else g.node("Add", *parts)


def _term16(g: GraphBuilder, term: Term16, operand: str) -> str:
    """Clause 5.2: R(v*m, 15) of one term."""
    rows = _matmul(g, operand, term.weights)
    parts = g.node("Mul", rows, g.constant(np.array([[[1 << LOW_BITS]], [[1]]])))
    acc = g.node("ReduceSum", parts, g.constant([0], np.int64), keepdims=0)
    bias = (term.bias.astype(np.int64) - 1) // 4
    v = _shifted(g, acc, bias, term.shift.astype(np.int64) - 2, ResultRange())
    return product(g, v, g.constant(term.multiplier), 15)


def _matmul(g: GraphBuilder, operand: str, weights: Int8Array) -> str:
    """Exact int32 products of operand rows with int8 weights [R, N]."""
    stored = np.ascontiguousarray(weights.T.astype(np.int16) + ZERO_POINT)
    zero = g.constant(ZERO_POINT, np.uint8)
    return g.node("MatMulInteger", operand, g.constant(stored, np.uint8), zero, zero)


def _shifted(g: GraphBuilder, acc: str, bias: _Int64, shift: _Int64, window: ResultRange) -> str:
    """clip(half_up(acc + bias, shift), low, high) + window.bias, for |acc + bias| < 2^29.

    Where 2^29 >> shift is less than -low the lower clip never acts, and a smaller offset is enough
    to make the dividend positive; so the sum always stays below 2^31.
    """
    offset = np.minimum(-window.low, (1 << 29) >> shift)
    addend = bias + ((1 << shift) >> 1) + (offset << shift)
    total = plus(g, acc, addend.astype(np.int32))
    wide = g.node("Div", total, g.constant(1 << shift))
    if np.all(offset == -window.low):
        clipped = clip(g, wide, 0, window.high - window.low)
    else:
        high = g.constant(window.high + offset)
        clipped = g.node("Min", g.node("Max", wide, g.constant(0)), high)
    rest = np.asarray(window.bias - offset, dtype=np.int32)
    return plus(g, clipped, int(rest) if rest.ndim == 0 else rest)
