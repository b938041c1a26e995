"""Clauses of NUMERICS.md as TFLite operators.

Each function is exact in tflite-runtime 2.14, LiteRT and TensorFlow, with optimized, delegated
and reference kernels. Requantizing operators take their shift from the *ratio* of scales, so a
scale is first of all a number that makes the ratio an exact power of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn.model.formats import INT16_MAX, PREACTIVATION, UNIT, Int8Array, Precision
from edgernn.model.scales import ScaleVector
from edgernn_export.tflite_schema.codes import ActivationFunctionType, TensorType
from edgernn_export.writers.tflite.graph import Graph, Tensor, is_power_of_two
from edgernn_export.writers.tflite.int32_operators import Int32Operators

#: 1/6 in Q0.17: hard sigmoid multiplies by 21845 and divides by 2^12 (clause 3.4).
_SIXTH: Final = 21845


def fused(relu: bool) -> ActivationFunctionType:
    """What an operator with a fused ReLU, or without, says."""
    return ActivationFunctionType.RELU if relu else ActivationFunctionType.NONE


def requantize(graph: Graph, name: str, v: Tensor, shift: int, dtype: str) -> Tensor:
    """R(v, shift) saturated to ``dtype`` (clause 1.3); a negative shift multiplies exactly."""
    out = graph.tensor(name, v.width, dtype, v.scale * 2.0**shift)
    graph.operator("QUANTIZE", 2, [v], [out], kind="QuantizeOptions")
    return out


def product(graph: Graph, name: str, a: Tensor, b: Tensor, shift: int) -> Tensor:
    """sat16(R(a*b, shift)) of int16 (clause 1.3)."""
    out = graph.tensor(name, max(a.width, b.width), "int16", a.scale * b.scale * 2.0**shift)
    graph.operator("MUL", 2, [a, b], [out], kind="MulOptions")
    return out


def saturating_sum(graph: Graph, name: str, a: Tensor, b: Tensor, relu: bool = False) -> Tensor:
    """sat16(a + b) of int16 with equal scales; with ``relu`` max(0, sat16(a + b))."""
    out = graph.tensor(name, max(a.width, b.width), "int16", a.scale)
    graph.operator(
        "ADD", 3, [a, b], [out],
        kind="AddOptions", fusedActivationFunction=fused(relu), potScaleInt16=True,
    )  # fmt: skip
    return out


def one_minus(graph: Graph, name: str, z: Tensor, one: int) -> Tensor:
    """sat16(one - z), one being 32768 at most (clause 7.5).

    32768 is no code: sat16(sat16(32767 - z) + 1) is the same. Two operators of equal scales take
    half the time of one that rescales 16384 to 32768.
    """
    top = graph.constant(
        f"{name}.top", np.full((1, z.width), min(one, INT16_MAX), np.int16), z.scale
    )
    if one <= INT16_MAX:
        out = graph.tensor(name, z.width, "int16", z.scale)
        graph.operator("SUB", 3, [top, z], [out], kind="SubOptions", potScaleInt16=True)
        return out
    step = graph.constant(f"{name}.one", np.ones((1, z.width), np.int16), z.scale)
    rest = graph.tensor(f"{name}.rest", z.width, "int16", z.scale)
    graph.operator("SUB", 3, [top, z], [rest], kind="SubOptions", potScaleInt16=True)
    return saturating_sum(graph, name, rest, step)


def codes(graph: Graph, name: str, operand: Tensor) -> Tensor:
    """Operand codes as int16 values of a scale that products can rescale (clause 6.7)."""
    if operand.dtype == "int16":
        return operand if is_power_of_two(operand.scale) else relabel(graph, operand, UNIT.scale)
    return _cast(graph, name, operand, "int16", UNIT.scale)


def narrow(graph: Graph, name: str, codes: Tensor, scale: float) -> Tensor:
    """Input codes that lie in int16 for the sake of tokens as int8 operands (clause 6.8)."""
    return _cast(graph, name, codes, "int8", scale)


def gathered(graph: Graph, name: str, tokens: Tensor, table: Int8Array, scale: float) -> Tensor:
    """256 times the rows that tokens number, one behind another (clause 8.3).

    Args:
        graph: receives the operators.
        name: of the result, prefix of what leads to it.
        tokens: int16.
        table: int8 [V, D].
        scale: of the result, a power of two.
    """
    index = _cast(graph, f"{name}.index", tokens, "int32", 1.0)
    shape = (1, tokens.width, table.shape[1])
    rows = graph.tensor(f"{name}.rows", table[0].size * tokens.width, "int8", 1.0, shape=shape)
    stored = graph.constant(f"{name}.table", table, 1.0)
    graph.operator("GATHER", 1, [stored, index], [rows], kind="GatherOptions", axis=0)
    wide = _cast(graph, f"{name}.wide", relabel(graph, rows, 1.0), "int16", UNIT.scale)
    # R(e * 512, 1) is 256 e: a product of int16 has a shift of at least 1.
    factor = np.full((1, wide.width), 512, np.int16)
    constant = graph.constant(f"{name}.256", factor, scale / UNIT.scale / 2)
    return product(graph, name, wide, constant, 1)


def _cast(graph: Graph, name: str, v: Tensor, dtype: str, scale: float) -> Tensor:
    out = graph.tensor(name, v.width, dtype, scale)
    graph.operator(
        "CAST", 1, [v], [out], kind="CastOptions",
        inDataType=TensorType[v.dtype.upper()], outDataType=TensorType[dtype.upper()],
    )  # fmt: skip
    return out


def input_operand(graph: Graph, name: str, codes: Tensor, precision: Precision) -> Tensor:
    """Input codes that are held as int16 values, as an operand (clause 6.6)."""
    scale = UNIT.scale * precision.operand_ratio
    if precision is Precision.W8A16:
        return codes if codes.scale == scale else relabel(graph, codes, scale)
    out = graph.tensor(name, codes.width, "int8", scale)
    graph.operator(
        "CAST", 1, [codes], [out],
        kind="CastOptions", inDataType=TensorType.INT16, outDataType=TensorType.INT8,
    )  # fmt: skip
    return out


def scaled(graph: Graph, name: str, v: Tensor, constants: ScaleVector, scale: float) -> Tensor:
    """sat16(sat16(R(v*m, k)) + b) by element (clause 7.9).

    Args:
        graph: receives the operators.
        name: of the result, prefix of the constants' names.
        v: int16, its scale a power of two.
        constants: multipliers, shift and offsets.
        scale: of the result, a power of two.
    """
    k = constants.shift
    y = v
    if np.any(constants.multiplier != 1 << k) or v.scale != scale:
        factor = scale / v.scale * 2.0**-k
        m = graph.constant(f"{name}.multiplier", constants.multiplier[None], factor)
        y = product(graph, f"{name}.p" if constants.has_bias else name, v, m, k)
    if not constants.has_bias:
        return y
    bias = graph.constant(f"{name}.bias", constants.bias[None], scale)
    return saturating_sum(graph, name, y, bias)


def extremum(graph: Graph, name: str, a: Tensor, b: Tensor, largest: bool) -> Tensor:
    """The larger or the smaller of int16 values of equal scales."""
    out = graph.tensor(name, a.width, "int16", a.scale)
    builtin = "MAXIMUM" if largest else "MINIMUM"
    graph.operator(builtin, 4, [a, b], [out], kind="MaximumMinimumOptions")
    return out


def hypotenuse(graph: Graph, name: str, a: Tensor, b: Tensor) -> Tensor:
    """The rounded root of a² + b² of int16 values of equal scales (clause 7.10)."""
    g = Int32Operators(graph, name)
    v, w = (g.most(g.of(leg), -INT16_MAX) for leg in (a, b))
    squares = g.add(g.times(v, v), g.times(w, w))
    r = g.root(squares, 15)
    # r - (S - r²) is negative, and -1 after the shift, where S - r² > r.
    lifted = g.less(r, g.over(g.less(r, g.less(squares, g.times(r, r))), 31))
    return g.int16(g.least(lifted, INT16_MAX), name, a.scale)


def sigmoid(graph: Graph, name: str, z: Tensor) -> Tensor:
    """Clause 3.2: at scale 2^-10 every LOGISTIC kernel interpolates the table."""
    return _tabulated(graph, "LOGISTIC", name, z)


def tanh(graph: Graph, name: str, z: Tensor) -> Tensor:
    """Clause 3.3: at scale 2^-10 every TANH kernel interpolates the table."""
    return _tabulated(graph, "TANH", name, z)


def _tabulated(graph: Graph, builtin: str, name: str, z: Tensor) -> Tensor:
    if z.scale != PREACTIVATION.scale:
        raise ValueError(f"{name}: expected scale 2^-10 ({builtin} is exact there), got {z.scale}")
    out = graph.tensor(name, z.width, "int16", UNIT.scale)
    graph.operator(builtin, 3, [z], [out])
    return out


def hard_sigmoid(graph: Graph, name: str, z: Tensor) -> Tensor:
    """Clause 3.4."""
    sixth = graph.constant(f"{name}.sixth", np.full((1, z.width), _SIXTH, np.int16), 2.0**-17)
    # Full width: the int16 ADD kernel of equal scales does not broadcast.
    half = graph.constant(f"{name}.half", np.full((1, z.width), 16384, np.int16), UNIT.scale)
    slope = product(graph, f"{name}.slope", z, sixth, 12)
    return saturating_sum(graph, name, slope, half, relu=True)


def concatenate(graph: Graph, name: str, parts: Sequence[Tensor]) -> Tensor:
    """[a, b, ...] along the last axis; the kernels demand equal scales."""
    last = parts[-1]
    if last.dtype != "int32":
        parts = [p if p.scale == last.scale else relabel(graph, p, last.scale) for p in parts]
    out = graph.tensor(name, sum(p.width for p in parts), last.dtype, last.scale)
    graph.operator("CONCATENATION", 2, parts, [out], kind="ConcatenationOptions", axis=1)
    return out


def joined(graph: Graph, name: str, parts: Sequence[Tensor]) -> Tensor:
    """[a, b, ...] along the last axis; a single part is itself."""
    return parts[0] if len(parts) == 1 else concatenate(graph, name, parts)


def relabel(graph: Graph, v: Tensor, scale: float) -> Tensor:
    """The same codes under another scale; RESHAPE copies and looks at no scale."""
    out = graph.tensor(f"relabeled.{v.index}", v.width, v.dtype, scale)
    return reshaped(graph, v, out, (1, v.width))


def reshaped(graph: Graph, v: Tensor, out: Tensor, shape: tuple[int, int]) -> Tensor:
    """The codes of one tensor in another, whose shape and scale may differ."""
    stored = graph.constant(f"shape.{v.index}", np.array(shape, np.int32))
    graph.operator("RESHAPE", 1, [v, stored], [out], kind="ReshapeOptions", newShape=list(shape))
    return out


def split(graph: Graph, names: Sequence[str], v: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """Cut along the last axis."""
    outs = [graph.tensor(n, w, v.dtype, v.scale) for n, w in zip(names, widths, strict=True)]
    axis = graph.constant(f"{names[0]}.axis", np.array(1, np.int32))
    if len(set(widths)) == 1:
        graph.operator("SPLIT", 4, [axis, v], outs, kind="SplitOptions", numSplits=len(outs))
    else:
        sizes = graph.constant(f"{names[0]}.sizes", np.array(widths, np.int32))
        graph.operator(
            "SPLIT_V", 2, [v, sizes, axis], outs, kind="SplitVOptions", numSplits=len(outs)
        )
    return outs


def part(
    graph: Graph, name: str, v: Tensor, start: int, width: int, scale: float | None = None
) -> Tensor:
    """Consecutive elements, under another scale where one is given: SLICE looks at none."""
    out = graph.tensor(name, width, v.dtype, v.scale if scale is None else scale)
    begin = graph.constant(f"{name}.begin", np.array([0, start], np.int32))
    size = graph.constant(f"{name}.size", np.array([1, width], np.int32))
    version = 2 if v.dtype == "int8" else 4
    graph.operator("SLICE", version, [v, begin, size], [out], kind="SliceOptions")
    return out


def relu(graph: Graph, name: str, v: Tensor) -> Tensor:
    """max(0, v) of int16."""
    out = graph.tensor(name, v.width, v.dtype, v.scale)
    graph.operator("RELU", 2, [v], [out])
    return out
