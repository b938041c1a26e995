"""The integers of a head that learns: those of the twin, within bounds, and close to real ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import MAX_TARGET, MAX_WEIGHT, IntegerHead, operand8
from tests.exactness.twin.adaptive_head import TwinHead
from tests.exactness.twin.scalar import R, sat8

SETTINGS = {
    "default": Adaptation(),
    "fastest": Adaptation(rate=1.0, limit=4.0),
    "slowest": Adaptation(rate=2.0**-15, leak=2.0**-24, delay=3),
    "leaking": Adaptation(rate=0.5, leak=2.0**-4, limit=0.25, error_limit=0.1, delay=1),
    "hardly anything": Adaptation(rate=0.9, limit=1 / 32767, error_limit=1 / 32767),
}


def twin_of(of, features, outputs):
    return TwinHead(
        of.rate_code, of.leak_shift, of.limit_code, of.error_code, of.delay, features, outputs
    )


def hostile(rng, shape):
    """int16 values: any, small ones, and the ends."""
    kind = rng.integers(0, 3, shape[:1] + (1,) * (len(shape) - 1))
    ends = rng.choice(np.array([-32768, 32767, 0]), shape)
    values = np.where(kind == 1, rng.normal(0, 300, shape), rng.integers(-32768, 32768, shape))
    return np.where(kind == 2, ends, values).astype(np.int16)


def compared(of, features, outputs, steps, seed):
    """Run both; return the head."""
    rng = np.random.default_rng(seed)
    head, twin = IntegerHead(of, features, outputs), twin_of(of, features, outputs)
    states, answers = hostile(rng, (steps, features)), hostile(rng, (steps, outputs))
    targets = np.clip(answers * 1.7 + 9000 + rng.normal(0, 4000, answers.shape), -(2**18), 2**18)
    wild = rng.random(answers.shape) < 0.1
    targets[wild] = rng.choice([-MAX_TARGET, MAX_TARGET], int(wild.sum()))
    targets, known = np.rint(targets).astype(np.int64), rng.random(answers.shape) < 0.9
    for t in range(steps):
        got = head.step(states[t], answers[t])
        assert got.tolist() == twin.step(states[t].tolist(), answers[t].tolist())
        wanted = twin.learn(
            [int(v) if k else None for v, k in zip(targets[t], known[t], strict=True)]
        )
        errors = head.learn(targets[t], known[t])
        if errors is None:
            assert t < of.delay
            continue
        assert [int(e) if k else None for e, k in zip(errors, known[t], strict=True)] == wanted
        if t % 16 == 0:
            assert head.weights.tolist() == twin.W
            twin.taken = twin.taken[-of.delay - 1 :]
    assert head.weights.tolist() == twin.W
    return head


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(("features", "outputs"), [(5, 2), (1, 1)])
def test_the_head_is_the_twin(name, features, outputs):
    head = compared(SETTINGS[name], features, outputs, 600, seed=features)
    assert np.abs(head.weights).max() <= MAX_WEIGHT


def test_the_widest_head_is_the_twin_at_the_ends_of_every_range():
    of = Adaptation(rate=1.0, limit=4.0)
    head, twin = IntegerHead(of, 256, 1), twin_of(of, 256, 1)
    for sign in (1, -1, 1, 1, -1):
        state = np.full(256, -32768 if sign > 0 else 32767, np.int16)
        y = np.array([32767 * -sign], np.int16)
        for _ in range(4):
            assert head.step(state, y).tolist() == twin.step(state.tolist(), y.tolist())
            target = np.array([MAX_TARGET * sign])
            head.learn(target, np.array([True]))
            twin.learn(target.tolist())
            assert head.weights.tolist() == twin.W


def test_the_smallest_reciprocal_is_the_twin_s():
    phi = np.array([127, 15, 5, 2])
    assert 128**2 + int(phi @ phi) == 2**15 - 1
    of, y = Adaptation(rate=1.0), np.zeros(1, np.int16)
    head, twin = IntegerHead(of, 4, 1), twin_of(of, 4, 1)
    state = (phi * 256).astype(np.int16)
    for target in (32767, -32767, 5):
        assert head.step(state, y).tolist() == twin.step(state.tolist(), y.tolist())
        head.learn(np.array([target]), np.array([True]))
        twin.learn([target])
        assert head.weights.tolist() == twin.W


@pytest.mark.long
@pytest.mark.parametrize("name", ["default", "fastest", "leaking"])
def test_a_hundred_thousand_steps(name):
    compared(SETTINGS[name], 4, 1, 34_000, seed=3)


def test_operands_of_every_value():
    values = np.arange(-32768, 32768)
    assert operand8(values).tolist() == [sat8(R(int(v), 8)) for v in values]


def test_steps_are_as_close_to_real_ones_as_the_clause_says():
    rng = np.random.default_rng(0)
    worst = {True: 0.0, False: 0.0}
    for _ in range(1500):
        mu, e = (
            int(2 ** rng.uniform(0, 15)),
            int(2 ** rng.uniform(0, 15)) * int(rng.choice([-1, 1])),
        )
        twin = TwinHead(mu, 0, 32767, 32767, 0, 6, 1)
        phi = twin.features(hostile(rng, (6,)).tolist(), int(rng.integers(-32768, 32768)))
        power = sum(f * f for f in phi)
        large = abs(mu * e) >= 64
        for change, f in zip(twin.changes(phi, e), phi, strict=True):
            real = Fraction(mu * e * f * 2**7, power)
            over = abs(change - real) - Fraction(1, 2)
            if over > 0:
                worst[large] = max(worst[large], float(over / abs(real)))
    assert worst[True] <= 2.0**-12
    assert worst[False] <= 2.0**-7


@pytest.mark.parametrize("rate", [0.02, 0.3, 1.0])
def test_a_drifted_gain_and_offset_are_learned_and_forgotten(rate):
    rng = np.random.default_rng(1)
    head = IntegerHead(Adaptation(rate=rate), 8, 1)
    mix = rng.normal(0, 1, 8) / 8
    errors = []
    for _ in range(3000):
        state = np.clip(rng.normal(0, 9000, 8), -32768, 32767).astype(np.int16)
        y = np.array([state @ mix], np.int16)
        target = np.rint(1.4 * y + 6000).astype(np.int64)
        errors.append(int(target[0] - head.step(state, y)[0]))
        head.learn(target, np.array([True]))
    assert np.sqrt(np.mean(np.square(errors[-500:]))) < 0.03 * np.sqrt(
        np.mean(np.square(errors[:20]))
    )


def test_a_leak_returns_to_no_correction():
    head = IntegerHead(Adaptation(rate=0.5, leak=2.0**-6), 2, 1)
    state, y = np.array([20000, -9000], np.int16), np.array([100], np.int16)
    for _ in range(50):
        head.step(state, y)
        head.learn(np.array([8000]), np.array([True]))
    assert head.step(state, y)[0] > 5000
    silent = np.zeros(2, np.int16), np.zeros(1, np.int16)
    for _ in range(2000):
        corrected = head.step(*silent)
        head.learn(corrected, np.array([True]))  # no error: the leak alone acts
    assert abs(int(head.step(state, y)[0]) - 100) <= 3


def test_weights_do_not_grow_behind_the_limit():
    of = Adaptation(rate=0.25, limit=0.1)
    head = IntegerHead(of, 2, 1)
    state, y = np.array([20000, -9000], np.int16), np.array([0], np.int16)
    for _ in range(300):
        assert abs(head.step(state, y)[0]) <= of.limit_code
        head.learn(np.array([30000]), np.array([True]))
    assert head.limited > 250
    for _ in range(2):  # the first one beyond the limit moved it by at most a quarter of 30,000
        head.learn(np.array([-30000]), np.array([True]))
    assert head.step(state, y)[0] < 0


def test_a_wrong_value_moves_no_more_than_the_error_limit_allows():
    of = Adaptation(rate=0.5, error_limit=0.01)
    head = IntegerHead(of, 2, 1)
    state, y = np.array([20000, -9000], np.int16), np.array([0], np.int16)
    head.step(state, y)
    head.learn(np.array([MAX_TARGET]), np.array([True]))
    assert 0 < head.step(state, y)[0] <= of.error_code // 2 + 2
