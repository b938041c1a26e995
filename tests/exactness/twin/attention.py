"""Scalar attention over a memory: NUMERICS.md clauses 7.28 to 7.31 in plain Python integers."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any

from tests.exactness.twin import scalar

Vector = list[int]


def real_exponential(parts: int, i: int) -> Decimal:
    """The real number 2^15 * e^(-i/parts) that clause 7.28 rounds."""
    with localcontext(Context(prec=scalar.TABLE_DIGITS)):
        return 32768 * (Decimal(-i) / parts).exp()


def _entry(parts: int, i: int) -> int:
    return min(int(real_exponential(parts, i).to_integral_value()), 32768)


A = [min(_entry(16, i), 32767) for i in range(179)]
B = [_entry(1024, j) for j in range(64)]


def softmax(z: Vector, filled: Vector) -> Vector:
    """Clause 7.28."""
    counted = [min(max(v, -16384), f) for v, f in zip(z, filled, strict=True)]
    e = []
    for v in counted:
        d = min(max(counted) - v, 11392)
        e.append((A[d >> 6] * B[d & 63] + (1 << 14)) >> 15)
    r = ((1 << 31) - 1) // sum(e)
    p = [(v * r) >> 16 for v in e]
    if sum(e) >= 1 << 21 or max(v * r for v in e) >= 1 << 31 or sum(p) > 32767:
        raise ValueError(f"twin: expected the bounds of clause 7.28 to hold, got {z}")
    return p


def _rows(values: Vector, width: int) -> list[Vector]:
    return [values[start : start + width] for start in range(0, len(values), width)]


def _scores(twin: Any, query: Vector, keys: Vector) -> Vector:
    """Clause 7.30."""
    layer, meter = twin.layer, twin.meter
    scores = []
    for key in _rows(keys, layer.width):
        pairs = zip(query, key, strict=True)
        if layer.kind == "attention":
            products, shift = [q * k for q, k in pairs], layer.score_shift
        else:
            bent = [scalar.tanh(meter.sat16(q + k)) for q, k in pairs]
            weights, shift = layer.weight.multiplier.tolist(), layer.weight.shift
            products = [w * v for w, v in zip(weights, bent, strict=True)]
        if sum(map(abs, products)) + (1 << (shift - 1)) >= 1 << 30:
            raise ValueError("twin: expected the bound of clause 7.30 to hold")
        scores.append(meter.sat16(meter.half_up(sum(products), shift)))
    return scores


def _context(twin: Any, shares: Vector, values: Vector) -> Vector:
    """Clause 7.31."""
    rows = _rows(values, twin.layer.units)
    return [
        twin.meter.half_up(sum(p * row[h] for p, row in zip(shares, rows, strict=True)), 15)
        for h in range(twin.layer.units)
    ]


def state_widths(layer: Any) -> list[int]:
    """Clause 7.29: values, keys unless they are the values, and which slots are filled."""
    keys = [] if layer.tied else [layer.rows * layer.width]
    return [layer.rows * layer.units, *keys, layer.rows + 1]


def initial_state(layer: Any) -> list[Vector]:
    """Clause 7.29: an empty memory."""
    *rows, filled = state_widths(layer)
    return [*([0] * width for width in rows), [32767] + [-32768] * (filled - 1)]


def _appended(twin: Any, row: Vector, state: list[Vector]) -> list[Vector]:
    """Clause 7.29: a row in front, and the last one goes."""
    layer = twin.layer
    *rows, filled = state
    new = [twin.scaled(row[-layer.units :], layer.value)]
    if not layer.tied:
        new.append(twin.scaled(row[: layer.width], layer.key))
    pushed = [(first + old)[: len(old)] for first, old in zip(new, rows, strict=True)]
    return [*pushed, (filled[:1] + filled)[: layer.rows + 1]]


def memory(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.29, without a reader."""
    state = _appended(twin, x, state)
    return state[0][: twin.layer.units], state


def attention(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clauses 7.28 to 7.31, of both kinds of scores."""
    layer = twin.layer
    if layer.appends:
        state = _appended(twin, x[layer.width :], state)
    query = twin.scaled(x[: layer.width], layer.query)
    keys = state[0] if layer.tied else state[1]
    shares = softmax(_scores(twin, query, keys), state[-1][1:])
    return _context(twin, shares, state[0]), state


#: By kind of the record.
ATTENTION = {"attention": attention, "additive_attention": attention, "memory": memory}
