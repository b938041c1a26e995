"""The error bounds of clauses 7.34 to 7.36 hold, and are not far from what happens."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.arithmetic import round_product, sat16
from tests.support.models.float import stream
from tests.support.models.registered import float_network


def layer_of(kind):
    """The first layer of a network, float and integer."""
    network = float_network(kind)
    model = quantize(network, stream(300, 3), "w8a8", state="16", progress=False)
    return network.layers[0], model.layers[0]


def product(a, b, k):
    return sat16(round_product((a * b).astype(np.int32), k)).astype(np.int64)


def scaled(v, scale):
    """Clause 7.9 of codes [T] with every constant [H]: [T, H]."""
    return product(v[:, None], scale.multiplier.astype(np.int64), scale.shift) + scale.bias


def test_the_share_of_fast_grnn_for_every_gate():
    cell, layer = layer_of("fast_grnn")
    z = np.arange(32768)
    real = cell.by_name["mix"] * z[:, None] * 2.0**-15 + cell.by_name["mix.offset"]
    off = np.abs(scaled(z, layer.mix) - real * 2.0**14)
    assert 0.7 < off.max() <= 1.5
    v = np.arange(-32768, 32768)
    d = cell.by_name["candidate.offset"] * 2.0**10
    assert np.abs(scaled(v, layer.candidate) - (v[:, None] + d)).max() <= 0.5


@pytest.mark.parametrize("state", ["c", "h"])
def test_the_state_of_zoneout(state):
    cell, layer = layer_of("zoneout_lstm")
    keep, take = f"keep_{state}", f"take_{state}"
    v, u = np.random.default_rng(0).integers(-32768, 32768, (2, 20_000))
    got = scaled(v, layer.scales[keep]) + scaled(u, layer.scales[take])
    wanted = cell.by_name[keep] * v[:, None] + cell.by_name[take] * u[:, None]
    assert 0.7 < np.abs(got - wanted).max() <= 2.0


def test_the_blend_of_cfc_for_every_share():
    s = np.arange(32768)[:, None]
    g, k = np.random.default_rng(0).integers(-32767, 32768, (2, 1, 200))
    w = sat16((32768 - s).astype(np.int32)).astype(np.int64)
    got = product(w, g, 15) + product(s, k, 15)
    share = s * 2.0**-15
    assert 0.9 < np.abs(got - ((1 - share) * g + share * k)).max() <= 1.0
