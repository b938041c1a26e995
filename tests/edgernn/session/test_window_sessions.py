"""Window models: every answer is the twin's run from the zero state, on any way of asking."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import is_available
from edgernn.errors import EdgeRnnError, ModelError, StateError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from tests.exactness.twin.cells import Twin
from tests.support.models.integer import CELLS, random_codes, random_model

pytestmark = pytest.mark.device

BACKENDS = ["reference", *["native"] * is_available()]
WINDOWS = [Window(steps=1), Window(steps=5), Window(steps=7, hop=3), Window(steps=2, hop=6)]


def model_of(window, cell="gru_after", precision=Precision.W8A8, **options):
    return dataclasses.replace(random_model(cell, precision, **options), window=window)


def by_twin(model, codes, padded=False):
    """NUMERICS.md 6.5, answer by answer: rows of outputs, None before the first."""
    twin, (steps, hop) = Twin(model), (model.window.steps, model.window.hop)
    stream = [codes[0]] * (steps - 1) * padded + list(codes)
    rows, last = [], None
    for n in range(1, len(stream) + 1):
        if n >= steps and (n - steps) % hop == 0:
            q_ys, _ = twin.run([[int(q) for q in q_x] for q_x in stream[n - steps : n]])
            last = q_ys[-1]
        rows.append(last)
    return rows[(steps - 1) * padded :]


def rows_of(q_ys):
    return [None if row.count(None) else row for row in np.ma.asarray(q_ys).tolist()]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_are_the_twins(backend, window, padded):
    for cell, precision in itertools.product(CELLS, Precision):
        model = model_of(window, cell, precision, stack=2)
        codes = random_codes(model, 23)
        warm_up = "pad" if padded else "nothing"
        with edgernn.load(model, backend, warm_up=warm_up) as session:
            assert rows_of(session.run_codes(codes)) == by_twin(model, codes, padded)


@pytest.mark.parametrize("warm_up", ["nothing", "pad"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_chunks_give_the_same_answers(backend, window, warm_up):
    model = model_of(window, "lstm", Precision.W8A16)
    rng = np.random.default_rng(3)
    xs = rng.normal(size=(60, model.input.width)) * model.input.scale * 5000 + model.input.offset
    with edgernn.load(model, backend, warm_up=warm_up) as session:
        whole = session.run(xs)
        missing = 0 if warm_up == "pad" else window.steps - 1
        assert np.isnan(whole).any(axis=1).tolist() == [t < missing for t in range(60)]
        for sizes in ([1] * 60, [0, 2, 0, 58], [30, 1, 29], [59, 1]):
            session.reset()
            parts = np.split(xs, np.cumsum(sizes)[:-1])
            got = np.concatenate([session.run(part) for part in parts])
            np.testing.assert_array_equal(got, whole)
        session.reset()
        np.testing.assert_array_equal([session.step(x) for x in xs], whole)


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_are_independent_and_copies_go_on_alone(backend):
    model = model_of(Window(steps=4, hop=2))
    codes = random_codes(model, 40)
    with edgernn.load(model, backend) as one:
        wanted = rows_of(one.run_codes(codes))
        one.reset()
        other = one.new_stream()
        got = []
        for t in range(20):
            got.append(rows_of(one.step_codes(codes[t])[None])[0])
            other.step_codes(codes[-1 - t])
        twin = one.copy()
        twin.step_codes(codes[0])
        assert got + rows_of(one.run_codes(codes[20:])) == wanted


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_goes_on_with_the_next_answer(backend):
    model = model_of(Window(steps=5, hop=3))
    codes = random_codes(model, 30)
    with edgernn.load(model, backend) as one, edgernn.load(model, "reference") as two:
        wanted = rows_of(one.run_codes(codes))
        for at in range(1, 20):
            one.reset()
            one.run_codes(codes[:at])
            two.state = one.state
            got = rows_of(two.run_codes(codes[at:]))
            fresh = next(i for i, row in enumerate(got) if row is not None)
            assert got[fresh:] == wanted[at + fresh :]
            assert fresh < 5


def test_a_state_of_something_else_is_refused():
    model = model_of(Window(steps=5, hop=3))
    with edgernn.load(model, "reference") as session:
        state = session.state
        assert {name: len(v) for name, v in state.items()} == {
            "window.codes": 5 * model.input.width,
            "window.due": 1,
        }
        for change in (
            {"window.due": [-1]},
            {"window.due": [6]},
            {"window.codes": state["window.codes"] + 128},
            {"window.codes": state["window.codes"][:-1]},
        ):
            with pytest.raises(StateError, match=r"^state window"):
                session.state = state | change


def test_held_readings_fill_the_window():
    model = model_of(Window(steps=3), inputs=1)
    scale, offset = float(model.input.scale[0]), float(model.input.offset[0])
    xs = [offset + scale * code for code in (5, 90, -70, 30)]
    nan = float("nan")
    with edgernn.load(model, "reference", "hold") as session:
        wanted = session.run([xs[0], xs[1], xs[1], xs[2], xs[2], xs[3]])
        session.reset()
        np.testing.assert_array_equal(session.run([xs[0], xs[1], nan, xs[2], nan, xs[3]]), wanted)
    with edgernn.load(model, "reference", "skip") as session:
        wanted = session.run(xs)
        session.reset()
        got = session.run([xs[0], nan, xs[1], xs[2], nan, xs[3]])
        np.testing.assert_array_equal(got, wanted[[0, 0, 1, 2, 2, 3]])


def test_warm_up_is_checked():
    endless = random_model("lstm")
    with pytest.raises(EdgeRnnError, match="warm_up: expected 'nothing' or 'pad', got 'zeros'"):
        edgernn.load(endless, warm_up="zeros")
    with pytest.raises(EdgeRnnError, match="'nothing' for an endless model, got 'pad'"):
        edgernn.load(endless, warm_up="pad")


@pytest.mark.parametrize("value", [0, -1, 32_768, 1.0, True, None])
@pytest.mark.parametrize("name", ["steps", "hop"])
def test_windows_are_checked(name, value):
    with pytest.raises(ModelError, match=rf"window\.{name}: expected 1..32767 readings"):
        Window(**{"steps": 3, name: value})


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_number_of_answers(window):
    for count in range(40):
        ends = [n for n in range(window.steps, count + 1) if (n - window.steps) % window.hop == 0]
        assert window.answers(count) == len(ends)


def test_windows_say_what_they_are():
    assert str(Window(steps=60)) == "windows of 60 readings"
    assert str(Window(steps=1)) == "windows of 1 reading"
    assert str(Window(steps=60, hop=5)) == "windows of 60 readings, one answer every 5"
    with edgernn.load(model_of(Window(steps=60, hop=5), inputs=2), "reference") as session:
        assert "138 state bytes, windows of 60 readings" in repr(session)
