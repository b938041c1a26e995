"""Rows of the native backend: what a session does with one stream, they do with many at once."""

import dataclasses
import threading
import warnings

import numpy as np
import pytest

import edgernn
from edgernn import ClippedReadingsWarning, EdgeRnnError, ReadingError, StateError
from edgernn.backends.native import NativeBackend, is_available, isas
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.session.policies import Policies
from tests.support.models.convolutions import convolutions
from tests.support.models.integer import random_model
from tests.support.models.networks import random_network
from tests.support.models.tokens import token_models
from tests.support.native.programs import require_native

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning"),
]

MODEL = random_model("gru_after", outputs=2)
MODELS = {
    "gru": MODEL,
    "lstm16": random_model("lstm", Precision.W8A16, stack=2),
    "network": random_network(Precision.W8A8, seed=3),
}
POLICIES = {
    "raise": "raise",
    "hold": "hold",
    "skip": "skip",
    "number": 0.25,
    "mixed": {"x0": "hold", "x1": "skip", "x2": 0.25},
    "held or refused": {"x0": "hold", "x2": "hold"},
}
ROWS = 7


@pytest.fixture(autouse=True)
def _native():
    require_native()


def new_rows(model, policy="hold", count=ROWS, isa="auto"):
    backend = NativeBackend(model, isa)
    rows = backend.rows(Policies(policy, backend.interface), False)
    rows.resize(count)
    return rows


def step(rows, which, xs, sequence=None, softmax=False):
    outputs = rows._interface.output.width
    ys, bad = np.full((len(which), outputs), 9.0), np.ones(len(which), np.bool_)
    numbers = None if sequence is None else np.array(sequence, np.int64)
    rows.step(np.array(which, np.int32), np.array(xs, float), ys, bad, numbers, softmax)
    return ys, bad


def alike(rows, sessions, which, xs, numbers=None):
    """Step both; the same outputs, and the same bytes of every stream."""
    ys, bad = step(rows, which, xs, numbers)
    for b, row in enumerate(which):
        session, number = sessions[row], None if numbers is None else numbers[b]
        before = session.bad_readings
        try:
            wanted = session.step(xs[b], sequence=number)
        except ReadingError:
            wanted = np.full(ys.shape[1], np.nan)
        np.testing.assert_array_equal(ys[b], wanted)
        assert bad[b] == (session.bad_readings > before)


def random_batch(rng, inputs, size):
    xs = rng.normal(size=(size, inputs)).clip(-2, 2)
    xs[rng.random(xs.shape) < 0.15] = np.nan
    xs[rng.random(xs.shape) < 0.03] = np.inf
    xs[rng.random(xs.shape) < 0.05] = 1e6
    return rng.integers(0, ROWS, size).tolist(), xs


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("name", MODELS)
def test_every_batch_does_what_sessions_do(name, policy):
    model = MODELS[name]
    inputs = model.input.width
    if isinstance(policy, dict):
        policy = {k: v for k, v in policy.items() if k in model.input.names}
    rng = np.random.default_rng(7)
    rows = new_rows(model, policy)
    first = edgernn.load(model, "reference", policy)
    sessions = [first.new_stream() for _ in range(ROWS)]
    for size in (1, 3, 0, 90, 17, 200):
        which, xs = random_batch(rng, inputs, size)
        alike(rows, sessions, which, xs)
        if size == 17:
            rows.reset(np.array([2, 5], np.int32))
            sessions[2].reset()
            sessions[5].reset()
    assert rows.export(np.arange(ROWS, dtype=np.int32)) == [s.to_bytes() for s in sessions]


def test_rows_begin_where_streams_do():
    model = next(m for m in convolutions().values() if any(spec.start for spec in m.states))
    rows = new_rows(model, count=3)
    fresh = edgernn.load(model, "reference", "hold").to_bytes()
    assert rows.export(np.array([2, 0], np.int32)) == [fresh, fresh]
    rows.resize(2)
    assert rows.count == 3
    rows.resize(5)
    assert rows.export(np.array([4], np.int32)) == [fresh]


def test_numbers_that_came_before_repeat_the_last_output():
    rows, first = new_rows(MODEL, "hold"), edgernn.load(MODEL, "reference", "hold")
    sessions = [first.new_stream() for _ in range(ROWS)]
    rng = np.random.default_rng(3)
    last = np.zeros(ROWS, int)
    for size in (1, 40, 150):
        which, xs = random_batch(rng, 3, size)
        numbers = []
        for row in which:
            last[row] = max(1, last[row] + rng.choice([-1, 0, 1, 1, 1, 5]))
            numbers.append(int(last[row]))
        alike(rows, sessions, which, xs, numbers)
    assert rows.export(np.arange(ROWS, dtype=np.int32)) == [s.to_bytes() for s in sessions]
    with pytest.raises(ReadingError, match="expected numbers of readings from 1 on"):
        step(rows, [0, 1], xs[:2], [10_000, 0])
    assert rows.export(np.arange(ROWS, dtype=np.int32)) == [s.to_bytes() for s in sessions]


def test_streams_come_from_bytes_and_go_on_elsewhere():
    rng = np.random.default_rng(4)
    rows, other = new_rows(MODEL), new_rows(MODEL)
    sessions = [edgernn.load(MODEL, "reference", "hold") for _ in range(ROWS)]
    for row, session in enumerate(sessions):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session.run(random_batch(rng, 3, row)[1])
    partly = edgernn.load(MODEL, "native", "hold")
    partly.step([0.5, np.nan, np.nan])
    sessions[3] = partly
    which = np.arange(ROWS, dtype=np.int32)
    rows.load(which[::-1].copy(), [s.to_bytes() for s in reversed(sessions)])
    assert rows.export(which) == [s.to_bytes() for s in sessions]
    for _ in range(4):
        alike(rows, sessions, *random_batch(rng, 3, 30))
        other.load(which, rows.export(which))
        rows, other = other, rows
    assert rows.export(which) == [s.to_bytes() for s in sessions]


def test_bytes_that_are_refused_change_no_row():
    rows = new_rows(MODEL, count=2)
    step(rows, [0, 1, 1], np.zeros((3, 3)))
    which = np.array([0, 1], np.int32)
    before = rows.export(which)
    another = edgernn.load(random_model("gru_after", seed=1, outputs=2)).to_bytes()
    for bad, message in (
        (before[0][:-1], "damaged"),
        (another, "Load that model, or pass migrate=True"),
        ("text", "expected bytes, got str"),
    ):
        with pytest.raises(StateError, match=message):
            rows.load(which, [before[1], bad])
        assert rows.export(which) == before
    rows.load(which, [another, bytearray(before[0])], True)
    assert rows.export(which)[1] == before[0] != rows.export(which)[0]
    with pytest.raises(ValueError, match="expected bytes for 2 rows"):
        rows.load(which, before[:1])


def test_a_clipped_reading_is_told_once_and_counted():
    rows = new_rows(MODEL, "raise")
    before = rows.export(np.array([1], np.int32))
    xs = np.full((3, 3), 0.5)
    xs[2, 1] = 1e6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ClippedReadingsWarning, match="expected 'x1' within"):
            step(rows, [1, 1, 2], xs)
    assert rows.export(np.array([1], np.int32)) == before
    with pytest.warns(ClippedReadingsWarning) as told:
        step(rows, [1, 1, 2], xs)
        step(rows, [1, 1, 2], xs)
    assert len(told) == 1
    assert rows.clipped == (0, 2, 0)
    session = edgernn.load(MODEL)
    session.from_bytes(rows.export(np.array([2], np.int32))[0])
    assert session.clipped_readings == (0, 2, 0)


def test_probabilities():
    model = random_model("gru_after", outputs=3)
    model = dataclasses.replace(model, output=dataclasses.replace(model.output, softmax=True))
    rows, session = new_rows(model, "hold", 1), edgernn.load(model, "native", "hold")
    for x in ([np.nan] * 3, [0.5] * 3):
        ys, _ = step(rows, [0], [x], softmax=True)
        np.testing.assert_array_equal(ys[0], session.step(x, softmax=True))


@pytest.mark.parametrize("isa", isas() if is_available() else [])
def test_every_instruction_set(isa):
    rows, first = new_rows(MODEL, isa=isa), edgernn.load(MODEL, "reference", "hold")
    alike(
        rows,
        [first.new_stream() for _ in range(ROWS)],
        *random_batch(np.random.default_rng(1), 3, 100),
    )


@pytest.mark.parametrize(
    ("place", "other"),
    [
        (0, np.zeros(2, np.int64)),
        (0, np.array([0, ROWS], np.int32)),
        (0, np.array([-1, 0], np.int32)),
        (1, np.zeros((2, 4))),
        (1, np.zeros((3, 3))),
        (1, np.zeros((2, 6))[:, ::2]),
        (1, np.zeros((2, 3), np.float32)),
        (2, np.zeros((2, 1))),
        (3, np.zeros(2, np.int8)),
        (4, np.ones(2)),
    ],
)
def test_arrays_of_another_form_are_refused(place, other):
    given = [np.zeros(2, np.int32), np.zeros((2, 3)), np.zeros((2, 2)), np.zeros(2, bool), None]
    given[place] = other
    rows = new_rows(MODEL)
    with pytest.raises((ValueError, IndexError)):
        rows._rows.step(*given)
    assert rows.export(np.zeros(1, np.int32)) == [edgernn.load(MODEL).to_bytes()]


def test_models_without_native_rows():
    for model in (
        *token_models().values(),
        dataclasses.replace(MODEL, window=Window(steps=4, hop=2)),
    ):
        backend = NativeBackend(model)
        assert backend.rows(Policies("hold", backend.interface), False) is None


def test_threads_share_a_backend_and_no_rows():
    backend = NativeBackend(MODEL)
    policies = Policies("hold", backend.interface)
    made = [backend.rows(policies, False) for _ in range(4)]
    rng = np.random.default_rng(2)
    batches = [random_batch(rng, 3, 400) for _ in made]

    def work(rows, batch):
        rows.resize(ROWS)
        for _ in range(20):
            step(rows, *batch)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [
            threading.Thread(target=work, args=pair) for pair in zip(made, batches, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for rows, batch in zip(made, batches, strict=True):
            alone = new_rows(MODEL)
            for _ in range(20):
                step(alone, *batch)
            which = np.arange(ROWS, dtype=np.int32)
            assert rows.export(which) == alone.export(which)


def test_rows_that_are_in_use_refuse_a_second_call():
    rows = new_rows(MODEL)
    seen = []

    def hear(*_, **__):
        for call in (
            lambda: rows.resize(100),
            lambda: rows.reset(np.zeros(1, np.int32)),
            lambda: rows.export(np.zeros(1, np.int32)),
            lambda: step(rows, [0], np.zeros((1, 3))),
        ):
            with pytest.raises(EdgeRnnError, match="expected one thread at a time"):
                call()
            seen.append(call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "warn", hear)
        step(rows, [0], [[1e6] * 3])
    assert len(seen) == 4
