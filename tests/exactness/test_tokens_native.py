"""Models that read tokens in the native backend: the reference's bits, and no foreign memory."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import numpy as np
import pytest

import edgernn
from edgernn.backends import native, open_backend
from edgernn.backends.native import NativeBackend, isas
from edgernn.errors import ReadingError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.model.storage import Storage
from edgernn.session.loading import load
from tests.support.models.grid import reference_stream
from tests.support.models.integer import random_codes
from tests.support.models.stored import stored
from tests.support.models.tokens import token_and_real_network, token_chain, token_models
from tests.support.native.fuzz import REFUSALS, VOCABULARY, arguments, exercise_tokens
from tests.support.native.programs import require_native

STEPS = 80
#: The last and the first tokens of the channels of `token_and_real_network`.
LAST, FIRST = (5, -8, 299, 124, 6, 4), (0, 4, 0, -124, 0, 0)


@pytest.fixture(autouse=True)
def _native():
    require_native()


def more_models():
    made = token_models()
    for storage, precision in itertools.product(Storage, Precision):
        made[f"{storage}-{precision}"] = stored(token_and_real_network(precision), storage)
    return made


def test_every_instruction_set():
    compared, differing = 0, []
    for name, model in more_models().items():
        codes = random_codes(model, STEPS)
        assert codes.dtype == np.int16
        wanted = reference_stream(model, codes)
        for isa, layout in itertools.product(isas(), ("fast", "stored")):
            backend = NativeBackend(model, isa=isa, layout=layout)
            stream = backend.new_stream()
            for t, row in enumerate(codes):
                got = [stream.advance_one(row), *stream.state]
                compared += sum(array.size for array in got)
                pairs = zip(got, wanted.values(), strict=True)
                if any(not np.array_equal(g, w[t]) for g, w in pairs):
                    differing.append((name, isa, layout, t))
            assert stream.held.tolist() == codes[-1].tolist()
            whole = backend.new_stream().advance(np.asfortranarray(codes))
            assert np.array_equal(whole, wanted["y"]), name
    assert differing == []
    assert compared > 40_000 * len(isas())


def beside_tokens(rng, model, count):
    """Readings of real channels and tokens, some reals beyond the range of their codes."""
    readings = rng.normal(0, 3, (count, model.input.width))
    for channel, tokens in enumerate(model.input.vocabulary):
        if tokens:
            readings[:, channel] = rng.integers(0, tokens, count)
    return readings


@pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning")
@pytest.mark.parametrize("window", [None, Window(steps=5, hop=2)])
@pytest.mark.parametrize("precision", Precision)
def test_sessions_copies_pickles_and_windows(precision, window, tmp_path):
    model = dataclasses.replace(token_and_real_network(precision), window=window)
    model.save(tmp_path / "tokens.edgernn")
    readings = beside_tokens(np.random.default_rng(0), model, 60)
    wanted = load(model, "reference")
    assert isinstance(open_backend(tmp_path / "tokens.edgernn"), NativeBackend)
    session = edgernn.load(tmp_path / "tokens.edgernn")
    np.testing.assert_array_equal(session.run(readings[:20]), wanted.run(readings[:20]))
    for reading in readings[20:30]:
        np.testing.assert_array_equal(session.step(reading), wanted.step(reading))
    others = [session.copy(), pickle.loads(pickle.dumps(session))]
    rest = wanted.run(readings[30:])
    for one in (session, *others):
        np.testing.assert_array_equal(one.run(readings[30:]), rest)
        assert one.clipped_readings == wanted.clipped_readings


@pytest.mark.parametrize("precision", Precision)
def test_what_is_no_token_is_refused_and_the_stream_stays(precision):
    model = token_and_real_network(precision)
    session, good = load(model, "native"), np.array([0.5, 0.0, 299, 1.0, 6, 4])
    session.step(good)
    x, y = good.copy(), np.zeros(2)
    bound = session.bind(x, y)
    before = session.state
    for channel, token in ((2, 300), (2, -1), (4, 2.5), (5, 1e300)):
        x[:] = good
        x[channel] = token
        for refused in (bound, lambda: session.step(x), lambda: session.run(x[None])):
            with pytest.raises(ReadingError, match=f"'x{channel}': expected a token"):
                refused()
    assert all(np.array_equal(session.state[name], q) for name, q in before.items())
    x[:] = good
    bound()
    again = load(model, "reference")
    again.step(good)
    assert y.tolist() == again.step(good).tolist()


@pytest.mark.parametrize("precision", Precision)
def test_codes_that_are_none_are_not_taken(precision):
    stream = NativeBackend(token_and_real_network(precision)).new_stream()
    other = NativeBackend(token_and_real_network(precision)).new_stream()
    calls = []
    x, y = np.array(LAST if precision is Precision.W8A8 else FIRST, np.int16), np.zeros(2, np.int16)
    good = x.copy()
    bound = stream.bind(x, y, lambda: calls.append(x.tolist()))
    bound()
    assert y.tolist() == other.step_codes(good).tolist()
    before = [q.tolist() for q in stream.state]
    real = 128 if precision is Precision.W8A8 else 5
    wrong = [(2, 300), (2, -1), (4, 7), (5, 5), (5, -32768), (0, real), (3, -32768), (1, -real - 1)]
    for channel, code in wrong:
        x[:] = good
        x[channel] = code
        assert stream.step_codes(x) is None
        assert stream.run_codes(np.stack([good, x])) is None
        with pytest.raises(ValueError, match="expected input codes"):
            stream.advance(np.stack([good, x]))
        bound()
    assert len(calls) == len(wrong)
    assert stream.step_codes(good.astype(np.int8)) is None
    assert stream.step(good.astype(float)) is None
    with pytest.raises(ValueError, match="encode: expected a model without tokens"):
        stream.encode(good[None].astype(float))
    assert [q.tolist() for q in stream.state] == before
    assert stream.held.tolist() == good.tolist()
    assert stream.step_codes(good).tolist() == other.step_codes(good).tolist()


@pytest.mark.parametrize("precision", Precision)
def test_the_output_may_lie_where_the_input_does(precision):
    model = token_and_real_network(precision)
    codes = random_codes(model, 50)
    memory = np.zeros(6, np.int16)
    step = NativeBackend(model).new_stream().bind(memory, memory[:2], None)
    for row, wanted in zip(codes, reference_stream(model, codes)["y"], strict=True):
        memory[:] = row
        step()
        assert memory[:2].tolist() == wanted.tolist()


def test_a_table_is_never_left():
    """A program whose channels have more tokens than the table rows: the nearest row is taken."""
    model = token_chain(rows=50)
    given = list(arguments(model, isas()[0]))
    given[VOCABULARY] = np.array([32_768], np.int32).tobytes()
    program = native._module().Program(*given)
    for token, nearest in ((50, 49), (32_767, 49)):
        far, near = (
            program.stream().step_codes(np.array([code], np.int16)) for code in (token, nearest)
        )
        assert far.tolist() == near.tolist()
    exercise_tokens(program, 1)


def embedding_step(change):
    """The arguments with a change in the step of the embedding, the first layer."""

    def changed(given):
        first = given[4][0]
        return *given[:4], ((*first[:-1], change(first[-1])), *given[4][1:]), *given[5:]

    return changed


def table(*changed):
    return embedding_step(lambda step: (*step[:-1], changed))


def call(**parts):
    """Another look-up: tokens at -1 - 0 and rows of 3 behind them."""
    order = ("call", "count", "option", "a", "b", "out")

    def changed(step):
        (only,) = step[4]
        one = dict(zip(order, only, strict=True)) | parts
        return *step[:4], (tuple(one.values()),), *step[5:]

    return embedding_step(changed)


def vocabulary(value):
    return lambda given: (*given[:VOCABULARY], value)


ENTRIES = bytes(150)
SPOILT = [
    (table(), "option of a call: expected 0 to -1, got 0"),
    (table((50, 4, bytes(200))), "elements of a look-up: expected rows of 4, got 6"),
    (table((50, 3, ENTRIES[:-1])), "table: expected 150 bytes, got 149"),
    (table((0, 3, b"")), r"rows of a table: expected 1\.\.32768, got 0"),
    (table((32_769, 3, ENTRIES)), r"rows of a table: expected 1\.\.32768, got 32769"),
    (table((50, 0, b"")), r"columns of a table: expected 1\.\.65536, got 0"),
    (table((50, 65_537, ENTRIES)), r"columns of a table: expected 1\.\.65536, got 65537"),
    (table((32_768, 65_536, ENTRIES)), r"columns of a table: expected 1\.\.65536, got 65536"),
    (table((50, 3)), "exactly 3 arguments"),
    (table(*[(50, 3, ENTRIES)] * 65), r"tables: expected 0\.\.64, got 65"),
    (table(7), "tables: expected a tuple of tuples"),
    (embedding_step(lambda step: (*step[:-1], 7)), "tables: expected a tuple"),
    (call(option=1), "option of a call: expected 0 to 0, got 1"),
    (call(option=-1), "option of a call: expected 0 to 0, got -1"),
    (call(count=5), "elements of a look-up: expected rows of 3, got 5"),
    (call(count=0), "elements of a call"),
    (call(count=9), "place: expected one in states and scratch"),
    (call(a=-8), "place: expected one in states and scratch"),
    (call(a=0), "place: expected one in states and scratch"),
    (call(b=1), "place: expected one in states and scratch"),
    (call(out=-4), "place: expected one in states and scratch"),
    (vocabulary(bytes(7)), "vocabulary: expected 8 bytes, got 7"),
    (vocabulary(np.array([50, -1], np.int32)), r"tokens of a channel: expected 0\.\.32768, got -1"),
    (vocabulary(np.array([32_769, 5], np.int32)), "tokens of a channel: expected"),
    (vocabulary(5), "bytes-like"),
    (lambda given: (*given[:9], (), *given[10:]), "layer 0: expected routes to what it reads"),
]


@pytest.mark.parametrize(("change", "message"), SPOILT)
def test_programs_that_would_leave_their_memory_are_refused(change, message):
    given = arguments(token_chain(tokens=2, columns=3), isas()[0])
    exercise_tokens(native._module().Program(*given), given[2])
    with pytest.raises(REFUSALS, match=message):
        native._module().Program(*change(given))
