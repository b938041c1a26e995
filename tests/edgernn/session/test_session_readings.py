import dataclasses
import re

import numpy as np
import pytest

import edgernn
from edgernn import ClippedReadingsWarning, EdgeRnnError, ReadingError, ShapeError, backends
from edgernn.backends.native import is_available
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.support.models.integer import random_codes, random_model

pytestmark = pytest.mark.device

MODEL = random_model("lstm", Precision.W8A8)
MODEL16 = random_model("gru_after", Precision.W8A16)
CLASSIFIER = dataclasses.replace(
    MODEL, output=dataclasses.replace(MODEL.output, softmax=True), name="classifier"
)
X = np.array([1.0, 0.5, -2.0])


@pytest.fixture(autouse=True, params=["reference", "native"])
def backend(request, monkeypatch):
    """What `load` chooses for a model in memory."""
    if request.param == "native" and not is_available():
        pytest.skip("needs edgernn._native: a C compiler, then pip install -e .")
    monkeypatch.setattr(backends, "model_backend", lambda: request.param)
    return request.param


class CountingBackend(ReferenceBackend):
    """The reference, which also counts steps."""

    def __init__(self, model):
        super().__init__(model)
        self.steps = 0

    def step(self, q_x, state):
        self.steps += 1
        return super().step(q_x, state)

    def run(self, q_xs, state):
        self.steps += len(q_xs)
        return super().run(q_xs, state)


def states_of(session):
    return {name: q.tolist() for name, q in session.state.items()}


def test_step_applies_the_border_clauses():
    codes = np.array([[64, 16, -96]], dtype=np.int8)  # (x - offset) / scale, worked by hand
    q_y, _ = ReferenceBackend(MODEL).run(codes, MODEL.interface().initial_state())
    y = edgernn.load(MODEL).step(X)
    assert y.dtype == np.float64
    assert y.tolist() == [q * 2.0**-10 for q in q_y[0].tolist()]


def test_a_scalar_is_a_reading_of_a_model_with_one_channel():
    model = random_model("gru_before", inputs=1)
    session, other = edgernn.load(model), edgernn.load(model)
    stepped = [session.step(x).tolist() for x in (0.1, np.float32(0.2), [0.3], np.array([2]))]
    ran = other.run([np.float64(0.1), np.float64(np.float32(0.2)), 0.3, 2.0])
    assert ran.tolist() == stepped


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, bool, object])
def test_any_real_dtype_is_read_exactly(dtype):
    x = np.array([1, 0, 1], dtype=dtype)
    wanted = edgernn.load(MODEL).step([1.0, 0.0, 1.0])
    assert edgernn.load(MODEL).step(x).tolist() == wanted.tolist()


@pytest.mark.parametrize("empty", [[], np.empty((0, 3)), iter(())])
def test_an_empty_chunk_changes_nothing(empty):
    session = edgernn.load(MODEL)
    session.step(X)
    before = states_of(session)
    assert session.run(empty).shape == (0, 2)
    assert session.run_codes(np.empty((0, 3), dtype=np.int8)).shape == (0, 2)
    assert states_of(session) == before


def test_run_takes_any_iterable_of_readings():
    wanted = edgernn.load(MODEL).run([X, X / 2])
    assert edgernn.load(MODEL).run(x for x in [X, X / 2]).tolist() == wanted.tolist()


def test_huge_finite_readings_saturate_without_a_warning_of_numpy():
    session = edgernn.load(MODEL)
    with pytest.warns(ClippedReadingsWarning) as caught:
        top = session.step([1e308, 1e308, -1e308])
    assert len(caught) == 1
    session.reset()
    assert session.step_codes([127, 127, -128]).tolist() == (top / 2.0**-10).tolist()


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ([1.0, np.nan, 2.0], "expected finite values, got nan (channel 1). Replace"),
        ([1.0, 2.0, -np.inf], "expected finite values, got -inf (channel 2)."),
        ([None, 2.0, 3.0], "expected finite values, got nan (channel 0)."),
        (np.ma.masked_equal([1.0, 2.0, 3.0], 3.0), "expected finite values, got nan (channel 2"),
        ([1.0, np.ma.masked, 2.0], "expected finite values, got nan (channel 1)."),
        ({"x0": 1.0, "x1": None, "x2": 0.0}, "expected finite values, got nan (channel 1)."),
    ],
)
def test_raise_names_the_missing_value_and_leaves_the_stream(reading, message):
    session, untouched = edgernn.load(MODEL), edgernn.load(MODEL)
    session.step(X)
    untouched.step(X)
    with pytest.raises(ReadingError, match=re.escape(f"session: {message}")):
        session.step(reading)
    assert session.bad_readings == 1
    assert session.step(X).tolist() == untouched.step(X).tolist()


NOT_READINGS = [
    ([1.0, 2.0], "expected a reading of shape (3,), got (2,). Pass one number per"),
    ([[1.0, 2.0, 3.0]], "expected a reading of shape (3,), got (1, 3)."),
    (1.0, "expected a reading of shape (3,), got ()."),
    (np.zeros(3)[:0], "expected a reading of shape (3,), got (0,)."),
    (memoryview(np.zeros((1, 3))), "expected a reading of shape (3,), got (1, 3)."),
    ("abc", "expected real numbers, got values of type str"),
    (b"abc", "expected real numbers, got values of type bytes"),
    ([1.0, "2", 3.0], "expected real numbers, got values of type str"),
    (np.array([1.0, "2", 3.0], object), "expected real numbers, got values of type str."),
    ([1.0, [2.0], 3.0], "expected real numbers, got setting an array element"),
    ([1j, 0, 0], "expected real numbers, got values of type complex128"),
    (np.zeros(3, "m8[s]"), "expected real numbers, got values of type timedelta64"),
    (object(), "expected real numbers, got float() argument"),
    (None, "expected a reading of shape (3,), got ()."),
    ([10**400, 0, 0], "expected real numbers, got int too large"),
    ({"x0": 1.0, "x2": 0.0}, "expected a reading with x0, x1, x2, got one without x1. Pass None"),
    ({}, "expected a reading with x0, x1, x2, got one without x0, x1, x2."),
]


@pytest.mark.parametrize("policy", ["raise", "hold", "skip", 0.5, {"x1": "hold"}])
@pytest.mark.parametrize(("reading", "message"), NOT_READINGS)
def test_a_mistake_of_the_program_raises_under_every_policy(reading, message, policy):
    session, untouched = (edgernn.load(MODEL, on_bad_reading=policy) for _ in range(2))
    session.step(X)
    untouched.step(X)
    with pytest.raises(ShapeError, match=re.escape(f"session: {message}")):
        session.step(reading)
    with pytest.raises(ShapeError, match=re.escape("(reading 1)")):
        session.run([X, reading])
    assert (session.bad_readings, session.clipped_readings) == (0, (0, 0, 0))
    assert session.step(X).tolist() == untouched.step(X).tolist()


@pytest.mark.parametrize(
    ("chunk", "error", "message"),
    [
        ([X, [1, np.inf, 3], X], ReadingError, "got inf (reading 1, channel 1)."),
        ([X, X, [1, 2]], ShapeError, "expected a reading of shape (3,), got (2,) (reading 2)."),
        (np.zeros((4, 2)), ShapeError, "got (2,) (reading 0)."),
        ([1.0, 2.0, 3.0], ShapeError, "got () (reading 0)."),
        (5.0, ShapeError, "expected readings [T, 3], got float. Pass a sequence of readings to"),
        ("abc", ShapeError, "expected readings [T, 3], got str."),
        ({"x0": 1.0}, ShapeError, "expected readings [T, 3], got dict. Pass a sequence of"),
        (np.float64(5.0), ShapeError, "expected readings [T, 3], got float64."),
        (np.str_("abc"), ShapeError, "expected readings [T, 3], got str_."),
        (
            np.zeros((2, 4, 3)),
            ShapeError,
            "expected readings [T, 3], got 2 sequences [2, 4, 3]. "
            "Run each sequence in its own stream: "
            "[session.new_stream().run(xs) for xs in batch]",
        ),
    ],
)
def test_run_refuses_the_whole_chunk(chunk, error, message):
    session = edgernn.load(MODEL)
    session.step(X)
    before = states_of(session)
    with pytest.raises(error, match=re.escape(message)):
        session.run(chunk)
    assert states_of(session) == before


class Table:
    """As pandas has it: iterates over column names, converts to rows."""

    def __init__(self, rows):
        self._rows = rows

    def __iter__(self):
        return iter(("a", "b", "c"))

    def __array__(self, dtype=None, copy=None):
        return np.array(self._rows, dtype=dtype)


class Frame(Table):
    """Its columns have names, too."""

    def __init__(self, rows, columns):
        super().__init__(rows)
        self.columns = columns


class Row:
    """One row of it."""

    def __init__(self, values, names):
        self._values, self._names = values, names

    def keys(self):
        return self._names

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype=dtype)


def test_columns_are_picked_by_name_where_a_table_has_them():
    wanted = edgernn.load(MODEL).run([X, X / 2]).tolist()
    rows = np.stack([X, X / 2])
    mixed = np.column_stack([rows[:, 2], ["12:00", "12:01"], rows[:, :2]]).astype(object)
    mixed[:, [0, 2, 3]] = mixed[:, [0, 2, 3]].astype(float)
    names = ["x2", "time", "x0", "x1"]
    assert edgernn.load(MODEL).run(Frame(mixed, names)).tolist() == wanted
    assert edgernn.load(MODEL).run(Frame(rows, [0, 1, 2])).tolist() == wanted
    session = edgernn.load(MODEL)
    assert [session.step(Row(row, names)).tolist() for row in mixed] == wanted
    assert session.step(Row(X, "abc")).shape == (2,)
    for ask in (lambda: session.run(Frame(rows, ["x2", "x1", "y"])),
                lambda: session.step(Row(X, ["x2", "x1", "y"]))):  # fmt: skip
        with pytest.raises(ShapeError, match="expected the columns x0, x1, x2, got a table witho"):
            ask()


def test_channels_may_be_named():
    session, wanted = edgernn.load(MODEL), edgernn.load(MODEL)
    named = [{"x2": x[2], "time": "12:00", "x0": x[0], "x1": x[1]} for x in (X, X / 2, X / 4)]
    ys = wanted.run([X, X / 2, X / 4]).tolist()
    assert [session.step(named[0]).tolist(), *session.run(named[1:]).tolist()] == ys


@pytest.mark.parametrize("xs", [np.stack([X, X / 2]), np.stack([X, X / 2]).astype(np.float32)])
def test_a_chunk_may_be_a_buffer_of_two_dimensions(xs):
    wanted = edgernn.load(MODEL).run(xs.astype(float)).tolist()
    for form in (memoryview(xs), memoryview(np.asfortranarray(xs)), np.asfortranarray(xs)):
        assert edgernn.load(MODEL).run(form).tolist() == wanted


def test_a_table_is_its_rows_and_none_of_them_may_be_text():
    rows = np.array([[1.0, 0.5, -2.0], [1.0, None, 2.0], [0.25, -1.0, 1.0]], object)
    session, wanted = edgernn.load(MODEL, on_bad_reading="skip"), edgernn.load(MODEL)
    ys = session.run(Table(rows))
    assert session.bad_readings == 1
    assert ys[[0, 2]].tolist() == wanted.run(rows[[0, 2]]).tolist()
    rows[1, 1] = "2.0"
    with pytest.raises(ShapeError, match=r"expected real numbers, got values of type str \(read"):
        session.run(Table(rows))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], ShapeError, "interface: expected readings [..., 3], got (1,)."),
        (1.0, ShapeError, "interface: expected readings [..., 3], got ()."),
        ([[1.0, np.nan, 2.0]], ReadingError, "interface: expected finite readings, got NaN"),
    ],
)
def test_the_interface_makes_codes_of_good_readings_only(x, error, message):
    with pytest.raises(error, match=re.escape(message)):
        MODEL.interface().quantize(x)


def test_hold_and_skip_before_the_first_good_reading_answer_nan_and_touch_nothing():
    for policy in ("hold", "skip"):
        backend = CountingBackend(MODEL)
        session = edgernn.Session(backend, policy)
        assert np.isnan(session.step([np.nan] * 3)).all()
        assert np.isnan(session.run([[np.nan] * 3, [None, 1, 1]])).all()
        assert backend.steps == 0
        assert session.bad_readings == 3
        assert states_of(session) == states_of(edgernn.load(MODEL))


def test_hold_advances_with_the_last_good_reading_and_skip_does_not():
    held, skipped, clean = (
        edgernn.load(MODEL, on_bad_reading=p) for p in ("hold", "skip", "raise")
    )
    first, second = clean.run([X, X]).tolist()
    assert [held.step(X).tolist(), held.step([np.nan] * 3).tolist()] == [first, second]
    assert [skipped.step(X).tolist(), skipped.step([1.0, np.nan, 2.0]).tolist()] == [first, first]


def test_softmax_gives_probabilities_and_only_on_request():
    logits = edgernn.load(CLASSIFIER).step(X)
    session = edgernn.load(CLASSIFIER)
    p = session.step(X, softmax=True)
    a, b = (float(v) for v in logits)
    assert p.tolist() == pytest.approx(
        [1 / (1 + np.exp(b - a)), 1 / (1 + np.exp(a - b))], rel=1e-14
    )
    session.reset()
    assert session.run([X, X], softmax=True)[0].tolist() == p.tolist()
    session.reset()
    assert session.step(X).tolist() == logits.tolist()


@pytest.mark.parametrize("call", ["step", "run"])
def test_softmax_is_refused_where_the_model_has_none(call):
    session = edgernn.load(MODEL)
    with pytest.raises(
        EdgeRnnError, match=r"expected a model that ends in a softmax, got 'lstm-tame', which does"
    ):
        getattr(session, call)([X], softmax=True)


# ---------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("model", "codes", "error", "message"),
    [
        (MODEL, [1.0, 2.0, 3.0], ShapeError, "expected integer codes [3], got float64 [3]. Pass"),
        (MODEL, [1, 2], ShapeError, "expected integer codes [3], got int64 [2]."),
        (MODEL, 5, ShapeError, "expected integer codes [3], got int64 []."),
        (MODEL, [[1], [2, 3]], ShapeError, "expected codes [3], got setting an array element"),
        (MODEL, [True, False, True], ShapeError, "expected integer codes [3], got bool [3]."),
        (MODEL, [0, 0, 128], ReadingError, "expected codes in [-128, 127], got 128 (NUMERICS.md"),
        (MODEL, [-129, 0, 0], ReadingError, "expected codes in [-128, 127], got -129"),
        (MODEL16, [0, 2, 0], ReadingError, "expected multiples of 4 in [-32764, 32764], got 2"),
        (MODEL16, [0, 0, -32768], ReadingError, "expected multiples of 4 in [-32764, 32764], got"),
        (
            MODEL16,
            np.array([0, 0, 2**63], dtype=np.uint64),
            ReadingError,
            "expected multiples of 4 in [-32764, 32764], got 9223372036854775808",
        ),
    ],
)
def test_codes_are_checked_under_every_policy(model, codes, error, message):
    session = edgernn.load(model, on_bad_reading="skip")
    before = states_of(session)
    with pytest.raises(error, match=re.escape(f"session: {message}")):
        session.step_codes(codes)
    with pytest.raises((ShapeError, ReadingError)):
        session.run_codes([codes] if error is ReadingError else codes)
    assert states_of(session) == before


def test_codes_in_any_integer_dtype_give_int16():
    q_x = random_codes(MODEL16, 1)[0]
    narrow = edgernn.load(MODEL16).step_codes(q_x)
    wide = edgernn.load(MODEL16).step_codes(q_x.astype(np.int64).tolist())
    assert narrow.dtype == wide.dtype == np.int16
    assert narrow.tolist() == wide.tolist()
