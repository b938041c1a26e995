"""Scalar steps of registered cells: NUMERICS.md clauses 7.12 to 7.36, and cells of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgernn.model.scales import NormalizationConstants, ScaleVector
from tests.exactness.twin import general_cells, scalar, wide
from tests.exactness.twin.normalization import normalized

Vector = list[int]
#: Twin of a layer, operand codes of x, states -> output, new states.
Step = Callable[[Any, Vector, list[Vector]], tuple[Vector, list[Vector]]]


def _share(twin: Any, z: int, *, complement: bool) -> wide.Share:
    """Clause 7.20 of the layer's gate with this pre-activation."""
    if twin.layer.gate_activation.value == "sigmoid":
        return wide.fine_share(z, complement=complement)
    return wide.coarse_share(scalar.hard_sigmoid(z), complement=complement)


def _blended(twin: Any, state: list[Vector], n: Vector, z: Vector) -> tuple[Vector, list[Vector]]:
    """Clause 7.21 towards n, by the gate of which z is the pre-activation."""
    parts = [
        wide.blend(h, low, n[j], _share(twin, z[j], complement=False))
        for j, (h, low) in enumerate(zip(*state, strict=True))
    ]
    new = [[high for high, _ in parts], [low for _, low in parts]]
    return new[0], new


def _cells(twin: Any, z: list[Vector], c: list[Vector]) -> list[Vector]:
    """The new cell state of an LSTM with the pre-activations i, f, g: clause 7.3, or 7.22."""
    e, parts = twin.layer.cell_exponent, []
    for j, (z_i, z_f, z_g) in enumerate(zip(*z, strict=True)):
        g = scalar.tanh(z_g)
        if twin.layer.wide:
            loss = _share(twin, z_f, complement=True)
            gain = _share(twin, z_i, complement=False)
            args = (c[0][j], c[1][j], loss, g, gain, 15 - e)
            parts.append(wide.gated_sum(*args, twin.meter))
            continue
        kept = twin.product(twin.gate(z_f), c[0][j], 15)
        parts.append((twin.meter.sat16(kept + twin.product(twin.gate(z_i), g, 30 - e)),))
    return [list(part) for part in zip(*parts, strict=True)]


def _shown(twin: Any, c: list[Vector]) -> Vector:
    """The cell state in Q5.10: clauses 7.4, and 7.22 of a wide one."""
    e = twin.layer.cell_exponent
    if twin.layer.wide:
        return [wide.shown(s, low, e + 5, twin.meter) for s, low in zip(*c, strict=True)]
    return [twin.meter.R(v, e - 10) for v in c[0]]


def minimal_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.12."""
    h = state[0]
    z, _ = twin.over_x_and_h("f", x, h)
    f = [twin.gate(v) for v in z]
    fh = [twin.product(a, b, 15) for a, b in zip(f, h, strict=True)]
    n = [scalar.tanh(v) for v in twin.maps["n"]({"x": x, "rh": twin.operand(fh)})]
    if twin.layer.wide:
        return _blended(twin, state, n, z)
    new = []
    for j, gate in enumerate(f):
        w = scalar.sat16(32768 - gate)  # not an event (clause 10.1)
        new.append(twin.meter.sat16(twin.product(w, h[j], 15) + twin.product(gate, n[j], 15)))
    return new, [new]


def min_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.13."""
    h = state[0]
    z = twin.maps["z"]({"x": x})
    n = twin.maps["n"]({"x": x})
    if twin.layer.wide:
        return _blended(twin, state, n, z)
    new = []
    for j, gate in enumerate(map(twin.gate, z)):
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
    h, *c = state
    z, _ = twin.over_x_and_h("gates", x, h)
    layer, units = twin.layer, twin.layer.units
    z_i, z_f, z_g, z_o = (z[k * units : (k + 1) * units] for k in range(4))
    seen_i, seen_f = (
        [twin.meter.sat16(a + p) for a, p in zip(part, _scaled(twin, c[0], scale), strict=True)]
        for part, scale in ((z_i, layer.peephole_i), (z_f, layer.peephole_f))
    )
    new_c = _cells(twin, [seen_i, seen_f, z_g], c)
    p_o = _scaled(twin, new_c[0], layer.peephole_o)
    o = [twin.gate(twin.meter.sat16(a + p)) for a, p in zip(z_o, p_o, strict=True)]
    bent = [scalar.tanh(v) for v in _shown(twin, new_c)]
    new_h = [twin.product(a, b, 15) for a, b in zip(o, bent, strict=True)]
    return new_h, [new_h, *new_c]


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
    h, *c = state
    layer, units = twin.layer, twin.layer.units
    z_x = _even(twin, twin.maps["gates_x"]({"x": x}), layer.norm_x, layer.gain_x)
    z_h = _even(twin, twin.maps["gates_h"]({"h": twin.operand(h)}), layer.norm_h, layer.gain_h)
    z = [twin.meter.sat16(a + b) for a, b in zip(z_x, z_h, strict=True)]
    parts = [z[k * units : (k + 1) * units] for k in range(4)]
    new_c = _cells(twin, parts[:3], c)
    z_c = _even(twin, new_c[0], layer.norm_c, layer.gain_c)
    new_h = [twin.product(twin.gate(parts[3][j]), scalar.tanh(z_c[j]), 15) for j in range(units)]
    return new_h, [new_h, *new_c]


def layer_norm_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.18."""
    h = state[0]
    layer, units, o_h = twin.layer, twin.layer.units, twin.operand(h)
    zr_x = _even(twin, twin.maps["zr_x"]({"x": x}), layer.norm_zr_x, layer.gain_zr_x)
    zr_h = _even(twin, twin.maps["zr_h"]({"h": o_h}), layer.norm_zr_h, layer.gain_zr_h)
    sums = [twin.meter.sat16(a + b) for a, b in zip(zr_x, zr_h, strict=True)]
    zr = [twin.gate(v) for v in sums]
    d = _even(twin, twin.maps["n_h"]({"h": o_h}), layer.norm_n_h, layer.gain_n_h)
    a = _even(twin, twin.maps["n_x"]({"x": x}), layer.norm_n_x, layer.gain_n_x)
    n = [
        scalar.tanh(twin.meter.sat16(a[j] + twin.product(zr[units + j], d[j], 15)))
        for j in range(units)
    ]
    if layer.wide:
        return _blended(twin, state, n, sums[:units])
    new = []
    for j, z in enumerate(zr[:units]):
        w = scalar.sat16(32768 - z)  # not an event (clause 10.1)
        new.append(twin.meter.sat16(twin.product(w, h[j], 15) + twin.product(z, n[j], 15)))
    return new, [new]


def projected_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.19."""
    h, *c = state
    z, _ = twin.over_x_and_h("gates", x, h)
    cells = twin.layer.cells
    parts = [z[k * cells : (k + 1) * cells] for k in range(4)]
    new_c = _cells(twin, parts[:3], c)
    bent = [scalar.tanh(v) for v in _shown(twin, new_c)]
    m = [twin.product(twin.gate(v), b, 15) for v, b in zip(parts[3], bent, strict=True)]
    new_h = twin.maps["projection"]({"rh": twin.operand(m)})
    return new_h, [new_h, *new_c]


def fast_rnn(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.33."""
    h = state[0]
    v, _ = twin.over_x_and_h("gates", x, h)
    kept = _scaled(twin, h, twin.layer.beta)
    added = _scaled(twin, [scalar.tanh(z) for z in v], twin.layer.alpha)
    new = [twin.meter.sat16(a + b) for a, b in zip(kept, added, strict=True)]
    return new, [new]


def fast_grnn(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.34."""
    h, layer = state[0], twin.layer
    if layer.kind == "low_rank_fast_grnn":
        reduced = twin.maps["reduced"]({"h": twin.operand(h)})
        v = twin.maps["gates"]({"x": x, "rh": twin.operand(reduced)})
    else:
        v, _ = twin.over_x_and_h("gates", x, h)
    z = [twin.gate(a) for a in v]
    n = [scalar.tanh(a) for a in _scaled(twin, v, layer.candidate)]
    share = _scaled(twin, z, layer.mix)
    shift = 29 - layer.state_exponent
    new = [
        twin.meter.sat16(twin.product(z[j], h[j], 15) + twin.product(share[j], n[j], shift))
        for j in range(layer.units)
    ]
    return new, [new]


def cfc(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.35."""
    layer, units = twin.layer, twin.layer.units
    z, _ = twin.over_x_and_h("backbone", x, state[0])
    m = [scalar.tanh(v) for v in z]
    heads = twin.maps["heads"]({"rh": twin.operand(m)})
    g, k, a, b = (heads[part * units : (part + 1) * units] for part in range(4))
    t = twin.maps["elapsed"]({"x": x})
    shift, new = layer.rate_exponent + layer.elapsed_exponent - 10, []
    for j in range(units):
        s = scalar.sigmoid(twin.meter.sat16(twin.product(a[j], t[j], shift) + b[j]))
        w = scalar.sat16(32768 - s)  # not an event (clause 10.1)
        kept = twin.product(w, scalar.tanh(g[j]), 15)
        new.append(twin.meter.sat16(kept + twin.product(s, scalar.tanh(k[j]), 15)))
    return new, [new]


def _zoned(twin: Any, old: Vector, new: Vector, name: str) -> Vector:
    """Clause 7.36 of one state."""
    kept = _scaled(twin, old, getattr(twin.layer, f"keep_{name}"))
    taken = _scaled(twin, new, getattr(twin.layer, f"take_{name}"))
    return [twin.meter.sat16(a + b) for a, b in zip(kept, taken, strict=True)]


def zoneout_lstm(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.36 of clauses 7.2 to 7.4."""
    h, c = state
    z, _ = twin.over_x_and_h("gates", x, h)
    units, e = twin.layer.units, twin.layer.cell_exponent
    u, m = [], []
    for j in range(units):
        i, f = twin.gate(z[j]), twin.gate(z[units + j])
        g, o = scalar.tanh(z[2 * units + j]), twin.gate(z[3 * units + j])
        u.append(twin.meter.sat16(twin.product(f, c[j], 15) + twin.product(i, g, 30 - e)))
        m.append(twin.product(o, scalar.tanh(twin.meter.R(u[j], e - 10)), 15))
    new_h, new_c = _zoned(twin, h, m, "h"), _zoned(twin, c, u, "c")
    return new_h, [new_h, new_c]


def zoneout_gru(twin: Any, x: Vector, state: list[Vector]) -> tuple[Vector, list[Vector]]:
    """Clause 7.36 of clauses 7.5 and 7.7."""
    h, units = state[0], twin.layer.units
    zr, o_h = twin.over_x_and_h("zr", x, h)
    a, d = twin.maps["n_x"]({"x": x}), twin.maps["n_h"]({"h": o_h})
    m = []
    for j in range(units):
        z, r = twin.gate(zr[j]), twin.gate(zr[units + j])
        n = scalar.tanh(twin.meter.sat16(a[j] + twin.product(r, d[j], 15)))
        w = scalar.sat16(32768 - z)  # not an event (clause 10.1)
        m.append(twin.meter.sat16(twin.product(z, h[j], 15) + twin.product(w, n, 15)))
    new = _zoned(twin, h, m, "h")
    return new, [new]


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
    "fast_rnn": (fast_rnn, ("units",)),
    "fast_grnn": (fast_grnn, ("units",)),
    "low_rank_fast_grnn": (fast_grnn, ("units",)),
    "cfc": (cfc, ("units",)),
    "zoneout_lstm": (zoneout_lstm, ("units", "units")),
    "zoneout_gru": (zoneout_gru, ("units",)),
    "general_lstm": (general_cells.general_lstm, ("units", "units")),
    "three_function_lstm": (general_cells.general_lstm, ("units", "units")),
    "general_gru_before": (general_cells.general_gru, ("units",)),
    "general_gru_after": (general_cells.general_gru, ("units",)),
    "general_rnn": (general_cells.general_rnn, ("units",)),
    "leaky_rnn": (general_cells.leaky_rnn, ("units", "units")),
    "pointwise": (general_cells.pointwise, ()),
    "prelu": (general_cells.prelu, ()),
    "layer_norm": (general_cells.layer_norm, ()),
}
