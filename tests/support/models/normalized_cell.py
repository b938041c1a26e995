"""A cell that the product does not know, which normalises its gates and its cell state.

Gain and offset are scalings behind the normalizations. Its step is here in plain Python integers
too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

from edgernn.graph import lowering
from edgernn.graph.ops import Function
from edgernn.model.formats import PREACTIVATION, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import LAYERS, LSTM
from edgernn.model.scales import NormalizationConstants, ScaleVector
from tests.exactness.twin.cells import Twin
from tests.exactness.twin.normalization import normalized
from tests.exactness.twin.scalar import Metered, R, sat16, sigmoid, tanh
from tests.support.models.integer import random_model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalizedLSTM(LSTM):
    """LSTM with layer normalization of every gate and of the cell state that h sees."""

    kind: ClassVar[str] = "normalized_lstm"
    scale_shape: ClassVar[dict[str, int]] = {"gate_gain": 1, "cell_gain": 1}
    norm_shape: ClassVar[dict[str, int]] = {"gate_norm": 1, "cell_norm": 1}

    gate_norm: NormalizationConstants
    cell_norm: NormalizationConstants
    gate_gain: ScaleVector
    cell_gain: ScaleVector


def lower(g, layer, x, states):
    h, c = states
    operands = {lowering.Source.X: x, lowering.Source.H: g.operand(h, "operand_h")}
    stack = g.split(g.affine("gates", layer.gates, operands, rows="ifgo"), "ifgo")
    z = []
    for name, part in zip("ifgo", stack, strict=True):
        even = g.normalized(part, "gate_norm", layer.gate_norm, f"even_{name}")
        z.append(g.scaled(even, "gate_gain", layer.gate_gain, f"z_{name}", PREACTIVATION))
    i, f, o = (g.activation(Function.SIGMOID, z["ifgo".index(name)], name) for name in "ifo")
    kept = g.product(f, c, "f*c", c.format)
    c_new = g.sum(kept, g.product(i, g.tanh(z[2], "g"), "i*g", c.format), "c")
    even = g.normalized(c_new, "cell_norm", layer.cell_norm, "even_c")
    bent = g.tanh(g.scaled(even, "cell_gain", layer.cell_gain, "z_c", PREACTIVATION), "tanh_c")
    h_new = g.product(o, bent, "h")
    return h_new, (h_new, c_new)


def register(monkeypatch):
    """Let models have the cell, for one test."""
    monkeypatch.setitem(LAYERS, NormalizedLSTM.kind, NormalizedLSTM)
    monkeypatch.setitem(lowering.LOWERINGS, NormalizedLSTM, lower)


def normalized_models(widths: tuple[int, ...] = (1, 7, 24)) -> dict[str, IntegerModel]:
    """Models of the cell, once it is registered."""
    models = {}
    for precision in Precision:
        for units, kind in zip(widths, ("tame", "hostile", "tame"), strict=False):
            base = random_model("lstm", precision, kind=kind, units=units, seed=units)
            name = f"normalized-{precision.value}-{units}"
            models[name] = replace(base, layers=(_with_norms(base.layers[0]), *base.layers[1:]))
    return models


def _with_norms(layer: LSTM) -> NormalizedLSTM:
    units = layer.units
    rng = np.random.default_rng(units)

    def gain() -> ScaleVector:
        """Gains of about 1 of Q4.11 codes, as Q5.10 ones; offsets of 1/2 and less."""
        multiplier = (rng.normal(1, 0.4, units) * 2**13).round().astype(np.int16)
        bias = rng.integers(-512, 512, units).astype(np.int16)
        return ScaleVector(multiplier=multiplier, shift=14, bias=bias)

    return NormalizedLSTM(
        **{field.name: getattr(layer, field.name) for field in fields(layer)},
        gate_norm=NormalizationConstants.of(units, PREACTIVATION.scale, 1e-3),
        cell_norm=NormalizationConstants.of(units, 2.0**-layer.cell_exponent, 1e-3),
        gate_gain=gain(),
        cell_gain=gain(),
    )


def twin_stream(model: IntegerModel, q_xs, meter: Metered):
    """h and c of the first layer at every step, in plain Python integers."""
    layer = model.layers[0]
    plain = LSTM(**{field.name: getattr(layer, field.name) for field in fields(LSTM)})
    twin = Twin(replace(model, layers=(plain, *model.layers[1:])))._layers[0]
    units, e = layer.units, layer.cell_exponent

    def even(x, norm, scale):
        flat = normalized(x, norm.least_bits, norm.epsilon.tolist(), meter)
        factors = zip(flat, scale.multiplier.tolist(), scale.bias.tolist(), strict=True)
        return [sat16(sat16(R(v * m, scale.shift)) + b) for v, m, b in factors]

    h, c = [0] * units, [0] * units
    stream = []
    for row in q_xs.tolist():
        stack, _ = twin.over_x_and_h("gates", row, h)
        z_i, z_f, z_g, z_o = (
            even(stack[k * units : (k + 1) * units], layer.gate_norm, layer.gate_gain)
            for k in range(4)
        )
        c = [
            sat16(
                sat16(R(sigmoid(z_f[u]) * c[u], 15))
                + sat16(R(sigmoid(z_i[u]) * tanh(z_g[u]), 30 - e))
            )
            for u in range(units)
        ]
        z_c = even(c, layer.cell_norm, layer.cell_gain)
        h = [sat16(R(sigmoid(z_o[u]) * tanh(z_c[u]), 15)) for u in range(units)]
        stream.append((h, c))
    return stream
