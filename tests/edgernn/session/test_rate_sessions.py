"""Models that answer every R readings: the twin's answers, on any way of asking (clause 6.9)."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import is_available
from edgernn.backends.streams.collected_streams import RateStream
from edgernn.backends.streams.value_stream import ValueStream
from edgernn.errors import EdgeRnnError, ModelError, StateError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.exactness.twin.cells import Twin
from tests.support.models.integer import random_codes, random_model
from tests.support.models.rates import (
    RATES,
    strided_models,
    strided_network,
    strided_tokens,
    windowed,
)

pytestmark = pytest.mark.device

BACKENDS = ["reference", *["native"] * is_available()]
READINGS = 41


def standing(answers):
    """Between two answers the last one stands; None before the first."""
    rows, last = [], None
    for answer in answers:
        last = last if answer is None else answer
        rows.append(last)
    return rows


def rows_of(q_ys):
    return [None if row.count(None) else row for row in np.ma.asarray(q_ys).tolist()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_are_the_twins(backend):
    for model in strided_models().values():
        codes = random_codes(model, READINGS)
        wanted = Twin(model).answers(codes.tolist())
        answered = [t for t, answer in enumerate(wanted) if answer is not None]
        assert answered == [*model.rate.answered(READINGS)]
        assert len(answered) == model.rate.answers(READINGS) > 5
        with edgernn.load(model, backend) as session:
            assert rows_of(session.run_codes(codes)) == standing(wanted), model.name


@pytest.mark.parametrize("backend", BACKENDS)
def test_windows_are_streams_of_their_own(backend):
    compared = 0
    for strided in strided_models().values():
        for model in windowed(strided).values():
            codes = random_codes(model, READINGS)
            wanted = standing(Twin(model).window_answers(codes.tolist()))
            with edgernn.load(model, backend) as session:
                assert rows_of(session.run_codes(codes)) == wanted, model.name
            compared += READINGS - wanted.count(None)
            padded = [*[codes[0].tolist()] * (model.window.steps - 1), *codes.tolist()]
            first = Twin(model).window_answers(padded[: model.window.steps])[-1]
            with edgernn.load(model, backend, warm_up="pad") as session:
                assert session.step_codes(codes[0]).tolist() == first
    assert compared > 500


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_chunks_give_the_same_answers(backend, rate):
    model = strided_network(Precision.W8A8, rate)
    xs = np.random.default_rng(3).normal(0, 0.5, (60, 3))
    with edgernn.load(model, backend) as session:
        whole = session.run(xs)
        missing = rate.first - 1
        assert np.isnan(whole).any(axis=1).tolist() == [t < missing for t in range(60)]
        for sizes in ([1] * 60, [0, 2, 0, 58], [30, 1, 29], [59, 1], [3] * 20, [5, 1] * 10):
            session.reset()
            parts = np.split(xs, np.cumsum(sizes)[:-1])
            got = np.concatenate([session.run(part) for part in parts])
            np.testing.assert_array_equal(got, whole)
        session.reset()
        np.testing.assert_array_equal([session.step(x) for x in xs], whole)
        x, y = np.empty(3), np.empty(2)
        session.reset()
        step = session.bind(x, y)
        for reading, wanted in zip(xs, whole, strict=True):
            x[:] = reading
            step()
            np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_states_copies_and_pickles_go_on_alone(backend, rate, tmp_path):
    model = strided_network(Precision.W8A16, rate, cell="gru_after")
    codes = random_codes(model, 30)
    path = model.save(tmp_path / "model.edgernn")
    with edgernn.load(path, backend) as one, edgernn.load(path, "reference") as two:
        wanted = rows_of(one.run_codes(codes))
        for at in range(1, 14):
            one.reset()
            one.run_codes(codes[:at])
            others = one.copy(), copy.deepcopy(one), pickle.loads(pickle.dumps(one))
            two.state = one.state
            assert {k: v.tolist() for k, v in two.state.items()} == {
                k: v.tolist() for k, v in one.state.items()
            }
            one.run_codes(codes[:5])
            for other in others:
                assert rows_of(other.run_codes(codes[at:])) == wanted[at:]
                other.close()
            got = rows_of(two.run_codes(codes[at:]))
            fresh = next(i for i, row in enumerate(got) if row is not None)
            assert got[fresh:] == wanted[at + fresh :]
            assert fresh < max(rate.readings, rate.first)


def test_the_state_has_the_rows_of_the_step_and_what_is_left_until_the_answer():
    rate = Rate(readings=3, first=4, start=(4, 8, 12))
    model = strided_network(Precision.W8A8, rate)
    codes = random_codes(model, 8)
    start = np.array(rate.start)
    with edgernn.load(model, "reference") as session:
        seen = []
        for q_x in codes:
            state = session.state
            seen.append((state["rate.due"].tolist(), state["rate.codes"].reshape(3, 3)))
            session.step_codes(q_x)
    assert [due for due, _ in seen] == [[4], [3], [2], [1], [3], [2], [1], [3]]
    np.testing.assert_array_equal(seen[0][1], [start] * 3)
    np.testing.assert_array_equal(seen[1][1], [start, start, codes[0]])
    np.testing.assert_array_equal(seen[2][1], [codes[1], start, codes[0]])
    np.testing.assert_array_equal(seen[4][1], codes[1:4])


def test_a_state_of_something_else_is_refused():
    with edgernn.load(strided_network(Precision.W8A16, RATES[3]), "reference") as session:
        state = session.state
        assert [*state] == [
            "rate.codes", "rate.due", "blocks.h", "held.h", "cell.h", "cell.c",
        ]  # fmt: skip
        for change in (
            {"rate.due": [0]},
            {"rate.due": [5]},
            {"rate.codes": state["rate.codes"] + 1},
            {"rate.codes": state["rate.codes"][:-1]},
        ):
            with pytest.raises(StateError, match=r"^state rate"):
                session.state = state | change


def test_gaps_are_filled_before_readings_are_collected():
    model = strided_network(Precision.W8A8, RATES[1])
    xs = np.random.default_rng(5).normal(0, 0.5, (12, 3))
    nan = np.full((1, 3), np.nan)
    with edgernn.load(model, "reference", "hold") as session:
        wanted = session.run(np.concatenate([xs[:4], xs[3:]]))
        session.reset()
        got = session.run(np.concatenate([xs[:4], nan, xs[4:]]))
        np.testing.assert_array_equal(got, wanted)
    with edgernn.load(model, "reference", "skip") as session:
        wanted = session.run(xs)
        session.reset()
        got = session.run(np.concatenate([xs[:4], nan, xs[4:]]))
        np.testing.assert_array_equal(got, np.insert(wanted, 4, wanted[3], axis=0))


class FailingStream(ValueStream):
    """Fails once in its third advance."""

    calls = 0

    def advance(self, q_xs, /):
        FailingStream.calls += 1
        if FailingStream.calls == 3:
            raise KeyboardInterrupt
        return super().advance(q_xs)


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_step_that_fails_leaves_the_stream_as_it_was(rate, monkeypatch):
    monkeypatch.setattr(FailingStream, "calls", 0)
    model = strided_network(Precision.W8A8, rate)
    codes = random_codes(model, 40)
    backend = ReferenceBackend(model)
    stream = RateStream(backend.interface, rate, FailingStream(backend))
    whole = RateStream(backend.interface, rate, ValueStream(backend)).advance(codes)
    got = []
    for part in np.split(codes, [10, 20, 30]):
        try:
            got.append(stream.advance(part))
        except KeyboardInterrupt:
            got.append(stream.advance(part))
    assert FailingStream.calls == 5
    assert rows_of(np.ma.concatenate(got)) == rows_of(whole)


def test_a_session_says_how_often_it_answers():
    with edgernn.load(strided_network(Precision.W8A8, RATES[2]), "reference") as session:
        said = "one answer every 2 readings, the first after 7, 1 reading late, bad readings raise"
        assert said in repr(session)
        with pytest.raises(EdgeRnnError, match="expected 'nothing' for an endless model"):
            edgernn.load(strided_network(Precision.W8A8, RATES[2]), warm_up="pad")
    model = dataclasses.replace(
        strided_tokens(Precision.W8A8, Rate(readings=1, first=3, latency=2)), window=Window(steps=5)
    )
    with edgernn.load(model, "reference") as session:
        late = "one answer per reading, the first after 3, 2 readings late"
        assert f"windows of 5 readings (inside, {late}; the last counts)" in repr(session)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"readings": 0}, r"rate\.readings: expected 1\.\.32767 readings, got 0"),
        ({"first": 32_768}, r"rate\.first: expected 1\.\.32767"),
        ({"latency": -1}, r"rate\.latency: expected 0\.\.32767"),
        ({"readings": 1, "first": 1}, r"rate: expected None for a model with one output"),
    ],
)
def test_rates_are_checked(change, refused):
    with pytest.raises(ModelError, match=refused):
        Rate(**{"readings": 2, "first": 2} | change)


def test_a_model_says_what_its_rate_cannot_be():
    model = strided_network(Precision.W8A16, RATES[2])
    with pytest.raises(ModelError, match=r"within a window of 6 readings, got it after 7"):
        dataclasses.replace(model, window=Window(steps=6))
    with pytest.raises(ModelError, match=r"model.rate.start: expected 3 input codes"):
        dataclasses.replace(model, rate=Rate(readings=2, first=2, start=(4, 4, 3)))
    with pytest.raises(ModelError, match=r"model.rate: expected at most 65536 codes of a step"):
        dataclasses.replace(random_model("lstm"), rate=Rate(readings=32_767, first=1))


def test_what_a_rate_says_of_streams():
    for rate in (*RATES, Rate(readings=5, first=12), Rate(readings=5, first=4)):
        ends = [n for n in range(1, 40) if (n - rate.first) % rate.readings == 0]
        assert rate.unanswered == sum(n < rate.first for n in ends)
        assert rate.rows_before == rate.readings - ends[0]
        codes = np.arange(2 * 39).reshape(39, 2)
        read = rate.blocks(codes, np.array([7, 9]))
        rows = np.concatenate([[[7, 9]] * rate.readings, codes])
        np.testing.assert_array_equal(read, [rows[n : n + rate.readings].ravel() for n in ends])
        assert rate.blocks(codes[None, :0], codes[0]).shape == (1, 0, 2 * rate.readings)
        assert [rate.steps(n) for n in range(40)] == [sum(e <= n for e in ends) for n in range(40)]
