"""Sessions, pools and sequences of models with a mask: which readings are masked, and when."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import is_available
from edgernn.errors import ReadingError, StateError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from tests.exactness.twin.masked import mask_row, masked_run
from tests.support.models.integer import random_model
from tests.support.models.masked import masked_codes, masked_models, masked_readings, with_mask

pytestmark = pytest.mark.device

BACKENDS = ["reference", *["native"] * is_available()]
MODEL = with_mask(random_model("gru_after", seed=2), -1.1)
M = np.full(3, -1.1)


def by_twin(model, x):
    codes = model.interface().quantize(np.asarray(x))
    return np.array(masked_run(model, codes.tolist())) * model.output.scale


@pytest.fixture(params=BACKENDS)
def session(request):
    with edgernn.load(MODEL, request.param) as session:
        yield session


def test_every_way_of_cutting_a_stream_gives_the_same_bits(session):
    x = masked_readings(MODEL, 50)
    want = by_twin(MODEL, x)
    assert np.array_equal(session.run(x), want)
    for cuts in (range(1, 50), [1, 4, 20, 46]):
        session.reset()
        assert np.array_equal(np.concatenate([session.run(p) for p in np.split(x, cuts)]), want)
    session.reset()
    assert np.array_equal([session.step(one) for one in x], want)
    session.reset()
    at, y = np.empty(3), np.empty(2)
    step = session.bind(at, y)
    for one, wanted in zip(x, want, strict=True):
        at[:] = one
        step()
        assert np.array_equal(y, wanted)
    assert session.sequence == 50


def test_float32_and_float64_mask_alike(session):
    a = session.step(np.full(3, np.float32(-1.1)))
    assert np.array_equal(a, session.step([-1.1] * 3)) and session.sequence == 2
    first = np.array(MODEL.output.masked) * MODEL.output.scale
    assert np.array_equal(a, first)
    assert not np.array_equal(session.step([-1.1, -1.1, -1.0]), first)


@pytest.mark.parametrize("precision", Precision)
def test_the_least_codes_are_not_a_mask(precision):
    """A reading below the range in all channels is clipped, and a step of its own."""
    model = with_mask(random_model("gru_after", precision), 0.25)
    low = model.interface().quantize(np.full((1, 3), -1e9))[0]
    step = model.precision.input_step
    assert low.tolist() == [mask_row(model)[0] + step, *mask_row(model)[1:]]
    assert model.interface().quantize(np.full((1, 3), 0.25))[0].tolist() == mask_row(model)


def test_masked_readings_are_never_clipped_and_never_bad(session):
    far = dataclasses.replace(MODEL, input=dataclasses.replace(MODEL.input, mask=1e20))
    with edgernn.load(far) as other:
        other.run(np.full((3, 3), 1e20))
        assert other.clipped_readings == (0, 0, 0) and other.bad_readings == 0


@pytest.mark.parametrize("policy", ["hold", "skip", 0.5])
def test_missing_values_are_not_masked(policy):
    """A missing value is replaced by its policy; masked readings are never held."""
    x = masked_readings(MODEL, 60, seed=7)
    rng = np.random.default_rng(3)
    x[rng.random(x.shape) < 0.15] = np.nan
    with edgernn.load(MODEL, on_bad_reading=policy) as one:
        want = np.array([one.step(reading) for reading in x])
        for cuts in ([], [7, 30], [1, 2, 59]):
            many = one.new_stream()
            got = np.concatenate([many.run(part) for part in np.split(x, cuts)])
            assert np.array_equal(got, want, equal_nan=True)
            assert (many.bad_readings, many.sequence) == (one.bad_readings, one.sequence)
        (alone,) = edgernn.run_many(one, [x])
        assert np.array_equal(alone, want, equal_nan=True)
    codes, held = [], None
    for reading in x:
        good = np.isfinite(reading)
        if good.all():
            code = MODEL.interface().quantize(reading)
        elif policy == "skip":
            code = np.array(mask_row(MODEL))  # leaves the stream as it is, too
        elif policy == "hold" and held is None:
            continue
        else:
            filled = np.where(good, reading, 0.5 if policy == 0.5 else 0.0)
            code = np.where(good | (policy == 0.5), MODEL.interface().quantize(filled), held)
        codes.append(code.tolist())
        held = held if codes[-1] == mask_row(MODEL) else code
    if policy != "hold" or np.isfinite(x[0]).all():
        wanted = np.array(masked_run(MODEL, codes)) * MODEL.output.scale
        assert np.array_equal(want[-len(wanted) :][5:], wanted[5:])


def test_raise_refuses_the_whole_chunk(session):
    x = masked_readings(MODEL, 10)
    x[7, 1] = np.nan
    with pytest.raises(ReadingError, match="reading 7, channel 1"):
        session.run(x)
    assert session.sequence == 0 and session.bad_readings == 1
    with pytest.raises(ReadingError, match="sequence 1, reading 7"):
        edgernn.run_many(session, [x[:5], x])


def test_the_bytes_of_a_stream(session):
    x = masked_readings(MODEL, 30, seed=4)
    want = by_twin(MODEL, x)
    for cut in (0, 2, 3, 11, 29):
        session.reset()
        session.run(x[:cut])
        blob = session.to_bytes()
        for backend in BACKENDS:
            with edgernn.load(MODEL, backend) as other:
                other.from_bytes(blob)
                assert other.to_bytes() == blob
                assert np.array_equal(other.run(x[cut:]), want[cut:])
    another = with_mask(random_model("gru_after", seed=2), 0.5)
    with edgernn.load(another) as other, pytest.raises(StateError, match="got one of"):
        other.from_bytes(blob)


def test_after_a_state_was_set_the_last_output_is_unknown(session):
    session.run(masked_readings(MODEL, 12))
    session.state = {name: q + 1 for name, q in session.state.items()}
    assert np.isnan(session.step(M)).all() and np.isnan(session.run([M])).all()
    y = session.step([0.5, 0.25, 1.0])
    assert np.array_equal(session.step(M), y)
    session.reset()
    assert np.isfinite(session.step(M)).all()


@pytest.mark.parametrize("name", masked_models())
def test_many_sequences_of_unequal_length(name):
    model = masked_models()[name]
    xs = [masked_readings(model, steps, seed=steps) for steps in (9, 30, 12, 30, 21)]
    xs[2][:] = model.input.mask
    for backend in BACKENDS:
        with edgernn.load(model, backend) as session:
            want = [session.new_stream().run(x) for x in xs]
            got = edgernn.run_many(session, xs)
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want, strict=True))
            last = edgernn.run_many(session, xs, last=True)
            assert np.array_equal(last, [ys[-1] for ys in want], equal_nan=True)


@pytest.mark.parametrize("name", ["gru_after-w8a16", "tokens", "window-3-2"])
def test_a_pool(name):
    model = masked_models()[name]
    xs = {key: masked_readings(model, 20, seed=key) for key in range(4)}
    for backend in BACKENDS:
        with edgernn.StreamPool(model, backend) as pool, edgernn.load(model, backend) as session:
            found = np.array(
                [pool.step_many([*xs], [x[t] for x in xs.values()]) for t in range(20)]
            )
            for key, x in xs.items():
                want = session.new_stream().run(x)
                assert np.array_equal(found[:, key], want, equal_nan=True)
            assert pool.bad_readings == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bytes_of_a_window_of_masked_readings(backend):
    model = dataclasses.replace(MODEL, window=Window(steps=3, hop=2))
    codes = masked_codes(model, 25, seed=6)
    codes[:6] = mask_row(model)
    with edgernn.load(model, backend) as session:
        want = np.ma.filled(session.run_codes(codes), -1)
        for cut in (1, 3, 4, 9):
            session.reset()
            session.run_codes(codes[:cut])
            other = session.new_stream()
            other.from_bytes(session.to_bytes())
            assert np.array_equal(np.ma.filled(other.run_codes(codes[cut:]), -1), want[cut:])
