"""Layers of NUMERICS.md sections 7 and 8 as TFLite operators, one function per layer kind.

Operators cost more than arithmetic in small networks: affine maps that can run together are
stacked, so that one matrix product and one requantization serve several gates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.graph.lowering import lowered
from edgernn.model.affine import Affine, Affine8, Affine16, Source
from edgernn.model.formats import PREACTIVATION, UNIT, Precision
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GateActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn_export.writers.tflite import ops
from edgernn_export.writers.tflite.affine import (
    Operands,
    add32,
    affine,
    operand,
    round8,
    stacked,
    sum8,
)
from edgernn_export.writers.tflite.graph import Graph, Tensor
from edgernn_export.writers.tflite.interpreter import OperatorEmitter

#: Zero weights up to which one stacked product is faster than three: a multiply-accumulate takes
#: about 0.08 ns, the operators saved about 0.4 us (tflite-runtime and LiteRT on x86).
_STACKED_ZEROS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a layer is built.

    Attributes:
        graph: receives the operators.
        precision: of the model.
        fed: operand codes of the layer input, or values where it reads these, one behind another.
        states: int16 state inputs of the layer.
        scale: written on a Dense layer's output.
    """

    graph: Graph
    precision: Precision
    fed: tuple[Tensor, ...]
    states: tuple[Tensor, ...]
    scale: float


#: int16 output of the layer and its new states.
Emitted = tuple[Tensor, tuple[Tensor, ...]]


def simple_rnn(layer: SimpleRNN, site: Site) -> Emitted:
    """Clause 7.1."""
    at = _operands(site, layer.name, layer.gates)
    if layer.activation is CellActivation.RELU:
        scale = layer.output_scale
        h = affine(site.graph, f"{layer.name}.gates", layer.gates, at, scale, relu=True)
    else:
        z = affine(site.graph, f"{layer.name}.gates", layer.gates, at)
        h = ops.tanh(site.graph, f"{layer.name}.h_out", z)
    return h, (h,)


def lstm(layer: LSTM, site: Site) -> Emitted:
    """Clauses 7.2 to 7.4, rows moved to i f o g so that one table look-up serves i, f and o."""
    graph, name, units = site.graph, layer.name, layer.units
    i, f, g, o = np.split(np.arange(4 * units), 4)
    gates = _rows(layer.gates, np.concatenate([i, f, o, g]))
    z = affine(graph, f"{name}.gates", gates, _operands(site, name, gates))
    z_ifo, z_g = ops.split(graph, (f"{name}.z_ifo", f"{name}.z_g"), z, (3 * units, units))
    ifo = _gate(graph, f"{name}.ifo", z_ifo, layer.gate_activation)
    i_, f_, o_ = ops.split(graph, [f"{name}.{gate}" for gate in "ifo"], ifo, [units] * 3)
    g_ = ops.tanh(graph, f"{name}.g", z_g)
    kept = ops.product(graph, f"{name}.kept", f_, site.states[1], 15)
    written = ops.product(graph, f"{name}.written", i_, g_, 30 - layer.cell_exponent)
    c = ops.saturating_sum(graph, f"{name}.c_out", kept, written)
    z_c = c
    if layer.cell_exponent > PREACTIVATION.frac_bits:
        shift = layer.cell_exponent - PREACTIVATION.frac_bits
        z_c = ops.requantize(graph, f"{name}.z_c", c, shift, "int16")
    h = ops.product(graph, f"{name}.h_out", o_, ops.tanh(graph, f"{name}.tanh_c", z_c), 15)
    return h, (h, c)


def gru_after(layer: GRUAfter, site: Site) -> Emitted:
    """Clauses 7.5 and 7.7; all rows in one map z r n_x n_h where its zeros cost little."""
    graph, name, units = site.graph, layer.name, layer.units
    zeros = units * (layer.inputs + units)
    if zeros <= _STACKED_ZEROS:
        rows = stacked((layer.zr, layer.n_x, layer.n_h))
        v = affine(graph, f"{name}.gates", rows, _operands(site, name, rows))
        names = [f"{name}.{part}" for part in ("z_zr", "a", "d")]
        z_zr, a, d = ops.split(graph, names, v, (2 * units, units, units))
    else:
        at = _operands(site, name, layer.zr)
        z_zr = affine(graph, f"{name}.zr", layer.zr, at)
        a = affine(graph, f"{name}.n_x", layer.n_x, at)
        d = affine(graph, f"{name}.n_h", layer.n_h, at)
    z, r = _update_and_reset(layer, site, z_zr)
    gated = ops.product(graph, f"{name}.r_d", r, d, 15)
    z_n = ops.saturating_sum(graph, f"{name}.z_n", a, gated)
    return _gru_output(layer, site, z, z_n)


def gru_before(layer: GRUBefore, site: Site) -> Emitted:
    """Clauses 7.5 and 7.6; what n reads from x runs together with z and r."""
    graph, name, units = site.graph, layer.name, layer.units
    widths = (2 * units, units)
    n_x, n_rh = _halves(layer.n)
    rows = stacked((layer.zr, n_x))
    at = _operands(site, name, rows)
    if isinstance(rows, Affine8):
        exact = sum8(graph, f"{name}.gates", rows.terms, rows.bias, at)
        exact_zr, exact_n = ops.split(graph, (f"{name}.u_zr", f"{name}.u_n"), exact, widths)
        z_zr = round8(graph, f"{name}.zr", exact_zr, rows.shift, PREACTIVATION.scale)
    else:
        both = affine(graph, f"{name}.gates", rows, at)
        z_zr, exact_n = ops.split(graph, (f"{name}.z_zr", f"{name}.n_x"), both, widths)
    z, r = _update_and_reset(layer, site, z_zr)
    rh = ops.product(graph, f"{name}.rh", r, site.states[0], 15)
    at_rh = {Source.RH: operand(graph, f"{name}.o_rh", rh, site.precision)}
    if isinstance(n_rh, Affine8):
        reset = sum8(graph, f"{name}.n", n_rh.terms, None, at_rh)
        total = add32(graph, f"{name}.u_n_sum", exact_n, reset)
        z_n = round8(graph, f"{name}.n", total, n_rh.shift, PREACTIVATION.scale)
    else:
        z_n = ops.saturating_sum(
            graph, f"{name}.z_n", exact_n, affine(graph, f"{name}.n", n_rh, at_rh)
        )
    return _gru_output(layer, site, z, z_n)


def dense(layer: Dense, site: Site) -> Emitted:
    """Clause 8.1."""
    graph, name = site.graph, layer.name
    at = {Source.X: ops.joined(graph, f"{name}.x", site.fed)}
    if layer.activation in (DenseActivation.LINEAR, DenseActivation.RELU):
        relu = layer.activation is DenseActivation.RELU
        return affine(graph, name, layer.out, at, site.scale, relu), ()
    z = affine(graph, name, layer.out, at)
    table = ops.tanh if layer.activation is DenseActivation.TANH else ops.sigmoid
    return table(graph, f"{name}.y", z), ()


def _gate(graph: Graph, name: str, z: Tensor, activation: GateActivation) -> Tensor:
    hard = activation is GateActivation.HARD_SIGMOID
    return (ops.hard_sigmoid if hard else ops.sigmoid)(graph, name, z)


def _update_and_reset(
    layer: GRUAfter | GRUBefore, site: Site, z_zr: Tensor
) -> tuple[Tensor, Tensor]:
    zr = _gate(site.graph, f"{layer.name}.zr_gates", z_zr, layer.gate_activation)
    names = (f"{layer.name}.z", f"{layer.name}.r")
    z, r = ops.split(site.graph, names, zr, (layer.units, layer.units))
    return z, r


def _gru_output(layer: GRUAfter | GRUBefore, site: Site, z: Tensor, z_n: Tensor) -> Emitted:
    """New state h' = z*h + (1 - z)*n (clause 7.5)."""
    graph, name = site.graph, layer.name
    n = ops.tanh(graph, f"{name}.n_gate", z_n)
    kept = ops.product(graph, f"{name}.kept", z, site.states[0], 15)
    w = ops.one_minus(graph, f"{name}.w", z, 1 << UNIT.frac_bits)
    written = ops.product(graph, f"{name}.written", w, n, 15)
    h = ops.saturating_sum(graph, f"{name}.h_out", kept, written)
    return h, (h,)


def _operands(site: Site, name: str, record: Affine) -> Operands:
    """Operand codes of the sources ``record`` reads."""
    o_h = operand(site.graph, f"{name}.o_h", site.states[0], site.precision)
    x = ops.joined(site.graph, f"{name}.x", site.fed)
    at = {Source.X: x, Source.H: o_h}
    if record.terms[0].source is Source.XH:
        at[Source.XH] = ops.concatenate(site.graph, f"{name}.xh", (x, o_h))
    return at


def _rows(record: Affine, order: npt.NDArray[np.intp]) -> Affine:
    """The same map with its rows in another order."""
    if isinstance(record, Affine8):
        terms8 = tuple(
            replace(t, weights=t.weights[order], multiplier=t.multiplier[order])
            for t in record.terms
        )
        return Affine8(terms=terms8, bias=record.bias[order], shift=record.shift)
    terms16 = tuple(
        replace(
            t,
            weights=t.weights[order],
            bias=t.bias[order],
            shift=t.shift[order],
            multiplier=t.multiplier[order],
        )
        for t in record.terms
    )
    return Affine16(terms=terms16)


def _halves(record: Affine) -> tuple[Affine, Affine]:
    """The two terms of a map as separate maps; a common bias belongs to the first."""
    if isinstance(record, Affine8):
        first, second = record.terms
        none = np.zeros_like(record.bias)
        return (
            Affine8(terms=(first,), bias=record.bias, shift=record.shift),
            Affine8(terms=(second,), bias=none, shift=record.shift),
        )
    return Affine16(terms=record.terms[:1]), Affine16(terms=record.terms[1:])


def emit(layer: Layer, site: Site) -> Emitted:
    """Append a layer: in its dedicated form if it has one, else operation by operation."""
    own = EMIT.get(type(layer))
    if own is not None:
        return own(layer, site)
    step = lowered(site.precision, (layer,))
    (y,), new = OperatorEmitter(site.graph, site.precision, site.scale)(
        step, (site.fed,), site.states
    )
    return y, new


#: Layers with a form of their own: operators that stack their affine maps.
EMIT: Final[dict[type[Layer], Callable[[Any, Site], Emitted]]] = {
    SimpleRNN: simple_rnn,
    LSTM: lstm,
    GRUAfter: gru_after,
    GRUBefore: gru_before,
    Dense: dense,
}
