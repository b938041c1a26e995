"""Sessions as bytes: a stream that is cut anywhere goes on with the same bits on any backend."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import edgernn
from edgernn import EdgeRnnError, ReadingError, StateError
from edgernn.backends.native import is_available, isas
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.models.convolutions import convolutions
from tests.support.models.integer import random_model
from tests.support.models.networks import random_network, two_input_network
from tests.support.models.programs import pair, random_programs, shared
from tests.support.models.rates import strided_chain, strided_tokens
from tests.support.models.registered import wide_registered_model
from tests.support.models.tokens import token_and_real_network, token_chain

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning"),
]

MODEL = random_model("lstm")
WINDOW = dataclasses.replace(MODEL, window=Window(steps=4, hop=3))
KINDS = {
    "w8a8": MODEL,
    "w8a16": random_model("gru_after", Precision.W8A16, stack=2),
    "network": random_network(Precision.W8A16, seed=5),
    "wide": wide_registered_model(),
    "delays": next(m for m in convolutions().values() if any(spec.start for spec in m.states)),
    "two inputs": two_input_network(Precision.W8A8),
    "tokens": token_chain(Precision.W8A8, tokens=2),
    "tokens and reals": token_and_real_network(Precision.W8A16),
    "window": WINDOW,
    "padded window": dataclasses.replace(WINDOW, name="padded"),
    "window of tokens": token_chain(Precision.W8A8, window=Window(steps=3, hop=2)),
    "rate": strided_chain(Precision.W8A8, Rate(readings=3, first=5)),
    "rate of tokens": strided_tokens(Precision.W8A16, Rate(readings=3, first=5, start=(17, -44))),
}
POLICIES = {"hold": "hold", "skip": "skip", "number": 0.0, "mixed": None}
NAN = float("nan")
BACKENDS = ["reference", *([f"native {isa}" for isa in isas()] if is_available() else [])]


def opened(model, backend, policy="hold"):
    """A session, of `model` called padded with padding."""
    name, _, isa = backend.partition(" ")
    warm_up = "pad" if model.name == "padded" else "nothing"
    return edgernn.load(model, name, policy, warm_up, **({"isa": isa} if isa else {}))


def readings(model, count=11, seed=3):
    """Some of which lack values, or lie outside the range; the first ones lack some, too."""
    rng, sizes = np.random.default_rng(seed), model.input.vocabulary or (0,) * model.input.width
    xs = np.empty((count, len(sizes)))
    for i, size in enumerate(sizes):
        xs[:, i] = rng.integers(0, size, count) if size else rng.normal(size=count).clip(-2, 2)
        if not size:
            xs[5, i] = 1e6
    xs[rng.random(xs.shape) < 0.2] = np.nan
    xs[0, 1:] = xs[1, :1] = np.nan
    xs[9] = np.nan
    return xs


def policy_of(model, name):
    if name != "mixed":
        return POLICIES[name]
    names = model.input.names
    return dict(zip(names, ("hold", "skip", 0.0, "hold") * len(names), strict=False))


def told(session):
    return session.sequence, session.bad_readings, session.clipped_readings


@pytest.mark.parametrize(
    ("kind", "policy"),
    [(kind, policy) for kind in KINDS for policy in ("hold", "mixed")]
    + [("w8a8", "skip"), ("w8a8", "number"), ("window", "skip"), ("rate", "skip")],
)
def test_a_stream_cut_anywhere_goes_on_on_every_backend(kind, policy):
    model = KINDS[kind]
    chosen, xs = policy_of(model, policy), readings(model)
    every = kind in ("w8a8", "w8a16")  # of the others, the fastest instruction set is enough
    sources = [opened(model, name, chosen) for name in (BACKENDS if every else BACKENDS[:2])]
    others = [session.new_stream() for session in sources]
    for at in range(len(xs) + 1):
        wanted = None
        for k, source in enumerate(sources):
            session = source.new_stream()
            session.run(xs[:at])
            blob = session.to_bytes()
            other = others[(k + at) % len(others)]
            other.from_bytes(blob)
            assert other.to_bytes() == blob
            assert told(other) == told(session)
            answers = other.step(xs[at % len(xs)]).tolist(), other.run(xs[at:]).tolist()
            np.testing.assert_array_equal(session.step(xs[at % len(xs)]), answers[0])
            np.testing.assert_array_equal(
                session.run(xs[at:]), np.reshape(answers[1], (-1, model.output.width))
            )
            assert other.to_bytes() == session.to_bytes()
            wanted = wanted or (blob, repr(answers))
            assert wanted == (blob, repr(answers))


def test_a_stream_that_refuses_bad_readings_too():
    xs = readings(MODEL)
    one, two = (opened(MODEL, backend, "raise") for backend in (BACKENDS[0], BACKENDS[-1]))
    for x in xs:
        if np.isnan(x).any():
            with pytest.raises(ReadingError):
                one.step(x)
        else:
            one.step(x)
        two.from_bytes(one.to_bytes())
        assert told(two) == told(one)
    assert one.sequence + one.bad_readings == len(xs)
    assert two.to_bytes() == one.to_bytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_state_leaves_out_is_in_the_bytes(backend):
    session = opened(MODEL, backend)
    session.step([1.0, 0.5, -2.0])
    by_state, by_bytes = session.new_stream(), session.new_stream()
    by_state.state = session.state
    by_bytes.from_bytes(session.to_bytes())
    wanted = session.step([NAN] * 3)
    assert np.isnan(by_state.step([NAN] * 3)).all()
    assert by_bytes.step([NAN] * 3).tolist() == wanted.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_reading_has_a_number(backend):
    session = opened(MODEL, backend, "skip")
    assert session.sequence == 0
    x, y = np.zeros(3), np.empty(2)
    session.step(x)
    session.step([NAN] * 3)
    session.run([x, [NAN] * 3, x])
    session.step_codes(session.interface.quantize(x))
    session.run_codes(session.interface.quantize(np.zeros((2, 3))))
    bound = session.bind(x, y)
    bound()
    x[:] = NAN
    bound()
    session.run([])
    assert session.sequence == 10
    assert session.copy().sequence == 10
    session.state = session.state
    assert session.sequence == 10
    assert session.new_stream().sequence == 0
    session.reset()
    assert session.sequence == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_came_before_changes_nothing(kind):
    model, xs = KINDS[kind], readings(KINDS[kind])
    for backend in BACKENDS[:2]:
        once, twice = (opened(model, backend) for _ in range(2))
        for n, x in enumerate(xs):
            wanted = once.step(x)
            number = 10 * n + 7
            np.testing.assert_array_equal(twice.step(x, sequence=number), wanted)
            before = twice.to_bytes()
            for again in (number, number - 1, 1):
                np.testing.assert_array_equal(twice.step(xs[0], sequence=again), wanted)
            assert twice.to_bytes() == before
            assert twice.sequence == number
        assert told(once)[1:] == told(twice)[1:]
        np.testing.assert_array_equal(once.step(xs[0]), twice.step(xs[0]))
        assert twice.sequence == number + 1


def test_a_refused_reading_leaves_its_number_free():
    session = opened(MODEL, BACKENDS[-1], "raise")
    session.step([0.5] * 3, sequence=4)
    with pytest.raises(ReadingError):
        session.step([NAN] * 3, sequence=5)
    assert session.sequence == 4
    session.step([0.5] * 3, sequence=np.int64(5))
    assert session.sequence == 5


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "1", 2**63])
def test_numbers_that_are_none(number):
    session = opened(MODEL, BACKENDS[-1])
    with pytest.raises(ReadingError, match="expected an integer from 1 to 9223372036854775807"):
        session.step([0.5] * 3, sequence=number)
    assert session.sequence == 0


def test_a_repeat_gives_probabilities_where_they_are_asked_for():
    model = dataclasses.replace(MODEL, output=dataclasses.replace(MODEL.output, softmax=True))
    session = opened(model, BACKENDS[-1])
    wanted = session.step([0.5] * 3, softmax=True, sequence=1)
    assert session.step([0.1] * 3, softmax=True, sequence=1).tolist() == wanted.tolist()
    with pytest.raises(EdgeRnnError, match="expected a model that ends in a softmax"):
        opened(MODEL, BACKENDS[-1]).step([0.1] * 3, softmax=True, sequence=1)


def test_who_has_warned_elsewhere_does_not_warn_again():
    session = opened(MODEL, BACKENDS[-1])
    session.step([1e6] * 3)
    for backend in BACKENDS:
        other = opened(MODEL, backend)
        other.from_bytes(session.to_bytes())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", None)
            other.step([1e6] * 3)
        assert other.clipped_readings == (2, 2, 2)


def test_another_process_goes_on(tmp_path):
    MODEL.save(tmp_path / "m.edgernn")
    session = edgernn.load(tmp_path / "m.edgernn", on_bad_reading="hold")
    session.run(readings(MODEL))
    (tmp_path / "state").write_bytes(session.to_bytes())
    code = (
        "import edgernn, pathlib; s = edgernn.load('m.edgernn', on_bad_reading='hold');"
        "s.from_bytes(pathlib.Path('state').read_bytes());"
        "print(s.step([float('nan')] * 3).tolist(), s.sequence)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{session.step([NAN] * 3).tolist()} {session.sequence}\n"


@pytest.mark.parametrize("backend", ["reference", "native"][: 1 + is_available()])
@pytest.mark.parametrize("make", [pair, shared, lambda: random_programs(Precision.W8A8, 4)])
def test_programs_go_on_from_bytes(make, backend):
    programs = make()
    rng = np.random.default_rng(6)
    one, two = (edgernn.load(programs, name, "hold") for name in (backend, "reference"))
    for _ in range(40):
        name = str(rng.choice(one.programs))
        width = one.interface(name).input.width
        x = np.where(rng.random(width) < 0.2, NAN, rng.normal(size=width).clip(-2, 2))
        if rng.random() < 0.3 or name not in one._begun:
            try:
                one.begin(name)
                two.begin(name)
            except EdgeRnnError:
                continue
        np.testing.assert_array_equal(two.step(name, x), one.step(name, x))
        blob = one.to_bytes()
        two = two.new_stream()
        two.from_bytes(blob)
        assert two.to_bytes() == blob
        assert two.sequence == one.sequence
        assert two.bad_readings == one.bad_readings
    assert sum(one.sequence.values()) > 10
    number = one.sequence[name]
    last = one.step(name, x, sequence=number + 5)
    np.testing.assert_array_equal(one.step(name, x * 0, sequence=number + 5), last)
    assert one.sequence[name] == number + 5


def test_bytes_of_a_closed_session_are_refused():
    for session in (opened(MODEL, BACKENDS[0]), edgernn.load(pair())):
        blob = session.to_bytes()
        session.close()
        for call in (session.to_bytes, lambda s=session, b=blob: s.from_bytes(b)):
            with pytest.raises(EdgeRnnError, match="expected an open session, got a closed one"):
                call()


def test_a_state_cannot_be_one_of_a_set():
    with pytest.raises(StateError, match="expected the bytes of a stream of one model, got a "):
        opened(MODEL, BACKENDS[0]).from_bytes(edgernn.load(pair()).to_bytes())
    with pytest.raises(StateError, match="expected the bytes of a stream of a set of programs, go"):
        edgernn.load(pair()).from_bytes(opened(MODEL, BACKENDS[0]).to_bytes())
