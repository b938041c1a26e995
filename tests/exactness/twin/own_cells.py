"""Scalar steps of registered cells: NUMERICS.md clauses 7.12 to 7.15, and cells of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgernn.model.scales import ScaleVector
from tests.exactness.twin import scalar

Vector = list[int]
#: Twin of a layer, operand codes of x, states -> output, new states.
Step = Callable[[Any, Vector, list[Vector]], tuple[Vector, list[Vector]]]


def minimal_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.12."""
    (h,) = state
    f = [twin.gate(v) for v in twin.over_x_and_h("f", x, h)[0]]
    fh = [twin.product(a, b, 15) for a, b in zip(f, h, strict=True)]
    n = [scalar.tanh(v) for v in twin.maps["n"]({"x": x, "rh": twin.operand(fh)})]
    new = []
    for j, gate in enumerate(f):
        w = scalar.sat16(32768 - gate)  # not an event (clause 10.1)
        new.append(twin.meter.sat16(twin.product(w, h[j], 15) + twin.product(gate, n[j], 15)))
    return new, [new]


def min_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.13."""
    (h,) = state
    z = [twin.gate(v) for v in twin.maps["z"]({"x": x})]
    n = twin.maps["n"]({"x": x})
    new = []
    for j, gate in enumerate(z):
        w = scalar.sat16(32768 - gate)  # not an event (clause 10.1)
        new.append(twin.meter.sat16(twin.product(w, h[j], 15) + twin.product(gate, n[j], 15)))
    return new, [new]


def linear_recurrence(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.14."""
    kept = _scaled(twin, state[0], twin.layer.decay)
    entry = twin.maps["entry"]({"x": x})
    new = [twin.meter.sat16(a + b) for a, b in zip(kept, entry, strict=True)]
    return new, [new]


def peephole_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.15."""
    h, c = state
    z, _ = twin.over_x_and_h("gates", x, h)
    layer, units, e = twin.layer, twin.layer.units, twin.layer.cell_exponent
    p_i, p_f = _scaled(twin, c, layer.peephole_i), _scaled(twin, c, layer.peephole_f)
    i = [twin.gate(twin.meter.sat16(z[j] + p_i[j])) for j in range(units)]
    f = [twin.gate(twin.meter.sat16(z[units + j] + p_f[j])) for j in range(units)]
    g = [scalar.tanh(z[2 * units + j]) for j in range(units)]
    new_c = [
        twin.meter.sat16(twin.product(f[j], c[j], 15) + twin.product(i[j], g[j], 30 - e))
        for j in range(units)
    ]
    p_o = _scaled(twin, new_c, layer.peephole_o)
    o = [twin.gate(twin.meter.sat16(z[3 * units + j] + p_o[j])) for j in range(units)]
    new_h = [
        twin.product(o[j], scalar.tanh(twin.meter.R(new_c[j], e - 10)), 15) for j in range(units)
    ]
    return new_h, [new_h, new_c]


def coupled_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clauses 7.2 to 7.4 with i = sat16(32768 - f), rows f g o."""
    h, c = state
    z, _ = twin.over_x_and_h("gates", x, h)
    units, e = twin.layer.units, twin.layer.cell_exponent
    new_h, new_c = [], []
    for j in range(units):
        f, g, o = twin.gate(z[j]), scalar.tanh(z[units + j]), twin.gate(z[2 * units + j])
        i = scalar.sat16(32768 - f)
        new_c.append(twin.meter.sat16(twin.product(f, c[j], 15) + twin.product(i, g, 30 - e)))
        new_h.append(twin.product(o, scalar.tanh(twin.meter.R(new_c[j], e - 10)), 15))
    return new_h, [new_h, new_c]


def _scaled(twin: Any, v: Vector, scale: ScaleVector) -> Vector:
    """Clause 7.9."""
    return list(twin.scaled(v, scale))


#: By kind of the record: the step, and the number of states.
STEPS: dict[str, tuple[Step, int]] = {
    "minimal_gru": (minimal_gru, 1),
    "min_gru": (min_gru, 1),
    "linear_recurrence": (linear_recurrence, 1),
    "peephole_lstm": (peephole_lstm, 2),
    "coupled_lstm": (coupled_lstm, 2),
}
