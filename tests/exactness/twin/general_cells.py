"""Scalar steps of general cells and of wide states: clauses 7.24 to 7.27, 8.6 to 8.8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgernn.model.functions.curves import CurveTable
from tests.exactness.twin import scalar, wide
from tests.exactness.twin.normalization import normalized

Vector = list[int]
_OPERATIONS: dict[str, Callable[[int], int]] = {
    "sigmoid": scalar.sigmoid,
    "hard_sigmoid": scalar.hard_sigmoid,
    "tanh": scalar.tanh,
    "relu": lambda z: max(0, z),
    "linear": lambda z: z,
}
_OF_Q5_10 = ("sigmoid", "hard_sigmoid", "tanh")
_WITHIN_ONE = (
    "tanh", "hard_tanh", "softsign", "sigmoid", "hard_sigmoid", "hard_sigmoid_keras2",
    "sparse_sigmoid",
)  # fmt: skip


def _applied(function: str, table: CurveTable | None, values: Vector) -> Vector:
    operation = _OPERATIONS.get(function)
    if operation is not None:
        return [operation(v) for v in values]
    assert table is not None
    return [wide.curve(table, v) for v in values]


def gate_share(twin: Any, z: int, *, complement: bool) -> wide.Share:
    """Clause 7.20 of a gate with this pre-activation."""
    layer = twin.layer
    if layer.gate_function == "sigmoid":
        return wide.fine_share(z, complement=complement)
    (g,) = _applied(layer.gate_function, layer.gate_curve, [z])
    return wide.coarse_share(g, complement=complement)


def general_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.24."""
    layer, units, meter = twin.layer, twin.layer.units, twin.meter
    h, c = state[:2]
    z, _ = twin.over_x_and_h("gates", x, h)
    z_i, z_f, z_g, z_o = (z[k * units : (k + 1) * units] for k in range(4))
    b, d, e = layer.gate_exponent, layer.candidate_exponent, layer.cell_exponent
    k, n, function = layer.shown_exponent, layer.state_exponent, layer.cell_function
    g = _applied(function, layer.candidate_curve, z_g)
    new_c, new_low, shown = [], [], []
    if layer.wide:
        for j in range(units):
            loss, gain = (
                gate_share(twin, z_f[j], complement=True),
                gate_share(twin, z_i[j], complement=False),
            )
            s, low = wide.gated_sum(c[j], state[2][j], loss, g[j], gain, d - e, meter)
            new_c.append(s)
            new_low.append(low)
    else:
        i = _applied(layer.gate_function, layer.gate_curve, z_i)
        f = _applied(layer.gate_function, layer.gate_curve, z_f)
        new_c = [
            meter.sat16(twin.product(f[j], c[j], b) + twin.product(i[j], g[j], b + d - e))
            for j in range(units)
        ]
    function = getattr(layer, "shown_function", function)
    if function in _OF_Q5_10 and layer.wide:
        shown = [wide.shown(s, low, e + 5, meter) for s, low in zip(new_c, new_low, strict=True)]
    elif function in _OF_Q5_10:
        shown = [wide.S(v, e - 10, meter) for v in new_c]
    else:
        shown = new_c
    m = _applied(function, layer.cell_curve, shown)
    o = _applied(layer.gate_function, layer.gate_curve, z_o)
    new_h = [twin.product(o[j], m[j], b + k - n) for j in range(units)]
    return new_h, [new_h, new_c, *[new_low] * layer.wide]


def general_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.25."""
    layer, units, meter = twin.layer, twin.layer.units, twin.meter
    h, b = state[0], twin.layer.gate_exponent
    zr, o_h = twin.over_x_and_h("zr", x, h)
    z_z, z_r = zr[:units], zr[units:]
    r = _gru_gate(twin, z_r)
    if layer.kind == "general_gru_before":
        rh = [twin.product(r[j], h[j], b) for j in range(units)]
        a = twin.maps["n"]({"x": x, "rh": twin.operand(rh)})
    else:
        first, d = twin.maps["n_x"]({"x": x}), twin.maps["n_h"]({"h": o_h})
        a = [meter.sat16(first[j] + twin.product(r[j], d[j], b)) for j in range(units)]
    n = _applied(layer.cell_function, layer.candidate_curve, a)
    if layer.cell_function.partition("(")[0] in _WITHIN_ONE:
        n = [wide.S(v, 15 - layer.state_exponent, meter) for v in n]
    if layer.wide:
        parts = [
            wide.blend(h[j], state[1][j], n[j], gate_share(twin, z_z[j], complement=True))
            for j in range(units)
        ]
        new = [[high for high, _ in parts], [low for _, low in parts]]
        return new[0], new
    z = _gru_gate(twin, z_z)
    new_h = []
    for j in range(units):
        w = scalar.sat16(2**b - z[j])  # not an event (clause 10.1)
        new_h.append(meter.sat16(twin.product(z[j], h[j], b) + twin.product(w, n[j], b)))
    return new_h, [new_h]


def _gru_gate(twin: Any, z: Vector) -> Vector:
    """A gate of clause 7.25 with the fraction bits that gates have."""
    layer = twin.layer
    gate = _applied(layer.gate_function, layer.gate_curve, z)
    if layer.gate_function in _OF_Q5_10:
        gate = [wide.S(v, 15 - layer.gate_exponent, twin.meter) for v in gate]
    return gate


def general_rnn(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.26."""
    z, _ = twin.over_x_and_h("gates", x, state[0])
    h = _applied(twin.layer.cell_function, twin.layer.cell_curve, z)
    return h, [h]


def leaky_rnn(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.27."""
    h, low = state
    layer, leak = twin.layer, twin.layer.leak
    if [term.source.value for term in layer.gates.terms] == ["x"]:
        u = twin.maps["gates"]({"x": x})
    else:
        u, _ = twin.over_x_and_h("gates", x, h)
    constants = zip(leak.high.tolist(), leak.low.tolist(), leak.shift.tolist(), strict=True)
    parts = [
        wide.leaky_sum(*args, twin.meter, rectified=layer.rectified)
        for args in zip(h, low, u, constants, strict=True)
    ]
    new = [[high for high, _ in parts], [bits for _, bits in parts]]
    return new[0], new


def pointwise(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 8.6."""
    return [wide.curve(twin.layer.curve, v) for v in x], state


def layer_norm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 8.8."""
    layer, even = twin.layer, []
    epsilon, width = layer.norm.epsilon.tolist(), layer.units // layer.rows
    for first in range(0, layer.units, width):
        row = x[first : first + width]
        even += normalized(row, layer.norm.least_bits, epsilon, twin.meter)
    return list(twin.scaled(even, layer.gain)), state


def prelu(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 8.7."""
    layer = twin.layer
    a = [max(0, v) for v in twin.scaled(x, layer.positive)]
    b = twin.scaled([max(0, v) for v in twin.scaled(x, layer.negated)], layer.negative)
    return [twin.meter.sat16(p + q) for p, q in zip(a, b, strict=True)], state
