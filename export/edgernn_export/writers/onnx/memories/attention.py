"""Attention (NUMERICS.md clauses 7.28, 7.30 and 7.31) as ONNX nodes of int32.

Sums stay below 2^30, the constants that round included: raised by 2^30 they are above 0, where the
division towards zero is a floor shift.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgernn.model.scales import ScaleVector
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import plus, sat16
from edgernn_firmware_sim.reference.attention import (
    FARTHEST,
    LEAST_SCORE,
    WHOLE,
    exponential_tables,
)

_LIFT: Final = 1 << 30


def dot_scores(g: GraphBuilder, query: str, keys: str, rows: int, shift: int) -> str:
    """int32 [1, n], within int16, of a query [1, D] and keys [1, n*D]."""
    columns = g.node("Transpose", _matrix(g, keys, rows), perm=[1, 0])
    return sat16(g, _half_up(g, g.node("MatMul", query, columns), shift))


def additive_scores(
    g: GraphBuilder,
    query: str,
    keys: str,
    rows: int,
    weight: ScaleVector,
    tanh: Callable[[str], str],
) -> str:
    """int32 [1, n], within int16, of a query [1, D] and keys [1, n*D] in Q5.10.

    Args:
        g: the graph.
        query: what all keys are added to.
        keys: of the memory.
        rows: their number n.
        weight: of the clause.
        tanh: what makes the codes of tanh of such in Q5.10.
    """
    bent = tanh(sat16(g, g.node("Add", _matrix(g, keys, rows), query)))
    total = g.node("MatMul", bent, g.constant(weight.multiplier[:, None]))
    flat = g.node("Reshape", total, g.constant([1, rows], np.int64))
    return sat16(g, _half_up(g, flat, weight.shift))


def softmax(g: GraphBuilder, scores: str, filled: str) -> str:
    """int32 [1, n] in Q0.15 of scores in Q5.10, and of which slots are filled."""
    z = g.node("Min", g.node("Max", scores, g.constant(LEAST_SCORE)), filled)
    largest = g.node("ReduceMax", z, axes=[-1], keepdims=1)
    d = g.node("Min", g.node("Sub", largest, z), g.constant(FARTHEST))
    coarse, fine = (g.constant(table) for table in exponential_tables())
    e = g.node(
        "Mul",
        g.node("Gather", coarse, g.node("Div", d, g.constant(64))),
        g.node("Gather", fine, g.node("Mod", d, g.constant(64))),
    )
    e = g.node("Div", plus(g, e, 1 << 14), g.constant(1 << 15))
    total = g.node("ReduceSum", e, g.constant([-1], np.int64), keepdims=1)
    r = g.node("Div", g.constant(WHOLE), total)
    return g.node("Div", g.node("Mul", e, r), g.constant(1 << 16))


def context(g: GraphBuilder, shares: str, rows: str, count: int) -> str:
    """int32 [1, E], within int16, of shares [1, n] and rows [1, n*E]."""
    return _half_up(g, g.node("MatMul", shares, _matrix(g, rows, count)), 15)


def _matrix(g: GraphBuilder, values: str, rows: int) -> str:
    return g.node("Reshape", values, g.constant([rows, -1], np.int64))


def _half_up(g: GraphBuilder, v: str, shift: int) -> str:
    lifted = plus(g, v, _LIFT + (1 << (shift - 1)))
    return plus(g, g.node("Div", lifted, g.constant(1 << shift)), -(_LIFT >> shift))
