"""Readings outside the calibrated range: counted, warned of once, and refused where asked."""

import itertools
import re
import warnings

import numpy as np
import pytest

import edgernn
from edgernn import ClippedReadingsWarning, EdgeRnnWarning, Session
from edgernn.backends.native import NativeBackend, is_available
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.native.programs import all_isas, require_native

pytestmark = pytest.mark.device

MODEL = random_model("lstm", Precision.W8A8)
MODEL16 = random_model("gru_after", Precision.W8A16)
INSIDE, OUTSIDE = [1.0, 0.5, -2.0], [1.0, 50.0, -60.0]


@pytest.fixture(params=["reference", "native"])
def backend(request):
    if request.param == "native":
        require_native()
    return request.param


def states_of(session):
    return {name: q.tolist() for name, q in session.state.items()}


def python_code(value, offset, scale):
    """Clause 9.1 in Python's own numbers, before the clamp."""
    return round((value - offset) / scale)


def edge_readings(model):
    """Readings around the ends of the range: halves, their neighbours, and the huge [N, I]."""
    spec, p = model.input, model.precision
    rows = []
    for code, half, way in itertools.product(
        (p.input_low // p.input_step, p.input_high // p.input_step, -1),
        (-1.5, -0.5, 0.0, 0.5, 1.5),
        (-np.inf, 0, np.inf),
    ):
        x = spec.offset + (code + half) * (p.input_step * spec.scale)
        rows.append(np.nextafter(x, way) if way else x)
    top = np.finfo(np.float64).max
    return np.array([*rows, [top] * spec.width, [-top] * spec.width, [5e-324] * spec.width])


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("isa", [None, *all_isas()])
@pytest.mark.parametrize("precision", Precision)
def test_what_is_clipped_is_what_rounds_to_a_code_outside_the_range(precision, isa):
    model = random_model("gru_after", precision, inputs=11, units=5)
    spec, p = model.input, model.precision
    if isa is None:
        session = edgernn.load(model, "reference")
    else:
        require_native()
        session = Session(NativeBackend(model, isa))
    xs = edge_readings(model)
    counts = [0] * spec.width
    for x in xs:
        for i, value in enumerate(x.tolist()):
            scale = p.input_step * float(spec.scale[i])
            quotient = (value - float(spec.offset[i])) / scale
            code = round(quotient) if abs(quotient) < 1e6 else quotient
            counts[i] += not p.input_low <= p.input_step * code <= p.input_high
        session.step(x)
        assert session.clipped_readings == tuple(counts), x.tolist()
    session.reset()
    session.run(xs)
    assert session.clipped_readings == tuple(counts)
    assert 0 < min(counts) <= max(counts) < len(xs)


def test_the_warning_says_what_where_and_the_cure(backend):
    low, high = (bound.tolist() for bound in MODEL.interface().coder().range)
    session = edgernn.load(MODEL, backend)
    with pytest.warns(ClippedReadingsWarning) as caught:
        session.step(OUTSIDE)
    assert isinstance(caught[0].message, EdgeRnnWarning)
    assert str(caught[0].message) == (
        f"session: expected 'x1' within the calibrated range [{low[1]:g}, {high[1]:g}], got 50. "
        "The value was clipped; session.clipped_readings counts such readings. "
        "Quantize again with an input_range, or with calibration data, that covers the "
        "sensor's whole range."
    )
    assert caught[0].filename == __file__
    assert session.clipped_readings == (0, 1, 1)


WAYS = {
    "step": lambda s, x: s.step(x),
    "step of a list": lambda s, x: s.step([float(v) for v in x]),
    "step by name": lambda s, x: s.step(dict(zip(("x0", "x1", "x2"), x, strict=True))),
    "step with a gap": lambda s, x: s.step([np.nan, *x[1:]]),
    "run": lambda s, x: s.run([INSIDE, INSIDE, x, INSIDE]),
    "long run": lambda s, x: s.run(np.array([INSIDE] * 50 + [x] + [INSIDE] * 50)),
    "run with a gap": lambda s, x: s.run([INSIDE, x, [np.nan] * 3]),
    "bound": lambda s, x: s.bind(np.array(x, float), np.empty(2))(),
}


@pytest.mark.parametrize("way", WAYS)
def test_there_is_one_warning_a_session(backend, way):
    session = edgernn.load(MODEL, backend, "hold")
    session.step(INSIDE)
    with pytest.warns(ClippedReadingsWarning) as caught:
        WAYS[way](session, OUTSIDE)
    assert [w.filename for w in caught] == [__file__]
    for again in WAYS.values():
        again(session, OUTSIDE)
        again(session.copy(), OUTSIDE)
    session.reset()
    session.step(OUTSIDE)
    assert session.clipped_readings == (0, 1, 1)
    with pytest.warns(ClippedReadingsWarning):
        session.new_stream().step(OUTSIDE)


@pytest.mark.parametrize("way", WAYS)
def test_a_filter_makes_an_error_of_it_and_the_stream_stays_as_it_was(backend, way):
    session, twin = (edgernn.load(MODEL, backend, "hold") for _ in range(2))
    for s in (session, twin):
        s.run([INSIDE, [0.5, 0.0, 1.0]])
    for _ in range(3):
        with pytest.raises(ClippedReadingsWarning):
            WAYS[way](session, OUTSIDE)
        assert states_of(session) == states_of(twin)
        assert session.clipped_readings == (0, 0, 0)
    gap = [np.nan] * 3
    assert session.step(gap).tolist() == twin.step(gap).tolist()


def test_a_filter_silences_it_and_the_count_goes_on(backend):
    session = edgernn.load(MODEL16, backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        session.run([[1e5, 0, 0]] * 3)
    session.run([[0, 0, -1e5]])
    assert session.clipped_readings == (3, 0, 1)


def test_codes_are_never_clipped_and_copies_count_on(backend):
    session = edgernn.load(MODEL, backend)
    with pytest.warns(ClippedReadingsWarning):
        session.step(OUTSIDE)
    session.step_codes([127, 127, -128])
    session.run_codes([[127, 127, -128]])
    copy = session.copy()
    copy.run([OUTSIDE, INSIDE])
    assert (session.clipped_readings, copy.clipped_readings) == ((0, 1, 1), (0, 2, 2))
    assert session.new_stream().clipped_readings == (0, 0, 0)
    session.state = session.state
    assert session.clipped_readings == (0, 1, 1)
    session.reset()
    assert session.clipped_readings == (0, 0, 0)


def test_a_reading_that_is_refused_or_left_out_is_not_clipped(backend):
    refusing = edgernn.load(MODEL, backend)
    with pytest.raises(edgernn.ReadingError):
        refusing.run([OUTSIDE, [np.nan] * 3])
    skipping = edgernn.load(MODEL, backend, "skip")
    skipping.run([INSIDE, [np.nan, 50.0, 0.0]])
    assert refusing.clipped_readings == skipping.clipped_readings == (0, 0, 0)


def test_a_held_value_is_not_clipped_again(backend):
    session = edgernn.load(MODEL, backend, "hold")
    with pytest.warns(ClippedReadingsWarning, match=re.escape("'x1'")):
        session.run([OUTSIDE, [1.0, np.nan, np.nan], [1.0, 50.0, np.nan]])
    assert session.clipped_readings == (0, 2, 1)


@pytest.mark.skipif(not is_available(), reason="needs the native backend")
def test_whoever_hears_of_the_first_may_not_step_the_same_session(monkeypatch):
    session = edgernn.load(MODEL, "native")

    def meddle(*_, **__):
        session.step(INSIDE)

    monkeypatch.setattr(warnings, "warn", meddle)
    before = states_of(session)
    with pytest.raises(edgernn.EdgeRnnError, match="expected one thread at a time"):
        session.step(OUTSIDE)
    assert states_of(session) == before
