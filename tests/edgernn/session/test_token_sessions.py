"""Sessions over models that read tokens: forms of readings, what is refused, policies, windows."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import edgernn
from edgernn.errors import EdgeRnnError, ReadingError, StateError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_codes
from tests.support.models.tokens import token_and_real_network, token_chain

CHAIN = token_chain()
NETWORK = token_and_real_network()


def opened(model=CHAIN, policy="raise", **options):
    return edgernn.load(model, "reference", policy, **options)


def answers(model, tokens):
    q_ys, _ = Reference(model).run(np.array(tokens, np.int16)[:, None])
    return q_ys * model.output.scale


@pytest.mark.parametrize("reading", [7, [7], {"x0": 7}, np.int16(7), 7.0, (7,), np.array([7])])
def test_one_token_in_every_form(reading):
    with opened() as session:
        assert np.array_equal(session.step(reading), answers(CHAIN, [7])[0])
        assert session.clipped_readings == (0,)


@pytest.mark.parametrize("readings", [[3, 7, 1], [[3], [7], [1]], np.array([3, 7, 1])])
def test_a_run_of_tokens(readings):
    with opened() as session:
        assert np.array_equal(session.run(readings), answers(CHAIN, [3, 7, 1]))


@pytest.mark.parametrize("policy", ["raise", "hold", "skip", 4])
@pytest.mark.parametrize("token", [-1, 50, 2.5, 1e9, -0.25])
def test_what_is_no_token_is_refused_whatever_the_policy(policy, token):
    with opened(policy=policy) as session:
        session.run([1, 2])
        before = session.state
        wanted = (
            r"'x0': expected a token, an integer from 0 to 49 "
            r"\(the vocabulary has 50 tokens\), got "
        )
        for call in (lambda: session.step(token), lambda: session.run([3, token, 5])):
            with pytest.raises(ReadingError, match=wanted):
                call()
        assert np.array_equal(session.state["gru_after.h"], before["gru_after.h"])
        assert session.clipped_readings == (0,)
        assert np.array_equal(session.run([3, 4]), answers(CHAIN, [1, 2, 3, 4])[2:])


def test_a_missing_token_follows_its_policy():
    nothing = math.nan
    with opened(policy="hold") as session:
        assert np.array_equal(session.run([9, nothing, 4]), answers(CHAIN, [9, 9, 4]))
        assert np.array_equal(session.step(None), answers(CHAIN, [9, 9, 4, 4])[3])
        assert session.bad_readings == 2
    with opened(policy="skip") as session:
        first, repeated, last = session.run([9, nothing, 4])
        assert np.array_equal(repeated, first)
        assert np.array_equal(last, answers(CHAIN, [9, 4])[1])
    with opened(policy={"x0": 13}) as session:
        assert np.array_equal(session.run([9, nothing]), answers(CHAIN, [9, 13]))
    with opened() as session, pytest.raises(ReadingError, match="x0"):
        session.step(nothing)


@pytest.mark.parametrize("number", [50, -1, 0.5])
def test_a_policy_is_a_token_too(number):
    with pytest.raises(EdgeRnnError, match="'x0': expected a token"):
        opened(policy={"x0": number})


@pytest.mark.parametrize("precision", Precision)
def test_codes_of_tokens(precision):
    model = token_and_real_network(precision)
    q_xs = random_codes(model, 30)
    with opened(model) as session:
        q_ys = session.run_codes(q_xs)
        assert np.array_equal(q_ys, Reference(model).run(q_xs)[0])
        wrong = q_xs[0].astype(np.int64)
        wrong[4] = 7
        with pytest.raises(ReadingError, match=r"codes in \[0, 6\] of 'x4', got 7"):
            session.step_codes(wrong)
        x, y = q_xs[0].copy(), np.empty(2, np.int16)
        assert x.dtype == np.int16
        step = session.bind(x, y)
        step()
        assert np.array_equal(y, Reference(model).run(np.vstack([q_xs, q_xs[:1]]))[0][-1])


def test_reals_beside_tokens_are_clipped_and_tokens_are_not():
    with (
        opened(NETWORK) as session,
        pytest.warns(edgernn.errors.ClippedReadingsWarning, match="x1"),
    ):
        session.step([0.0, 1e6, 299, 0.0, 6, 4])
        assert session.clipped_readings == (0, 1, 0, 0, 0, 0)


def test_windows_of_tokens():
    model = token_chain(window=Window(steps=4, hop=2))
    tokens = [5, 9, 1, 49, 0, 7, 8]
    with opened(model) as session:
        ys = session.run(tokens)
        assert np.isnan(ys[:3]).all()
        network = token_chain()
        assert np.array_equal(ys[3], answers(network, tokens[:4])[-1])
        assert np.array_equal(ys[5], answers(network, tokens[2:6])[-1])
        state = session.state
        state["window.codes"] = np.array([1, 2, 50, 3])
        with pytest.raises(StateError, match="1 other codes"):
            session.state = state
    with opened(model, warm_up="pad") as session:
        assert np.array_equal(session.step(6), answers(token_chain(), [6] * 4)[-1])


def test_sessions_continue_from_copies_and_pickles():
    with opened() as session:
        session.run([1, 2, 3])
        again = pickle.loads(pickle.dumps(session))
        twin = session.copy()
        wanted = answers(CHAIN, [1, 2, 3, 4])[3]
        for one in (session, again, twin):
            assert np.array_equal(one.step(4), wanted)
