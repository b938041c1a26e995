"""Missing values, channel by channel: what each policy makes of them, worked by hand."""

import dataclasses
import re

import numpy as np
import pytest

import edgernn
from edgernn import EdgeRnnError, ReadingError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from tests.support.models.integer import random_model
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device

MODEL = random_model("lstm", Precision.W8A8)
WINDOW = dataclasses.replace(MODEL, window=Window(steps=2))
A, B = [1.0, 0.5, -2.0], [0.25, -1.0, 0.75]
NAN = float("nan")
NOTHING = [NAN, NAN]


@pytest.fixture(params=["reference", "native"])
def load(request):
    if request.param == "native":
        require_native()
    return lambda policy="raise", model=MODEL: edgernn.load(model, request.param, policy)


def check(load, policy, given, meant, model=MODEL):
    """``given`` answers as ``meant`` does; None is a reading at which the stream stands still."""
    clean, rows = load(model=model), [NOTHING]
    for row in meant:
        rows.append(rows[-1] if row is None else clean.step(row).tolist())
    stepped, ran = load(policy, model), load(policy, model)
    np.testing.assert_array_equal([stepped.step(x) for x in given], rows[1:])
    np.testing.assert_array_equal(ran.run(given), rows[1:])
    for session in (stepped, ran):
        assert {k: v.tolist() for k, v in session.state.items()} == {
            k: v.tolist() for k, v in clean.state.items()
        }
    return stepped


@pytest.mark.parametrize("model", [MODEL, WINDOW], ids=["endless", "window"])
def test_hold_holds_the_channel_and_not_the_reading(load, model):
    check(load, "hold", [A, [NAN, 0.0, 1.0], B], [A, [1.0, 0.0, 1.0], B], model)


def test_held_channels_wait_for_a_first_value_each(load):
    given = [[1.0, NAN, NAN], [NAN, 0.5, NAN], [NAN, NAN, -2.0], [NAN] * 3, [0.5, NAN, NAN]]
    check(load, "hold", given, [None, None, A, A, [0.5, 0.5, -2.0]])


def test_a_number_takes_the_place_of_a_value_from_the_first_reading_on(load):
    check(load, 0.5, [[NAN, 1.0, NAN], A, [NAN] * 3], [[0.5, 1.0, 0.5], A, [0.5] * 3])


def test_each_channel_has_a_policy_of_its_own(load):
    policy = {"x0": "hold", "x1": 0.5, "x2": "skip"}
    given = [[NAN, 0.0, 1.0], A, [NAN, NAN, 1.0], [0.0, 0.0, NAN], [NAN, 0.25, 0.0]]
    # What a reading that was left out had in x0 is not held.
    session = check(load, policy, given, [None, A, [1.0, 0.5, 1.0], None, [1.0, 0.25, 0.0]])
    assert session.bad_readings == 4


def test_a_channel_without_a_policy_raises(load):
    session = load({"x0": "hold"})
    session.step(A)
    session.step([NAN, 0.0, 0.0])
    with pytest.raises(ReadingError, match=r"expected finite values, got nan \(channel 1\)"):
        session.step([NAN, NAN, 0.0])
    with pytest.raises(ReadingError, match=r"got inf \(reading 1, channel 2\)"):
        session.run([A, [NAN, 0.0, np.inf]])
    assert session.bad_readings == 3


def test_what_was_last_advanced_by_is_held_whoever_gave_it(load):
    session, clean = load("hold"), load()
    session.step([NAN, 0.5, NAN])
    codes = session.interface.quantize(np.array(A))
    session.step_codes(codes)
    clean.step(A)
    assert session.step([NAN, NAN, 1.0]).tolist() == clean.step([1.0, 0.5, 1.0]).tolist()


def test_setting_a_state_and_a_reset_forget_first_values(load):
    for forget in (lambda s: setattr(s, "state", s.state), lambda s: s.reset()):
        session = load("hold")
        session.step([1.0, 0.5, NAN])
        forget(session)
        assert np.isnan(session.step([NAN, NAN, 0.5])).all()
        assert session.copy().step([1.0, 0.5, NAN]).tolist() == load().step([1, 0.5, 0.5]).tolist()


def test_a_copy_has_the_first_values_too(load):
    session = load("hold")
    session.step([1.0, 0.5, NAN])
    copy = session.copy()
    assert copy.step([NAN, NAN, -2.0]).tolist() == load().step(A).tolist()
    assert np.isnan(session.step([NAN, NAN, NAN])).all()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("ignore", "expected one of raise, hold, skip, or a finite number, got 'ignore'. Pass one"),
        (NAN, "expected one of raise, hold, skip, or a finite number, got nan."),
        (True, "expected one of raise, hold, skip, or a finite number, got True."),
        (None, "expected one of raise, hold, skip, or a finite number, got None."),
        (["hold"] * 3, "expected one of raise, hold, skip, or a finite number, got ['hold', 'hold"),
        ({"x1": "Hold"}, "expected one of raise, hold, skip, or a finite number, got 'Hold'."),
        ({"x1": "hold", "y": "skip"}, "expected channels among x0, x1, x2, got y."),
        (
            {"x1": 1013.0},
            "expected values within the calibrated range, [-4, 3.96875] for 'x1', got",
        ),
    ],
)
def test_policies_are_checked(load, policy, message):
    with pytest.raises(EdgeRnnError, match=re.escape(f"on_bad_reading: {message}")):
        load(policy)


def test_repr_shows_the_policies(load):
    assert "bad readings x0: hold, x1: 0.5>" in repr(load({"x0": "hold", "x1": 0.5}))
    assert repr(load(0.5)).endswith("bad readings 0.5>")
