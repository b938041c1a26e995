"""Affine maps of NUMERICS.md sections 4 and 5 as TFLite operators, and how maps are stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Affine, Affine8, Affine16, Source, Term8, Term16
from edgernn.model.formats import PREACTIVATION, UNIT, Precision
from edgernn_export.tflite_schema.codes import TensorType
from edgernn_export.writers.tflite import ops
from edgernn_export.writers.tflite.graph import Graph, Tensor, is_power_of_two

Operands = Mapping[Source, Tensor]

#: Multiplier, shift and bias of rows that only fill a stacked map: their result is 0.
_FILLER = {"multiplier": 0, "shift": 3, "bias": 1}


def operand(graph: Graph, name: str, v: Tensor, precision: Precision) -> Tensor:
    """O(v) of clause 2.7."""
    if precision is Precision.W8A8:
        return ops.requantize(graph, name, v, 8, "int8")
    eighths = ops.requantize(graph, f"{name}.eighths", v, 3, "int16")
    return ops.requantize(graph, name, eighths, -2, "int16")


def narrowed(graph: Graph, name: str, codes: Tensor) -> Tensor:
    """Input codes that are int16 for the sake of tokens as `w8a8` operands (clause 6.8)."""
    return ops.narrow(graph, name, codes, operand_scale(UNIT.scale, Precision.W8A8))


def operand_scale(v_scale: float, precision: Precision) -> float:
    """The scale `operand` gives to O(v)."""
    return v_scale * precision.operand_ratio


def stacked(maps: Sequence[Affine]) -> Affine:
    """One affine map whose rows are those of ``maps`` in order, with the same results.

    Terms over `x` or `h` alone move into the joint source `xh` where one map uses it; rows that
    read nothing from a source get zero weights. Maps of `w8a8` must share one shift (clause 7.8).
    """
    widths = {t.source: int(t.weights.shape[1]) for m in maps for t in m.terms}
    joint = Source.XH in widths
    targets = (Source.XH,) if joint else tuple(s for s in Source if s in widths)
    rows = sum(m.rows for m in maps)
    filled = {s: _StackedRows(rows, widths[s]) for s in targets}
    top = 0
    for part in maps:
        for term in part.terms:
            target = Source.XH if joint else term.source
            left = widths[target] - widths[Source.H] if joint and term.source is Source.H else 0
            filled[target].place(term, top, left)
        top += part.rows
    first = maps[0]
    if isinstance(first, Affine8):
        bias = np.concatenate([m.bias for m in maps if isinstance(m, Affine8)])
        terms = tuple(filled[s].term8(s) for s in targets)
        return Affine8(terms=terms, bias=bias, shift=first.shift)
    return Affine16(terms=tuple(filled[s].term16(s) for s in targets))


class _StackedRows:
    """The rows of one term of a stacked map, filled map by map; TFLite stores a byte a weight."""

    def __init__(self, rows: int, columns: int) -> None:
        self.weights = np.zeros((rows, columns), np.int8)
        self.per_row = {n: np.full(rows, v, np.int32) for n, v in _FILLER.items()}

    def place(self, term: Term8 | Term16, top: int, left: int) -> None:
        rows, columns = term.weights.shape
        self.weights[top : top + rows, left : left + columns] = term.weights
        for name, values in self.per_row.items():
            values[top : top + rows] = getattr(term, name, 0)

    def term8(self, source: Source) -> Term8:
        return Term8(source=source, weights=self.weights, multiplier=self.per_row["multiplier"])

    def term16(self, source: Source) -> Term16:
        return Term16(source=source, weights=self.weights, **dict[str, Any](self.per_row))


def affine(
    graph: Graph,
    name: str,
    record: Affine,
    operands: Operands,
    scale: float = PREACTIVATION.scale,
    relu: bool = False,
) -> Tensor:
    """int16 result of an affine map (clauses 4.3, 5.3), or max(0, result).

    Args:
        graph: receives the operators.
        name: prefix of tensor names.
        record: the map.
        operands: operand codes by source.
        scale: written on the result; no bit depends on it.
        relu: clamp at 0 inside the last operator, which costs nothing.
    """
    if isinstance(record, Affine8):
        exact = sum8(graph, name, record.terms, record.bias, operands, relu)
        return round8(graph, name, exact, record.shift, scale)
    return sum16(graph, name, record.terms, operands, scale, relu)


def sum8(
    graph: Graph,
    name: str,
    terms: Sequence[Term8],
    bias: npt.NDArray[np.int32] | None,
    operands: Operands,
    relu: bool = False,
) -> Tensor:
    """int32 4u + 2 of clause 4.2; without ``bias`` only the fourfold products.

    Four times u plus two is never a tie of R(., s + 2), which therefore equals half_up(u, s);
    clause 4.4 leaves room for it.
    """
    total, *others = (
        _product8(graph, f"{name}.{t.source.value}", t, operands[t.source]) for t in terms
    )
    for other in others:
        total = add32(graph, f"{name}.sum", total, other)
    if bias is None:
        return total
    quadrupled = (4 * bias.astype(np.int64) + 2).astype(np.int32)[None]
    constant = graph.constant(f"{name}.bias", quadrupled)
    return add32(graph, f"{name}.biased", total, constant, relu)


def _product8(graph: Graph, name: str, term: Term8, q: Tensor) -> Tensor:
    rows = term.weights.shape[0]
    weights = graph.constant(f"{name}.weights", term.weights, 1.0)
    acc = graph.tensor(f"{name}.acc", rows, "int32", 1.0)
    graph.operator(
        "BATCH_MATMUL", 2, [q, weights], [acc], kind="BatchMatMulOptions", adjY=True
    )  # fmt: skip
    # A row without weights may carry any multiplier up to 2^29; its product is 0 either way.
    multiplier = np.where(np.any(term.weights, axis=1), term.multiplier.astype(np.int64), 0)
    factor = graph.constant(f"{name}.multiplier", (4 * multiplier).astype(np.int32)[None])
    out = graph.tensor(f"{name}.scaled", rows, "int32", 1.0)
    graph.operator("MUL", 1, [acc, factor], [out], kind="MulOptions")
    return out


def add32(graph: Graph, name: str, a: Tensor, b: Tensor, relu: bool = False) -> Tensor:
    """int32 a + b, or max(0, a + b)."""
    out = graph.tensor(name, a.width, "int32", 1.0)
    graph.operator(
        "ADD", 1, [a, b], [out],
        kind="AddOptions", fusedActivationFunction=ops.fused(relu),
    )  # fmt: skip
    return out


def round8(graph: Graph, name: str, exact: Tensor, shift: int, scale: float) -> Tensor:
    """sat16(half_up(u, shift)) of 4u + 2 (clause 4.3)."""
    out = graph.tensor(f"{name}.z", exact.width, "int16", scale)
    graph.rescale(exact, scale * 2.0 ** -(shift + 2))
    graph.operator("QUANTIZE", 2, [exact], [out], kind="QuantizeOptions")
    return out


def sum16(
    graph: Graph,
    name: str,
    terms: Sequence[Term16],
    operands: Operands,
    scale: float,
    relu: bool = False,
) -> Tensor:
    """int16 result of clause 5.3 for one or two terms."""
    alone = len(terms) == 1
    parts = [
        _product16(graph, f"{name}.{t.source.value}", t, operands[t.source], scale, relu and alone)
        for t in terms
    ]
    if alone:
        return parts[0]
    return ops.saturating_sum(graph, f"{name}.sum", parts[0], parts[1], relu)


def _product16(
    graph: Graph, name: str, term: Term16, q: Tensor, scale: float, relu: bool
) -> Tensor:
    """R(sat16(half_up(acc, k)) * m, 15) of clause 5.2.

    Operands are multiples of 4 and the bias is 1 modulo 4 (clause 5.4), so that no accumulator
    is a tie of any FULLY_CONNECTED kernel; k is in the weights' scales.
    """
    if not is_power_of_two(q.scale):
        q = ops.relabel(graph, q, PREACTIVATION.scale)
    rows = term.weights.shape[0]
    scales = [scale / q.scale * 2.0**-k for k in term.shift.tolist()]
    weights = graph.constant(f"{name}.weights", term.weights, scales)
    bias = graph.constant(f"{name}.bias", term.bias, [s * q.scale for s in scales])
    v = graph.tensor(f"{name}.v", rows, "int16", scale)
    graph.operator(
        "FULLY_CONNECTED", 4, [q, weights, bias], [v],
        kind="FullyConnectedOptions",
        fusedActivationFunction=ops.fused(relu),
        # Unset, the newer reference kernels would read the int32 bias as int64.
        quantizedBiasType=TensorType.INT32,
    )  # fmt: skip
    multiplier = graph.constant(
        f"{name}.multiplier", term.multiplier.astype(np.int16)[None], 2.0**-15
    )
    return ops.product(graph, f"{name}.p", v, multiplier, 15)
