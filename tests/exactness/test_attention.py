"""Attention over a memory (clauses 7.28 to 7.31): the twin's integers, close to real numbers."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from edgernn_firmware_sim.reference import attention
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin import attention as twin
from tests.exactness.twin.cells import Twin
from tests.exactness.twin_comparison import compare
from tests.support.models.attention import KINDS, attention_models
from tests.support.models.integer import random_codes

FILLED = 32767
EMPTY = -32768


def shares(scores, filled=None):
    z = np.array(scores, np.int32)
    slots = np.full_like(z, FILLED) if filled is None else np.array(filled, np.int32)
    return attention.softmax(z, slots)


def real_shares(scores):
    z = np.array(scores, np.float64) / 1024.0
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return 32768.0 * e / e.sum(axis=-1, keepdims=True)


def test_tables_are_those_of_the_clause():
    coarse, fine = attention.exponential_tables()
    assert (coarse.tolist(), fine.tolist()) == (twin.A, twin.B)
    assert (twin.A[178], twin.A[0], twin.B[0]) == (0, 32767, 32768)
    real = [twin.real_exponential(16, i) for i in range(1, 179)]
    real += [twin.real_exponential(1024, j) for j in range(1, 64)]
    assert min(abs(v % 1 - Decimal("0.5")) for v in real) > Decimal("0.001")


def test_every_difference_of_a_pair():
    """All 49,152 differences of two filled slots; from 11392 on the smaller one has no share."""
    d = np.arange(49_152)
    got = shares(np.stack([np.full_like(d, 32767), 32767 - d], axis=1))
    step = [0, 1, 63, 64, 8191, 11391, 11392, 49_151, *range(0, 11_400, 37)]
    for k in step:
        assert got[k].tolist() == twin.softmax([32767, 32767 - k], [FILLED, FILLED])
    assert not got[11_392:, 1].any()
    assert np.diff(got[:, 1]).max() <= 1  # where a step of one table meets one of the other
    assert (got.sum(axis=1) <= 32767).all()


@pytest.mark.parametrize("slots", (2, 5, 16, 64))
def test_shares_are_the_twins_and_close_to_real_ones(slots):
    rng = np.random.default_rng(slots)
    spread = 2.0 ** rng.uniform(4, 13, (4000, 1))
    z = np.clip(rng.normal(0, spread, (4000, slots)), -16384, 32767).astype(np.int32)
    got = shares(z)
    for row in range(0, 4000, 4000 * slots // 25_000 + 1):
        assert got[row].tolist() == twin.softmax(z[row].tolist(), [FILLED] * slots)
    error = np.abs(got - real_shares(z))
    assert error.max() <= 10.0
    assert np.sqrt(np.square(error).mean()) <= 1.1
    total = got.sum(axis=1)
    assert total.max() <= 32767
    assert total.min() >= 32768 - 128


def test_empty_slots_have_no_share():
    rng = np.random.default_rng(0)
    z = rng.integers(-32768, 32768, (500, 16)).astype(np.int32)
    filled = np.where(np.arange(16) < rng.integers(1, 17, (500, 1)), FILLED, EMPTY)
    got = shares(z, filled)
    assert not got[filled == EMPTY].any()
    assert (got.sum(axis=1) > 32700).all()
    for row in range(0, 500, 5):
        assert got[row].tolist() == twin.softmax(z[row].tolist(), filled[row].tolist())
    # Of an empty memory, whose rows are 0, every slot has the same share.
    assert len(set(shares(z[:1], np.full((1, 16), EMPTY))[0].tolist())) == 1


def of_kind(kind):
    return {name: m for name, m in attention_models().items() if name.startswith(f"{kind}-")}


@pytest.mark.parametrize("kind", KINDS)
def test_reference_equals_twin(kind):
    """States anywhere in int16 at first, of slots that are filled, too."""
    models, compared, events = of_kind(kind), 0, Counter()
    per_step = sum(m.output.width + sum(s.units for s in m.states) for m in models.values())
    steps = max(12, -(-(10**5) // (3 * per_step)))
    for number, model in enumerate(models.values()):
        values, seen = compare(model, streams=3, steps=steps, seed=number)
        compared += values
        events += seen
    assert compared >= 10**5
    assert min(events["sat8"], events["tie_R"]) > 5, events
    assert events["sat16"] > (0 if kind == "memory" else 20), events


def test_recorded_saturations_are_the_twins():
    total = 0
    for name, model in attention_models().items():
        codes, recorder, one = random_codes(model, 12), Recorder(), Twin(model)
        Reference(model, recorder).run(codes)
        one.run(codes.tolist())
        saturated = sum(tensor.saturated for tensor in recorder.tensors.values())
        assert saturated == one.events["sat16"] + one.events["sat8"], name
        total += saturated
    assert total > 40
