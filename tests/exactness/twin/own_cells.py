"""Scalar steps of registered cells: NUMERICS.md clauses 7.12 to 7.19, and cells of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgernn.model.scales import NormalizationConstants, ScaleVector
from tests.exactness.twin import general_cells, scalar
from tests.exactness.twin.normalization import normalized

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


def layer_norm_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.17."""
    h, c = state
    layer, units, e = twin.layer, twin.layer.units, twin.layer.cell_exponent
    z_x = _even(twin, twin.maps["gates_x"]({"x": x}), layer.norm_x, layer.gain_x)
    z_h = _even(twin, twin.maps["gates_h"]({"h": twin.operand(h)}), layer.norm_h, layer.gain_h)
    z = [twin.meter.sat16(a + b) for a, b in zip(z_x, z_h, strict=True)]
    i, f, o = ([twin.gate(v) for v in z[k * units : (k + 1) * units]] for k in (0, 1, 3))
    g = [scalar.tanh(v) for v in z[2 * units : 3 * units]]
    new_c = [
        twin.meter.sat16(twin.product(f[j], c[j], 15) + twin.product(i[j], g[j], 30 - e))
        for j in range(units)
    ]
    z_c = _even(twin, new_c, layer.norm_c, layer.gain_c)
    new_h = [twin.product(o[j], scalar.tanh(z_c[j]), 15) for j in range(units)]
    return new_h, [new_h, new_c]


def layer_norm_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.18."""
    (h,) = state
    layer, units, o_h = twin.layer, twin.layer.units, twin.operand(h)
    zr_x = _even(twin, twin.maps["zr_x"]({"x": x}), layer.norm_zr_x, layer.gain_zr_x)
    zr_h = _even(twin, twin.maps["zr_h"]({"h": o_h}), layer.norm_zr_h, layer.gain_zr_h)
    zr = [twin.gate(twin.meter.sat16(a + b)) for a, b in zip(zr_x, zr_h, strict=True)]
    d = _even(twin, twin.maps["n_h"]({"h": o_h}), layer.norm_n_h, layer.gain_n_h)
    a = _even(twin, twin.maps["n_x"]({"x": x}), layer.norm_n_x, layer.gain_n_x)
    new = []
    for j in range(units):
        z, r = zr[j], zr[units + j]
        n = scalar.tanh(twin.meter.sat16(a[j] + twin.product(r, d[j], 15)))
        w = scalar.sat16(32768 - z)  # not an event (clause 10.1)
        new.append(twin.meter.sat16(twin.product(w, h[j], 15) + twin.product(z, n, 15)))
    return new, [new]


def projected_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.19."""
    h, c = state
    z, _ = twin.over_x_and_h("gates", x, h)
    cells, e = twin.layer.cells, twin.layer.cell_exponent
    new_c, m = [], []
    for j in range(cells):
        i, f, o = (twin.gate(z[k * cells + j]) for k in (0, 1, 3))
        added = twin.product(i, scalar.tanh(z[2 * cells + j]), 30 - e)
        new_c.append(twin.meter.sat16(twin.product(f, c[j], 15) + added))
        m.append(twin.product(o, scalar.tanh(twin.meter.R(new_c[j], e - 10)), 15))
    new_h = twin.maps["projection"]({"rh": twin.operand(m)})
    return new_h, [new_h, new_c]


def _even(twin: Any, v: Vector, constants: NormalizationConstants, scale: ScaleVector) -> Vector:
    """Clauses 7.11 and 7.9."""
    epsilon = constants.epsilon.tolist()
    return _scaled(twin, normalized(v, constants.least_bits, epsilon, twin.meter), scale)


def _scaled(twin: Any, v: Vector, scale: ScaleVector) -> Vector:
    """Clause 7.9."""
    return list(twin.scaled(v, scale))


#: By kind of the record: the step, and the fields that are the widths of the states.
def dense_rows(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 8.5."""
    width = twin.layer.inputs // twin.layer.rows
    y: Vector = []
    for first in range(0, twin.layer.inputs, width):
        y += twin.activated(twin.maps["out"]({"x": x[first : first + width]}))
    return y, state


STEPS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "minimal_gru": (minimal_gru, ("units",)),
    "min_gru": (min_gru, ("units",)),
    "linear_recurrence": (linear_recurrence, ("units",)),
    "peephole_lstm": (peephole_lstm, ("units", "units")),
    "coupled_lstm": (coupled_lstm, ("units", "units")),
    "layer_norm_lstm": (layer_norm_lstm, ("units", "units")),
    "layer_norm_gru": (layer_norm_gru, ("units",)),
    "dense_rows": (dense_rows, ()),
    "projected_lstm": (projected_lstm, ("units", "cells")),
    "general_lstm": (general_cells.general_lstm, ("units", "units")),
    "general_gru_before": (general_cells.general_gru, ("units",)),
    "general_gru_after": (general_cells.general_gru, ("units",)),
    "general_rnn": (general_cells.general_rnn, ("units",)),
    "leaky_rnn": (general_cells.leaky_rnn, ("units", "units")),
    "pointwise": (general_cells.pointwise, ()),
    "prelu": (general_cells.prelu, ()),
}
