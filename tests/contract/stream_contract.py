"""The streaming contract: one function that every cell, precision and backend must pass.

Modelled on the `verify_contract` of sequence-layers: a stream is repeated steps, however it is cut.
The oracle is the NumPy reference on codes; every comparison is bit for bit.
"""

from collections.abc import Callable

import numpy as np

from edgernn import IntegerModel, ReadingError, Session, ShapeError
from edgernn_firmware_sim.reference import Reference

#: Opens a new backend and a session with the given policy for bad readings.
OpenSession = Callable[[str], Session]
STEPS = 40
#: Readings no session may let into its state; wrong for every model width but one.
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
        _check_chunking(session, model, xs, rng)
        _check_codes(session, model, xs)
        _check_state(session, model, xs)
        _check_streams(session, model, xs, rng)
        _check_refusal(session, model, xs)
    for policy in ("hold", "skip"):
        with open_session(policy) as session:
            _check_poison(session, model, xs, policy, rng)


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


def _poisoned(width, value):
    x = np.zeros(width)
    x[-1] = value
    return x


def _check_refusal(session, model, xs):
    """Policy raise: an error, and a stream as if nothing had been asked."""
    y_wanted, _, _ = _expected(model, xs)
    width = model.input.width
    bad = [*(_poisoned(width, value) for value in POISON), np.zeros(width + 1), "x", None]
    session.reset()
    got = []
    for t, x in enumerate(xs):
        got.append(session.step(x))
        for ask in (session.step, lambda b: session.run([*xs[:2], b])):
            try:
                ask(bad[t % len(bad)])
            except (ReadingError, ShapeError):
                continue
            raise AssertionError(f"policy raise refuses {bad[t % len(bad)]!r}")
    _same(np.array(got), y_wanted, "a refused reading leaves no trace")
    assert session.bad_readings == 2 * len(xs), "refused readings are counted"


def _check_poison(session, model, xs, policy, rng):
    """Policies hold and skip: the reference over the stream they define."""
    width = model.input.width
    bad = rng.uniform(size=len(xs)) < 0.4
    bad[0], bad[1], bad[2:4] = True, False, True
    last_good = np.maximum.accumulate(np.where(bad, -1, np.arange(len(xs))))
    advances = last_good >= 0 if policy == "hold" else ~bad
    y_stream = _expected(model, xs[last_good[advances]])[0]
    nothing_yet = np.full((1, model.output.width), np.nan)
    y_wanted = np.concatenate([nothing_yet, y_stream])[np.cumsum(advances)]
    poison = [*(_poisoned(width, v) for v in POISON), np.zeros(width + 1), "x"]
    ragged = [poison[t % len(poison)] if bad[t] else xs[t] for t in range(len(xs))]
    finite = np.where(bad[:, None], np.nan, xs)
    for stream, kind in ((ragged, "of every kind"), (finite, "not finite")):
        session.reset()
        _same(np.array([session.step(x) for x in stream]), y_wanted, f"{policy}, step, {kind}")
        assert session.bad_readings == bad.sum(), f"{policy}: bad readings are counted"
        session.reset()
        pieces = [session.run(stream[cut]) for cut in _cuts(rng, len(xs))]
        _same(np.concatenate(pieces), y_wanted, f"{policy}, run in chunks, {kind}")
        assert session.bad_readings == bad.sum(), f"{policy}: run counts bad readings"
