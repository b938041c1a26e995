"""General cells, curves, slopes and wide states: the reference against plain Python integers."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from edgernn.graph.ops import Gate, Value
from edgernn.model.formats import PREACTIVATION, UNIT
from edgernn.model.functions.curves import CURVE_STEP_BITS, CurveTable
from edgernn.model.scales import LeakConstants
from edgernn_firmware_sim.reference import tables, wide
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin import wide as twin_wide
from tests.exactness.twin.cells import Twin
from tests.exactness.twin.scalar import Metered
from tests.exactness.twin_comparison import compare
from tests.support.models.general import (
    GENERAL_CELLS,
    GENERAL_LAYERS,
    general_models,
    random_curve,
)
from tests.support.models.integer import random_codes

pytestmark = pytest.mark.sampled(2)

ALL_INT16 = np.arange(-32768, 32768, dtype=np.int32)
#: Codes at which limits and halves change.
ENDS = (-32768, -32767, -16384, -2, -1, 0, 1, 2, 16383, 32766, 32767)


def of_kind(kind):
    return {name: m for name, m in general_models().items() if name.startswith(f"{kind}-")}


@pytest.mark.parametrize("kind", (*GENERAL_CELLS, *GENERAL_LAYERS, "network"))
def test_reference_equals_twin(kind):
    """States anywhere in int16 at first, low parts among them."""
    models, compared, events = of_kind(kind), 0, Counter()
    per_step = sum(m.output.width + sum(s.units for s in m.states) for m in models.values())
    steps = -(-(10**5) // (4 * per_step))
    for number, model in enumerate(models.values()):
        values, seen = compare(model, streams=4, steps=steps, seed=number)
        compared += values
        events += seen
    assert compared >= 10**5
    assert min(events["sat16"], events["sat8"], events["tie_R"]) > 50, events


def test_recorded_saturations_are_the_twins():
    total = 0
    for name, model in general_models().items():
        codes, recorder, twin = random_codes(model, 15), Recorder(), Twin(model)
        Reference(model, recorder).run(codes)
        twin.run(codes.tolist())
        saturated = sum(tensor.saturated for tensor in recorder.tensors.values())
        assert saturated == twin.events["sat16"] + twin.events["sat8"], name
        total += saturated
    assert total > 1000


def test_models_cover_what_the_clauses_say():
    layers = [layer for model in general_models().values() for layer in model.layers]
    for kind in ("general_lstm", "general_gru_before", "general_gru_after"):
        of = [layer for layer in layers if layer.kind == kind]
        gates = {(layer.wide, layer.gate_function) for layer in of}
        assert {(True, "sigmoid"), (True, "hard_sigmoid"), (True, "hard_sigmoid_keras2")} <= gates
        assert any(not layer.wide and layer.gate_curve is not None for layer in of)
        assert {layer.wide for layer in of if layer.candidate_curve is None} == {True, False}
    lstms = [layer for layer in layers if layer.kind == "general_lstm"]
    assert {"tanh", "relu", "linear", "softsign"} <= {layer.cell_function for layer in lstms}
    assert min(layer.cell_exponent for layer in lstms) == -5
    assert max(layer.cell_exponent for layer in lstms) == 14
    leaky = [layer for layer in layers if layer.kind == "leaky_rnn"]
    assert {layer.rectified for layer in leaky} == {True, False}
    assert {"x", "h", "xh"} <= {t.source.value for layer in leaky for t in layer.gates.terms}


def test_the_fine_gate_everywhere():
    """Clause 3.5: all 65,536 codes, the bounds it states, and no value near a tie."""
    got = tables.fine_gate(ALL_INT16)
    assert got.tolist() == [twin_wide.fine_gate(a) for a in ALL_INT16.tolist()]
    assert np.all(np.diff(got.astype(np.int64)) <= 0)
    assert (got.min(), got.max()) == (122, 2**30 - 122)
    real = 2.0**30 / (1 + np.exp(ALL_INT16 / 1024.0))
    inside = np.abs(ALL_INT16) < 16384
    error = np.abs(got - real)[inside]
    assert np.max(error / np.minimum(real, 2.0**30)[inside]) <= 0.01
    assert np.max(np.abs(got - real)) <= 2.4e-5 * 2**30
    entries = [twin_wide.real_fine_entry(i) for i in range(257)]
    assert min(abs(v % 1 - type(v)("0.5")) for v in entries) > 1e-3
    assert max(a - b for a, b in itertools.pairwise(twin_wide.E)) < 2**24


@pytest.mark.parametrize("bits", CURVE_STEP_BITS)
def test_curves_everywhere(bits):
    """Clause 3.6: all 65,536 codes with every step, of any table and of the steepest one."""
    count = (1 << (16 - bits)) + 1
    steepest = np.where(np.arange(count) % 2, 32767, -32768).astype(np.int16)
    rng = np.random.default_rng(bits)
    made = [random_curve(rng, bits), CurveTable(entries=steepest)]
    made.append(CurveTable(entries=steepest, low=-7, high=-7))
    for table in made:
        assert table.step_bits == bits
        got = tables.curve(table)[ALL_INT16]
        assert got.tolist() == [twin_wide.curve(table, z) for z in ALL_INT16.tolist()]


@pytest.mark.parametrize(("fine", "complement"), list(itertools.product((True, False), repeat=2)))
def test_shares_everywhere(fine, complement):
    """Clause 7.20: every code of a pre-activation, or of a gate."""
    form = PREACTIVATION if fine else UNIT
    gate = Gate(value=Value(name="v", width=1, format=form), fine=fine, complement=complement)
    codes = ALL_INT16 if fine else ALL_INT16[32768:]
    w1, w0 = wide.share_of(gate)(codes)
    share = twin_wide.fine_share if fine else twin_wide.coarse_share
    wanted = [share(code, complement=complement) for code in codes.tolist()]
    assert list(zip(w1.tolist(), w0.tolist(), strict=True)) == wanted
    assert min(w1.min(), w0.min()) >= 0
    assert max(w1.max(), w0.max()) <= 32767


def grid(*axes):
    """All combinations as int32 vectors, one of each axis."""
    return tuple(np.array(axis, np.int32) for axis in zip(*itertools.product(*axes), strict=True))


SHARES = [(0, 0), (0, 122), (0, 32767), (1, 0), (16384, 0), (32767, 0), (32767, 32767)]


def test_a_blend_at_the_ends_of_everything():
    """Clause 7.21: 32 bits hold it, low parts set to any int16 among them."""
    index = range(len(SHARES))
    s, low, n, which = grid(ENDS, ENDS, ENDS, index)
    shares = np.array(SHARES, np.int32)[which]
    high, bits = wide.blend(s, low, n, (shares[:, 0], shares[:, 1]))
    for k in range(len(s)):
        want = twin_wide.blend(int(s[k]), int(low[k]), int(n[k]), SHARES[which[k]])
        assert (high[k], bits[k]) == want
    kept = low >= 0  # clause 7.21: between s and n, and never beyond
    assert np.all(high[kept] >= np.minimum(s, n)[kept])
    assert np.all(high[kept] <= np.maximum(s, n)[kept])
    assert np.all((bits >= 0) & (high >= -32768) & (high <= 32767))


@pytest.mark.parametrize("shift", (0, 1, 2, 15, 20, 29))
def test_a_gated_sum_at_the_ends_of_everything(shift):
    """Clause 7.22: likewise; its limits act, and those on what is gained on equal formats alone."""
    few = (-32768, -32767, -1, 0, 1, 32767)
    index = range(0, len(SHARES), 2)
    s, low, g, loss, gain = grid(few, few, few, index, index)
    shares = np.array(SHARES, np.int32)
    w, v = shares[loss], shares[gain]
    sums = wide.gated_sum(s, low, (w[:, 0], w[:, 1]), g, (v[:, 0], v[:, 1]), shift)
    high, bits = wide.saturated(sums)
    meter = Metered()
    for k in range(len(s)):
        want = twin_wide.gated_sum(
            int(s[k]), int(low[k]), SHARES[loss[k]], int(g[k]), SHARES[gain[k]], shift, meter
        )
        assert (high[k], bits[k]) == want
    assert meter.events["sat16"] > 0
    gained = tables.round_product(wide.part_of((v[:, 0], v[:, 1]), g), shift)
    assert bool(np.any(np.abs(gained) > 2**30 - 2**16)) is (shift == 0)
    assert np.all((bits >= 0) & (high >= -32768) & (high <= 32767))


@pytest.mark.parametrize("shift", range(-5, 15))
def test_wide_values_as_int16_ones(shift):
    """The end of clause 7.22, of every cell exponent."""
    s, low = grid(ENDS, [v for v in ENDS if v >= 0])
    whole = wide.whole(s, low)
    for k in range(len(s)):
        meter = Metered()
        want = twin_wide.shown(int(s[k]), int(low[k]), shift + 5, meter)
        rounded = tables.round_product(whole[k], shift + 5)
        assert np.clip(rounded, -32768, 32767) == want


@pytest.mark.parametrize("rectified", (True, False))
def test_a_leaky_sum_at_the_ends_of_everything(rectified):
    """Clause 7.23: every shift, shares and entries at their ends."""
    meter, few = Metered(), (-32768, -32767, -1, 0, 1, 32767)
    for j, (w1, w0) in itertools.product(range(16), SHARES):
        s, low, u = grid(few, few, ENDS)
        fill = np.ones(len(s), np.int16)
        constants = LeakConstants(high=w1 * fill, low=w0 * fill, shift=j * fill)
        high, bits = wide.saturated(
            wide.leaky_sum(s, low, u, constants), 0 if rectified else -(2**30)
        )
        for k in range(len(s)):
            want = twin_wide.leaky_sum(
                int(s[k]), int(low[k]), int(u[k]), (w1, w0, j), meter, rectified=rectified
            )
            assert (high[k], bits[k]) == want
    assert meter.events["sat16"] > 0
