"""The streaming contract: one function that every cell, precision and backend must pass.

Modelled on the `verify_contract` of sequence-layers: a stream is repeated steps, however it is cut.
The oracle is the NumPy reference on codes; every comparison is bit for bit.
"""

import copy
import pickle
import warnings
from collections.abc import Callable

import numpy as np

from edgernn import ClippedReadingsWarning, IntegerModel, ReadingError, Session, ShapeError
from edgernn.session.policies import OnBadReading
from edgernn_firmware_sim.reference.reference import Reference

#: Opens a new backend and a session with the given policy for bad readings.
OpenSession = Callable[[OnBadReading], Session]
STEPS = 40
#: Values no session may let into its state.
POISON = (np.nan, np.inf, -np.inf)


def verify_stream_contract(open_session: OpenSession, model: IntegerModel, seed: int = 0) -> None:
    """Check everything a session promises about one model on one backend.

    Args:
        open_session: opens the model on the backend under test.
        model: the integer model.
        seed: of readings, cuts and poison.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    rng = np.random.default_rng(seed)
    xs = _readings(model, rng)
    with open_session("raise") as session:
        _check_clipping(session, model, xs, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        with open_session("raise") as session:
            _check_chunking(session, model, xs, rng)
            _check_codes(session, model, xs)
            _check_state(session, model, xs)
            _check_streams(session, model, xs, rng)
            _check_refusal(session, model, xs)
        names = model.input.names
        in_turn = ("hold", float(model.input.offset[-1]), "skip")
        mixed = {name: in_turn[i % 3] for i, name in enumerate(names)}
        for policy in ("hold", "skip", float(model.input.offset.max()), mixed):
            with open_session(policy) as session:
                _check_gaps(session, model, xs, policy, rng)
        with open_session("hold") as session:
            _check_pickle(session, model, xs)


def _readings(model, rng):
    """Real readings [T, I] over and somewhat beyond the input range."""
    spec, p = model.input, model.precision
    reach = 1.2 * p.input_high * spec.scale
    return spec.offset + rng.uniform(-1, 1, (STEPS, spec.width)) * reach


def _expected(model, xs):
    """Real outputs and codes of the reference, and its last state."""
    interface = model.interface()
    q_ys, state = Reference(model).run(interface.quantize(xs))
    return interface.dequantize(q_ys), q_ys, state


def _same(got, wanted, promise):
    assert got.dtype == wanted.dtype, f"{promise}: dtype {got.dtype}, not {wanted.dtype}"
    np.testing.assert_array_equal(got, wanted, err_msg=promise, strict=True)


def _cuts(rng, steps):
    """Slices that cover ``steps`` readings; some are empty."""
    ends = np.sort(rng.integers(0, steps + 1, 6))
    return [slice(a, b) for a, b in zip([0, *ends], [*ends, steps], strict=True)]


def _check_chunking(session, model, xs, rng):
    y_wanted, _, state = _expected(model, xs)
    _same(np.array([session.step(x) for x in xs]), y_wanted, "step equals the reference")
    for name, q in zip(session.state, state, strict=True):
        _same(session.state[name], q, f"state {name} equals the reference's")
    for _ in range(3):
        session.reset()
        pieces = [session.run(xs[cut]) for cut in _cuts(rng, len(xs))]
        _same(np.concatenate(pieces), y_wanted, "run is the same for every chunking")
    session.reset()
    mixed = [session.run(xs[:7]), session.step(xs[7])[None], session.run(xs[8:])]
    _same(np.concatenate(mixed), y_wanted, "step and run mix freely")


def _check_codes(session, model, xs):
    _, q_wanted, _ = _expected(model, xs)
    q_xs = session.interface.quantize(xs)
    session.reset()
    _same(session.run_codes(q_xs), q_wanted, "run_codes equals the reference")
    session.reset()
    _same(np.array([session.step_codes(q) for q in q_xs]), q_wanted, "step_codes equals run_codes")


def _check_state(session, model, xs):
    y_wanted, _, _ = _expected(model, xs)
    session.reset()
    session.run(xs[:20])
    saved = session.state
    assert list(saved) == [spec.name for spec in model.states], "states carry the model's names"
    for spec in model.states:
        assert saved[spec.name].dtype == np.int16, f"state {spec.name} is int16"
        assert saved[spec.name].shape == (spec.units,), f"state {spec.name} keeps its shape"
    frozen = {name: q.copy() for name, q in saved.items()}
    _same(session.run(xs[20:]), y_wanted[20:], "reading the state does not disturb the stream")
    for name, q in frozen.items():
        _same(saved[name], q, "a state read from a session is a copy")
    session.state = saved
    for q in saved.values():
        q[:] = 0
    _same(session.run(xs[20:]), y_wanted[20:], "a state set into a session continues the stream")


def _check_streams(session, model, xs, rng):
    """Streams over one backend do not disturb each other."""
    others = _readings(model, rng)
    y_wanted, y_others = _expected(model, xs)[0], _expected(model, others)[0]
    session.reset()
    other = session.new_stream()
    got, got_other = [], []
    for x, x_other in zip(xs, others, strict=True):
        got.append(session.step(x))
        got_other.append(other.step(x_other))
    _same(np.array(got), y_wanted, "an interleaved stream does not disturb the first")
    _same(np.array(got_other), y_others, "the first does not disturb an interleaved stream")
    session.reset()
    session.run(xs[:15])
    copy = session.copy()
    session.run(others)
    _same(copy.run(xs[15:]), y_wanted[15:], "a copy continues on its own")
    copy.close()
    other.close()
    session.reset()
    _same(session.run(xs), y_wanted, "closing a stream leaves the others open")


def _clipped(model, xs):
    """Readings outside the range per channel, by clause 9.1 in Python's numbers."""
    spec, p = model.input, model.precision
    counts = [0] * spec.width
    for x in xs:
        for i, value in enumerate(x):
            scale = p.input_step * float(spec.scale[i])
            code = p.input_step * round((float(value) - float(spec.offset[i])) / scale)
            counts[i] += not p.input_low <= code <= p.input_high
    return tuple(counts)


def _check_clipping(session, model, xs, rng):
    """Clipped readings are counted in every way of asking, and warned of once."""
    assert any(_clipped(model, xs)), "the readings leave the range"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for t, x in enumerate(xs):
            session.step(x)
            assert session.clipped_readings == _clipped(model, xs[: t + 1]), "step counts"
        for _ in range(2):
            session.reset()
            assert not any(session.clipped_readings), "a reset begins anew"
            done = 0
            for cut in _cuts(rng, len(xs)):
                session.run(xs[cut])
                done += len(xs[cut])
                assert session.clipped_readings == _clipped(model, xs[:done]), "run counts"
        session.reset()
        x, y = np.empty(model.input.width), np.empty(model.output.width)
        step = session.bind(x, y)
        for x[:] in xs:
            step()
        assert session.clipped_readings == _clipped(model, xs), "a bound step counts"
        session.run_codes(session.interface.quantize(xs))
        assert session.clipped_readings == _clipped(model, xs), "codes are not clipped"
    assert [w.category for w in caught] == [ClippedReadingsWarning], "there is one warning"


def _poisoned(width, value):
    x = np.zeros(width)
    x[-1] = value
    return x


def _check_refusal(session, model, xs):
    """An error leaves a stream as if nothing had been asked."""
    y_wanted, _, _ = _expected(model, xs)
    width = model.input.width
    bad = [_poisoned(width, value) for value in POISON]
    mistakes = [np.zeros(width + 1), "x", [None] * (width + 1)]
    session.reset()
    got = []
    for t, x in enumerate(xs):
        got.append(session.step(x))
        for ask in (session.step, lambda b: session.run([*xs[:2], b])):
            for wrong, error in ((bad, ReadingError), (mistakes, ShapeError)):
                try:
                    ask(wrong[t % len(wrong)])
                except error:
                    continue
                raise AssertionError(f"policy raise refuses {wrong[t % len(wrong)]!r}")
    _same(np.array(got), y_wanted, "a refused reading leaves no trace")
    assert session.bad_readings == 2 * len(xs), "bad readings are counted, mistakes are not"
    assert session.clipped_readings == _clipped(model, xs), "refused readings are not clipped"


def _filled(xs, bad, policies):
    """What a stream advances by at every reading, value by value; None where it stands still."""
    last, rows = {}, []
    for x, missing in zip(xs, bad, strict=True):
        if any(m and p == "skip" for m, p in zip(missing, policies, strict=True)):
            rows.append(None)
            continue
        last.update({i: x[i] for i, m in enumerate(missing) if not m})
        row = [
            (last.get(i) if policy == "hold" else policy) if m else x[i]
            for i, (m, policy) in enumerate(zip(missing, policies, strict=True))
        ]
        rows.append(None if None in row else row)
    return rows


def _check_gaps(session, model, xs, policy, rng):
    """Missing values: the reference over the stream that the policies define."""
    bad = rng.uniform(size=xs.shape) < 0.25
    bad[:2] = rng.uniform(size=bad[:2].shape) < 0.6
    bad[0, 0] = True
    named = policy.values() if isinstance(policy, dict) else [policy] * model.input.width
    rows = _filled(xs, bad, [*named])
    advances = np.array([row is not None for row in rows])
    y_stream = _expected(model, np.array([row for row in rows if row is not None]))[0]
    nothing_yet = np.full((1, model.output.width), np.nan)
    y_wanted = np.concatenate([nothing_yet, y_stream])[np.cumsum(advances)]
    left_out = np.zeros(len(xs), bool)
    for i, p in enumerate(named):
        left_out |= bad[:, i] & (p == "skip")
    inside = np.where(bad, model.input.offset, xs)[~left_out]
    poison = [*POISON, None, np.ma.masked]
    lists = [[poison[t % 5] if b else v for v, b in zip(x, m, strict=True)]
             for t, (x, m) in enumerate(zip(xs, bad, strict=True))]  # fmt: skip
    masked = np.ma.masked_array(xs, bad)
    for stream, kind in ((lists, "of every kind"), (masked, "masked")):
        for how in ("step", "run", "mixed"):
            session.reset()
            got = []
            for cut in _cuts(rng, len(xs)):
                if how == "step" or (how == "mixed" and len(got) % 2):
                    got.append(np.array([session.step(x) for x in stream[cut]]))
                    got[-1] = got[-1].reshape(-1, model.output.width)
                else:
                    got.append(session.run(stream[cut]))
            what = f"{policy}, {how}, {kind}"
            _same(np.concatenate(got), y_wanted, what)
            assert session.bad_readings == bad.any(axis=1).sum(), f"{what}: counts bad readings"
            assert session.clipped_readings == _clipped(model, inside), f"{what}: counts clipped"


def _check_pickle(session, model, xs):
    """What was pickled or copied goes on as the session does, at bad readings too."""
    gap = [np.nan] * model.input.width
    for take in (lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy):
        session.reset()
        session.run([*xs[:15], gap])
        with take(session) as other:
            _same(other.step(gap), session.step(gap), "a pickled session holds the last reading")
            _same(other.run(xs[15:]), session.run(xs[15:]), "a pickled session goes on")
            assert other.bad_readings == session.bad_readings == 2, "bad readings are pickled"
            assert other.clipped_readings == session.clipped_readings, "counts are pickled"
