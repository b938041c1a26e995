"""Many sequences at once: what a new session answers to each, bit for bit."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgernn
from edgernn.backends.native import is_available
from edgernn.backends.streams.whole_streams import last_window
from edgernn.errors import ClippedReadingsWarning, EdgeRnnError, ReadingError, ShapeError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.models.integer import CELLS, random_model
from tests.support.models.rates import strided_models
from tests.support.models.tokens import token_models

BACKENDS = ["reference", *["native"] * is_available()]
LENGTHS = (4, 11, 0, 1, 7, 11, 6, 2, 30)
POLICIES = ["hold", "skip", 0.25, {"x0": "hold", "x1": "skip", "x2": -0.5}]


def sequences(model, seed=0, gaps=0.0):
    rng = np.random.default_rng(seed)
    made = []
    for count in LENGTHS:
        xs = model.input.offset + rng.uniform(-1, 1, (count, model.input.width))
        xs[rng.random(xs.shape) < gaps] = np.nan
        made.append(xs)
    return made


def one_by_one(model, backend, made, softmax=False, **options):
    """Outputs of new sessions, and the last of each."""
    with edgernn.load(model, backend, **options) as session:
        ys = [session.new_stream().run(xs, softmax=softmax) for xs in made]
    nothing = np.full(model.output.width, np.nan)
    return ys, np.array([y[-1] if len(y) else nothing for y in ys])


def assert_same(model, backend, made, softmax=False, **options):
    ys, lasts = one_by_one(model, backend, made, softmax, **options)
    found = edgernn.run_many(model, made, softmax=softmax, backend=backend, **options)
    assert [y.dtype for y in found] == [np.dtype(np.float64)] * len(made)
    for got, want in zip(found, ys, strict=True):
        np.testing.assert_array_equal(got, want)
    last = edgernn.run_many(model, made, last=True, softmax=softmax, backend=backend, **options)
    np.testing.assert_array_equal(last, lasts)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_readings_with_and_without_gaps(backend, policy):
    for seed, (cell, precision) in enumerate(itertools.product(CELLS, Precision)):
        model = random_model(cell, precision)
        made = sequences(model, seed, gaps=0.3 * (seed % 3))
        assert_same(model, backend, made, on_bad_reading=policy)


@pytest.mark.parametrize("warm_up", ["nothing", "pad"])
@pytest.mark.parametrize(
    "window", [Window(steps=1), Window(steps=5), Window(steps=7, hop=3), Window(steps=2, hop=6)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("backend", BACKENDS)
def test_windows(backend, window, warm_up):
    model = dataclasses.replace(random_model("gru_after"), window=window)
    options = {"warm_up": warm_up, "on_bad_reading": "hold"}
    for gaps in (0, 0.2):
        assert_same(model, backend, sequences(model, gaps=gaps), **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rates(backend):
    for model in strided_models().values():
        if not model.input.vocabulary:
            assert_same(model, backend, sequences(model, gaps=0.1), on_bad_reading="hold")


def test_windows_over_rates():
    model = next(m for m in strided_models().values() if not m.input.vocabulary)
    assert isinstance(model.rate, Rate)
    steps = 3 * model.rate.readings
    model = dataclasses.replace(model, window=Window(steps=steps))
    for backend in BACKENDS:
        assert_same(model, backend, sequences(model))


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens(backend):
    for model in token_models().values():
        rng = np.random.default_rng(1)
        made = []
        for count in LENGTHS:
            xs = model.input.offset + rng.uniform(-1, 1, (count, model.input.width))
            for channel, size in enumerate(model.input.vocabulary):
                if size:
                    xs[:, channel] = rng.integers(0, size, count)
            made.append(xs)
        assert_same(model, backend, made)


@pytest.mark.parametrize("backend", BACKENDS)
def test_probabilities(backend):
    model = random_model("lstm", outputs=3)
    model = dataclasses.replace(model, output=dataclasses.replace(model.output, softmax=True))
    assert_same(model, backend, sequences(model), softmax=True)
    plain = random_model("lstm")
    with pytest.raises(EdgeRnnError, match="softmax"):
        edgernn.run_many(plain, sequences(plain), softmax=True)


def test_no_sequences():
    model = random_model("lstm")
    assert edgernn.run_many(model, []) == []
    assert edgernn.run_many(model, iter(()), last=True).shape == (0, model.output.width)


def test_a_session_keeps_its_own_stream():
    model = random_model("gru_after")
    made = sequences(model, gaps=0.1)
    with edgernn.load(model, on_bad_reading="hold") as session:
        session.run(made[1])
        before = session.to_bytes()
        found = edgernn.run_many(session, made)
        assert session.to_bytes() == before
    wanted, _ = one_by_one(model, "auto", made, on_bad_reading="hold")
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(not is_available(), reason="needs the compiled extension")
@pytest.mark.parametrize("model", [
    random_model("lstm"), dataclasses.replace(random_model("lstm"), window=Window(steps=4)),
], ids=["endless", "window"])  # fmt: skip
def test_threads(model):
    made = sequences(model)
    for got, want in zip(
        edgernn.run_many(model, made, threads=3), edgernn.run_many(model, made), strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_a_clipped_reading_is_told_once():
    model = random_model("lstm")
    made = [xs + 1000 for xs in sequences(model)]
    for backend in BACKENDS:
        with pytest.warns(ClippedReadingsWarning) as told:
            edgernn.run_many(model, made, backend=backend)
        assert len(told) == 1


def test_errors_name_the_sequence():
    model = random_model("lstm")
    made = sequences(model)
    made[4][3, 1] = np.nan
    with pytest.raises(ReadingError, match=r"sequence 4, reading 3, channel 1.*'x1'"):
        edgernn.run_many(model, made)
    with pytest.raises(ShapeError, match="sequence 1"):
        edgernn.run_many(model, [made[0], "text"])


def test_what_does_not_apply_is_refused():
    model = random_model("lstm")
    with edgernn.load(model, "reference") as session:
        with pytest.raises(EdgeRnnError, match="no options for a session, got warm_up"):
            edgernn.run_many(session, [], warm_up="pad")
        with pytest.raises(EdgeRnnError, match="threads 1 on the backend 'reference', got 2"):
            edgernn.run_many(session, [], threads=2)
    with pytest.raises(EdgeRnnError, match="closed"):
        edgernn.run_many(session, [])
    if is_available():
        with pytest.raises(EdgeRnnError, match=r"threads 1 to 1024 .*, got 0"):
            edgernn.run_many(model, [], threads=0)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 40),
    steps=st.integers(1, 9),
    hop=st.integers(1, 9),
    padded=st.booleans(),
)
def test_the_last_window_is_the_last_one_answered(count, steps, hop, padded):
    codes = np.arange(1, count + 1)[:, None]
    filled = np.concatenate([np.ones((steps - 1, 1), int), codes]) if padded else codes
    windows = [
        filled[end - steps : end].ravel().tolist()
        for end in range(steps, len(filled) + 1, hop)
        if count
    ]
    found = last_window(codes, Window(steps=steps, hop=hop), padded)
    assert (found is None) == (not windows)
    assert found is None or found.ravel().tolist() == windows[-1]
