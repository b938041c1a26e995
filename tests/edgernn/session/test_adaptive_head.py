"""Sessions with a head that learns: the twin's bits, whole states, and what is refused."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest

import edgernn
from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import MAX_WEIGHT
from edgernn.errors import ClippedReadingsWarning, DeclarationError, ShapeError, StateError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate
from tests.exactness.twin.adaptive_head import TwinHead
from tests.support.models.integer import random_model
from tests.support.models.rates import strided_chain
from tests.support.models.writers_of_text import translator
from tests.support.native.programs import require_native

MODEL = random_model("gru_after", Precision.W8A8)
OF = Adaptation(rate=0.25, delay=2)


def readings(count, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (count, 3)).clip(-2, 2)


def adaptive(backend="reference", model=MODEL, **settings):
    return edgernn.AdaptiveHead(edgernn.load(model, backend), **settings)


@pytest.fixture
def head():
    made = adaptive(rate=0.25, delay=2)
    yield made
    made.session.close()


def targets(ys, t):
    """True values of the outputs at step t: another gain and an offset."""
    return 1.3 * ys[t] + 0.9


def run(head, xs, delay=2):
    """Outputs of the head, learning from true values ``delay`` steps late."""
    plain = head.session.new_stream()
    with plain:
        ys = plain.run(xs)
    outputs = []
    for t, x in enumerate(xs):
        outputs.append(head.step(x))
        if t >= delay:
            head.learn(targets(ys, t - delay))
    return np.array(outputs), ys


def test_outputs_are_those_of_the_twin(head):
    xs = readings(60)
    got, ys = run(head, xs)
    scale = MODEL.output.scale
    twin = TwinHead(OF.rate_code, 0, OF.limit_code, OF.error_code, 2, 8, 2)
    with edgernn.load(MODEL, "reference") as plain:
        for t, x in enumerate(xs):
            q_y = np.rint(plain.step(x) / scale).astype(int).tolist()
            wanted = twin.step(plain.state["gru_after_0.h"].tolist(), q_y)
            assert got[t].tolist() == (np.array(wanted) * scale).tolist()
            if t >= 2:
                target = np.rint(targets(ys, t - 2) / scale).astype(int).tolist()
                twin.learn(target)
    assert (head._head.weights == np.array(twin.W)).all()
    np.testing.assert_array_equal(head.weights, np.array(twin.W) * 2.0**-15 * scale[:, None])


@pytest.mark.parametrize("precision", Precision)
def test_the_native_back_end_gives_the_same_bits(precision):
    require_native()
    model = random_model("lstm", precision, stack=2)
    both = [adaptive(name, model, rate=0.5, delay=2) for name in ("reference", "native")]
    found = [run(head, readings(50)) for head in both]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert both[0].to_bytes() == both[1].to_bytes()
    for head in both:
        head.session.close()


def test_without_true_values_outputs_are_those_of_the_session(head):
    xs = readings(20)
    with edgernn.load(MODEL, "reference") as plain:
        np.testing.assert_array_equal([head.step(x) for x in xs], plain.run(xs))
    assert np.isnan(head.learn([np.nan, np.nan])).all()
    assert (head.learned, head.limited) == (0, 0)


def test_errors_become_small_and_come_back_after_forgetting(head):
    xs = readings(400)
    got, ys = run(head, xs)
    errors = np.abs(got - targets(ys, slice(None))).mean(axis=1)
    assert errors[-50:].mean() < 0.15 * errors[:3].mean()
    assert head.learned == 2 * 398
    sequence = head.session.sequence
    head.forget()
    assert head.session.sequence == sequence
    assert np.isnan(head.learn([0.0, 0.0])).all()
    assert not head.weights.any()
    again, _ = run(head, xs[:1])
    assert again[0].tolist() != got[0].tolist(), "the stream went on"
    head.reset()
    np.testing.assert_array_equal(run(head, xs)[0], got)


def test_true_values_belong_to_the_step_that_the_delay_says():
    late, now = (adaptive(rate=1.0, delay=d) for d in (3, 0))
    xs = readings(5)
    for x in xs:
        late.step(x)
    now.step(xs[0]), now.step(xs[1])
    np.testing.assert_array_equal(late.learn([1.0, 2.0]), now.learn([1.0, 2.0]))
    np.testing.assert_array_equal(late.weights, now.weights)
    for head in (late, now):
        head.session.close()


def test_an_output_without_a_true_value_learns_nothing(head):
    for x in readings(4):
        head.step(x)
    error = head.learn([np.nan, 3.0])
    assert np.isnan(error[0])
    assert error[1] != 0
    assert not head.weights[0].any()
    assert head.weights[1].any()
    assert head.learned == 1


def test_a_saved_head_goes_on_elsewhere(head):
    xs = readings(60)
    run(head, xs[:40])
    blob = head.to_bytes()
    rest = [head.step(x) for x in xs[40:]]
    other = adaptive(rate=0.25, delay=2)
    other.from_bytes(blob)
    assert (other.learned, other.session.sequence) == (76, 40)
    np.testing.assert_array_equal([other.step(x) for x in xs[40:]], rest)
    other.from_bytes(blob)
    assert other.to_bytes() == blob
    other.session.close()


def test_states_of_others_and_damaged_ones_change_nothing(head):
    run(head, readings(10))
    blob = head.to_bytes()
    other = adaptive(delay=1)
    with pytest.raises(StateError, match="a delay of 1, got 8, 2 and 2"):
        other.from_bytes(blob)
    for data, match in (
        (b"", "bytes of AdaptiveHead.to_bytes"),
        (head.session.to_bytes(), "bytes of AdaptiveHead.to_bytes"),
        (blob[:-1], "damaged"),
        (blob[:40] + bytes([blob[40] ^ 1]) + blob[41:], "damaged"),
    ):
        with pytest.raises(StateError, match=match):
            head.from_bytes(data)
    stranger = adaptive(model=random_model("gru_after", seed=1), rate=0.25, delay=2)
    with pytest.raises(StateError):
        stranger.from_bytes(blob)
    assert (stranger.learned, stranger.session.sequence) == (0, 0)
    assert head.to_bytes() == blob
    for one in (other, stranger):
        one.session.close()


def test_weights_that_no_head_learns_are_refused(head):
    """The bytes are whole, but a weight breaks the bound under which sums fit."""
    run(head, readings(10))
    blob, weights = head.to_bytes(), head._head.weights
    at = blob.index(weights.astype("<i4").tobytes())
    broken = blob[:at] + np.int32(MAX_WEIGHT + 1).tobytes() + blob[at + 4 : -4]
    broken += zlib.crc32(broken).to_bytes(4, "little")
    with pytest.raises(
        StateError, match=r"weights within clause 14\.1, got larger.* Reset the head"
    ):
        head.from_bytes(broken)
    assert head.to_bytes() == blob
    head.reset()
    assert head.learned == 0


def test_bytes_of_a_head_that_reads_another_state_of_the_same_width_are_refused():
    model = random_model("gru_after", stack=2)
    first, last = (adaptive(model=model, state=f"gru_after_{n}.h") for n in (0, 1))
    first.step(readings(1)[0])
    first.learn([1.0, 1.0])
    with pytest.raises(StateError, match=r"reads gru_after_1\.h, got those of .* another state"):
        last.from_bytes(first.to_bytes())
    assert (last.learned, last.session.sequence) == (0, 0)
    for head in (first, last):
        head.session.close()


def test_only_sessions_of_models_have_a_head():
    with (
        edgernn.load_programs(translator(), "reference") as session,
        pytest.raises(DeclarationError, match="expected a Session of a model, got ProgramSession"),
    ):
        edgernn.AdaptiveHead(session)


def test_repeated_readings_change_nothing(head):
    xs = readings(6)
    for n, x in enumerate(xs, 1):
        head.step(x, n)
    head.learn([5.0, 5.0])
    blob = head.to_bytes()
    y = head.step(xs[0], 3)
    assert head.to_bytes() == blob
    np.testing.assert_array_equal(y, head._head.again() * MODEL.output.scale)


def test_a_reading_that_is_refused_changes_nothing(head):
    head.step(readings(1)[0])
    blob = head.to_bytes()
    with pytest.raises(edgernn.ReadingError):
        head.step([np.nan, 0.0, 0.0])
    assert head.session.bad_readings == 1
    assert len(head.to_bytes()) == len(blob)
    assert len(head._head.steps) == 1


def test_models_that_do_not_answer_every_reading():
    model = strided_chain(Precision.W8A8, Rate(readings=3, first=5))
    head = adaptive(model=model, rate=0.5, delay=9)
    width = model.input.width
    kept, states = [], []
    for t in range(15):
        before = len(head._head.steps)
        y = head.step(np.full(width, 0.1 * t))
        assert np.isfinite(y).all() == (t >= 4)
        kept.append(len(head._head.steps) - before)
        states.append(head.session.state[head.adaptation.state])
    assert kept == [int(t in (4, 7, 10, 13)) for t in range(15)]
    assert np.isnan(head.learn(np.ones(model.output.width))).all()
    assert len({tuple(state) for state in states[4:]}) == 4
    head.session.close()


def test_readings_that_are_left_out_are_steps_only_where_every_reading_is_answered():
    rated = strided_chain(Precision.W8A8, Rate(readings=3, first=3))
    for model, kept in ((MODEL, 5), (rated, 1)):
        session = edgernn.load(model, "reference", "skip")
        head = edgernn.AdaptiveHead(session, delay=9)
        for x in (0.1, 0.2, np.nan, np.nan, 0.3):
            head.step(np.full(model.input.width, x))
        assert len(head._head.steps) == kept
        session.close()


def test_values_in_another_unit_are_clipped_and_told_once(head):
    for x in readings(3):
        head.step(x)
    with pytest.warns(ClippedReadingsWarning, match="output 'y1'.*Check the unit"):
        head.learn([0.0, 1e9])
    head.learn([0.0, -1e9])
    assert head.clipped_targets == 2


@pytest.mark.parametrize(
    ("target", "got"), [([1.0, 2.0, 3.0], r"\[3\]"), (["a", 1.0], "'a'"), ([1j, 1.0], "1j")]
)
def test_what_is_no_target(head, target, got):
    with pytest.raises(ShapeError, match=rf"true values \[2\].*got .*{got}.*Pass NaN"):
        head.learn(target)


def test_an_infinite_value_is_missing_and_a_huge_one_is_clipped(head):
    for x in readings(3):
        head.step(x)
    with pytest.warns(ClippedReadingsWarning) as told:
        error = head.learn([np.inf, 1e308])
    assert len(told) == 1
    assert np.isnan(error[0])
    assert error[1] > 0
    assert (head.learned, head.clipped_targets) == (1, 1)


def test_settings_come_from_the_model_and_can_be_replaced():
    recorded = Adaptation(rate=0.5, delay=4).bound(MODEL)
    head = adaptive(model=dataclasses.replace(MODEL, adaptation=recorded), rate=0.125)
    assert head.adaptation == dataclasses.replace(recorded, rate=0.125)
    assert "reads gru_after_0.h, rate 0.125, delay 4" in repr(head)
    with pytest.raises(DeclarationError, match="rate: expected"):
        edgernn.AdaptiveHead(head.session, rate=7.0)
    head.session.close()
