"""Attention (NUMERICS.md clauses 7.28, 7.30 and 7.31) as TFLite operators.

A product of int16 matrices whose scales are a power of two apart is sat16(half_up(sum, k)) in all
runtimes: scores and context are one operator each.
"""

from __future__ import annotations

from edgernn.model.formats import PREACTIVATION, UNIT
from edgernn.model.scales import ScaleVector
from edgernn_export.writers.tflite import ops
from edgernn_export.writers.tflite.graph import Graph, Tensor
from edgernn_export.writers.tflite.int32_operators import Int32Operators
from edgernn_firmware_sim.reference.attention import (
    FARTHEST,
    LEAST_SCORE,
    WHOLE,
    exponential_tables,
)


def dot_scores(graph: Graph, name: str, query: Tensor, keys: Tensor, shift: int) -> Tensor:
    """int16 [1, n] of a query [1, D] and n keys one behind another."""
    scale = PREACTIVATION.scale * 2.0**-shift / query.scale
    rows = _rows(graph, f"{name}.keys", keys, query.width, scale)
    return _product(graph, name, query, rows, keys.width // query.width, PREACTIVATION.scale, True)


def additive_scores(
    graph: Graph, name: str, query: Tensor, keys: Tensor, weight: ScaleVector
) -> Tensor:
    """int16 [1, n] of a query [1, D] and n keys in Q5.10, one behind another."""
    count = keys.width // query.width
    rows = _rows(graph, f"{name}.keys", keys, query.width, PREACTIVATION.scale)
    both = _matrix(graph, f"{name}.sum", keys.width, query.width, PREACTIVATION.scale)
    # With potScaleInt16 the kernels would not broadcast.
    graph.operator("ADD", 3, [rows, query], [both], kind="AddOptions", potScaleInt16=False)
    bent = _matrix(graph, f"{name}.tanh", keys.width, query.width, UNIT.scale)
    graph.operator("TANH", 3, [both], [bent])
    factor = PREACTIVATION.scale * 2.0**-weight.shift / UNIT.scale
    weights = graph.constant(f"{name}.weight", weight.multiplier[None], factor)
    return _product(graph, name, weights, bent, count, PREACTIVATION.scale, True)


def softmax(graph: Graph, name: str, scores: Tensor, filled: Tensor) -> Tensor:
    """int16 [1, n] in Q0.15 of scores in Q5.10, and of which slots are filled."""
    g = Int32Operators(graph, name)
    low = g.most(g.of(scores), LEAST_SCORE)
    z = g.run("MINIMUM", low, g.of(filled), kind="MaximumMinimumOptions")
    d = g.least(g.less(g.reduced("REDUCE_MAX", z), z), FARTHEST)
    coarse, fine = exponential_tables()
    products = g.times(g.gathered(coarse, g.over(d, 6)), g.gathered(fine, g.rest(d, 6)))
    e = g.half_up(products, 15)
    r = g.run("DIV", WHOLE, g.total(e), kind="DivOptions")
    return g.int16(g.over(g.times(e, r), 16), name, UNIT.scale)


def context(graph: Graph, name: str, shares: Tensor, rows: Tensor, scale: float) -> Tensor:
    """int16 [1, E] of shares [1, n] in Q0.15 and n rows one behind another."""
    width = rows.width // shares.width
    matrix = _rows(graph, f"{name}.rows", rows, width, scale)
    return _product(graph, name, shares, matrix, width, scale, False)


def _matrix(graph: Graph, name: str, size: int, width: int, scale: float) -> Tensor:
    return graph.tensor(name, size, "int16", scale, shape=(size // width, width))


def _rows(graph: Graph, name: str, v: Tensor, width: int, scale: float) -> Tensor:
    """Rows of this width one below another, under another scale."""
    out = _matrix(graph, name, v.width, width, scale)
    return ops.reshaped(graph, v, out, (v.width // width, width))


def _product(
    graph: Graph, name: str, a: Tensor, b: Tensor, width: int, scale: float, transposed: bool
) -> Tensor:
    """int16 [1, width] of a row and a matrix of int16."""
    out = graph.tensor(name, width, "int16", scale)
    graph.operator("BATCH_MATMUL", 3, [a, b], [out], kind="BatchMatMulOptions", adjY=transposed)
    return out
