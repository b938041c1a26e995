"""Contenders that run our own files: checked against the reference, then timed through sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import edgernn
from edgernn.backends import open_backend
from edgernn.backends.native import isas
from edgernn.bench.contenders import Contender, Opened, called, chunked, stepped
from edgernn.bench.probe import Probe, by_step, first_answer, period
from edgernn.errors import BackendMismatch, BackendUnavailable
from edgernn.model.formats import FloatArray, Int16Array, OperandArray
from edgernn.session.session import Session

#: Ways of taking steps, as labels name them.
STEP: Final = "step"
BIND: Final = "bind"
RUN: Final = "run"
#: Integer codes in and out, nothing checked: what is left is the network itself.
CODES: Final = "codes"
#: Peers in the numbers of their files, nothing checked.
BARE: Final = "bare"
#: Most streams that are timed together.
MOST_STREAMS: Final = 1024
#: Readings that each stream takes before the next one has its turn.
_CHUNK: Final = 32
#: Chunks that each stream takes in a turn.
_CHUNKS: Final = 8


def open_own(network: str, job: dict[str, Any]) -> Opened:
    """Contenders of one of our back-ends; the opener of their processes.

    Args:
        network: name of the model.
        job: "file", "backend" and its "options"; "program", as labels name it; "sha256" of the
            model; "probe", a file of `Probe`; "float_ys", a .npy file with the float network's
            outputs, or None; "streams", the numbers of streams to time.

    Raises:
        BackendMismatch: other outputs than the reference's, or a file of another model.
        BackendUnavailable: the back-end is not installed, or cannot run the file.
    """
    probe = Probe.load(Path(job["probe"]))
    found: list[Contender] = []
    for number, isa in enumerate(isas() if job["backend"] == "native" else [""]):
        options = dict(job["options"], **({"isa": isa} if isa else {}))
        with edgernn.load(job["file"], job["backend"], **options) as session:
            _check_model(job, session)
            owner = f"{job['program']} {isa}".strip()
            if job["backend"] != "reference":  # its own outputs are what others are compared with
                _check(owner, session, probe)
            share = _departure(probe, job["float_ys"])
            found += _ways(session.new_stream(), probe, job, isa, share, all_ways=not number)
    return Opened(contenders={network: found})


def _check_model(job: dict[str, Any], session: Session) -> None:
    if session.interface.model_sha256 != job["sha256"]:
        raise BackendMismatch(
            f"bench, {job['program']}: expected a file of the model {job['sha256'][:12]}, got "
            f"'{Path(job['file']).name}' of {session.interface.model_sha256[:12]}. Export it again "
            "with: edgernn export MODEL.edgernn"
        )


def _check(owner: str, session: Session, probe: Probe) -> None:
    """Compare every way of taking steps that is timed."""
    probe.check(owner, session.run(probe.xs))
    for taken in (by_step, by_bound_step):
        session.reset()
        probe.check(owner, taken(session, probe.xs))
    session.reset()


def by_bound_step(session: Session, xs: FloatArray) -> FloatArray:
    """Outputs [T, O] of readings [T, I], each from a call of what `Session.bind` returns."""
    x, y = np.empty_like(xs[0]), np.full(session.interface.output.width, np.nan)
    step, ys = session.bind(x, y), []
    for reading in xs:
        x[...] = reading
        step()
        ys.append(y.copy())
    return np.stack(ys)


def _departure(probe: Probe, float_ys: str | None) -> float | None:
    if float_ys is None:
        return None
    return departure(probe.ys, np.load(float_ys, allow_pickle=False))


def departure(ys: FloatArray, wanted: FloatArray) -> float | None:
    """RMS of the difference from the float network, in standard deviations of its outputs.

    Readings that the float network does not answer are left out, and outputs that never change.

    Args:
        ys: outputs [N, O].
        wanted: the float network's outputs [T, O], T >= N.

    Returns:
        A share; None if there is nothing to compare.

    Raises:
        BackendUnavailable: an output is not a finite number.
    """
    wanted = wanted[: len(ys)]
    answered = np.isfinite(wanted).all(axis=1)
    ys, wanted = ys[answered], wanted[answered]
    if not np.isfinite(ys).all():
        raise BackendUnavailable("its outputs are not finite numbers")
    spread = np.std(wanted, axis=0) if len(wanted) else np.zeros(1)
    moving = spread > 0
    if not moving.any():
        return None
    shares = (ys[:, moving] - wanted[:, moving]) / spread[moving]
    return float(np.sqrt(np.mean(shares**2)))


def _ways(
    session: Session,
    probe: Probe,
    job: dict[str, Any],
    isa: str,
    share: float | None,
    *,
    all_ways: bool,
) -> Iterator[Contender]:
    """Steps one by one and in chunks; of the first instruction set also bound steps and streams."""
    head = job["program"], job["form"]
    xs, every = probe.xs, period(session.interface)
    first = first_answer(session.interface)
    session.run(np.resize(xs, (first, xs.shape[1])))  # every timed step may have an answer
    yield stepped(*head, session.step, list(xs), period=every, isa=isa, departure=share)
    yield chunked(*head, session.run, xs, way=RUN, isa=isa, departure=share)
    if not all_ways:
        return
    if job["backend"] == "native":
        yield _bound(session, xs, head, period=every, isa=isa, departure=share)
    codes = _codes(session, probe, job)
    if codes is not None:
        rows = list(session.interface.quantize(xs))
        yield stepped(*head, codes, rows, way=CODES, isa=isa, departure=share)
    for count in job["streams"]:
        yield from _many([session.new_stream() for _ in range(count)], xs, head, isa)


def _codes(
    session: Session, probe: Probe, job: dict[str, Any]
) -> Callable[[OperandArray], Int16Array] | None:
    """A checked step from codes to codes, if the runtime and the kind of model have one."""
    interface = session.interface
    if interface.window is not None or interface.rate is not None:
        return None
    backend: Any = open_backend(job["file"], job["backend"], **job["options"])
    if not hasattr(backend, "unchecked_step"):
        return None
    step: Callable[[OperandArray], Int16Array] = backend.unchecked_step()
    q_ys = np.stack([step(q_x) for q_x in interface.quantize(probe.xs)])
    probe.check(f"{job['program']}, codes", interface.dequantize(q_ys))
    return step


def _bound(session: Session, xs: FloatArray, head: tuple[str, str], **named: Any) -> Contender:
    """Calls of bound steps; the sensor's program writes the reading into the array."""
    y = np.empty(session.interface.output.width)
    bound = [session.bind(np.ascontiguousarray(x), y) for x in xs]

    def call(step: Callable[[], None]) -> None:
        step()

    return stepped(*head, call, bound, way=BIND, **named)


def _many(
    streams: Sequence[Session], xs: FloatArray, head: tuple[str, str], isa: str
) -> Iterator[Contender]:
    """Several streams over the same weights, one reading or one chunk each in their order."""
    count = len(streams)
    chunk = np.ascontiguousarray(np.resize(xs, (_CHUNK, xs.shape[1])))

    def by_reading(x: FloatArray) -> None:
        for stream in streams:
            stream.step(x)

    def by_chunk(rows: FloatArray) -> None:
        for stream in streams:
            stream.run(rows)

    yield called(*head, streams_way(STEP, count), by_reading, list(chunk), per_call=count, isa=isa)
    chunks = [chunk] * _CHUNKS
    yield called(*head, streams_way(RUN, count), by_chunk, chunks, per_call=count * _CHUNK, isa=isa)


def streams_way(way: str, count: int) -> str:
    """How labels name several streams: ``run, 4 streams``."""
    return f"{way}, {count} stream{'s' * (count != 1)}"


def stream_counts(most: int) -> list[int]:
    """Numbers of streams to time: powers of two, and the largest.

    Args:
        most: the largest number.
    """
    powers = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*powers, most]
