"""Many sequences at once, each from the beginning of a stream."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeGuard, TypeVar, overload

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import MAX_THREADS, runs_sequences
from edgernn.backends.streams.whole_streams import whole_streams
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray, Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface
from edgernn.session.chunk_session import ChunkSession
from edgernn.session.loading import load
from edgernn.session.readings import read_many
from edgernn.session.session import Session

ModelOrSession = str | Path | IntegerModel | Session
_Element = TypeVar("_Element", bound=np.generic)


@overload
def run_many(
    source: ModelOrSession,
    sequences: Iterable[npt.ArrayLike | object],
    *,
    last: Literal[False] = False,
    softmax: bool = False,
    threads: int = 1,
    **options: Any,
) -> list[FloatArray]: ...


@overload
def run_many(
    source: ModelOrSession,
    sequences: Iterable[npt.ArrayLike | object],
    *,
    last: Literal[True],
    softmax: bool = False,
    threads: int = 1,
    **options: Any,
) -> FloatArray: ...


def run_many(
    source: ModelOrSession,
    sequences: Iterable[npt.ArrayLike | object],
    *,
    last: bool = False,
    softmax: bool = False,
    threads: int = 1,
    **options: Any,
) -> list[FloatArray] | FloatArray:
    """Run many sequences, each on a new stream.

    The outputs are those of `Session.run` on a new stream, bit for bit. It is faster where there
    are at least 4 sequences: on the native back-end 4 of them share each load of the weights, the
    reference computes them side by side.

        ys = edgernn.run_many("model.edgernn", sequences, last=True)

    Args:
        source: what `edgernn.load` opens; or a session, whose model, back-end, policies and warm-up
            hold. The session's own stream does not change.
        sequences: what `Session.run` takes, one for each sequence; their lengths may differ.
        last: return the last output of each sequence alone. A window model then computes one window
            for each.
        softmax: as in `Session.run`.
        threads: of the native back-end, 1 to 1024.
        options: of `edgernn.load`, such as ``on_bad_reading``; none for a session.

    Returns:
        A float64 array [T, O] for each sequence; with ``last`` one array [B, O]. NaN where there is
        no output.

    Raises:
        ReadingError: a value is missing and its channel's policy is "raise"; names the sequence.
        ShapeError: not sequences of readings of this model.
        EdgeRnnError: a closed session, options that do not apply, or programs that share states.

    Warns:
        ClippedReadingsWarning: once, a value is outside the calibrated range.
    """
    if isinstance(source, Session):
        if options:
            raise EdgeRnnError(
                f"run_many: expected no options for a session, got {', '.join(options)}. Pass them "
                "to edgernn.load."
            )
        return _run_all(source, sequences, last, softmax, threads)
    with load(source, **options) as session:
        if isinstance(session, ChunkSession):
            raise EdgeRnnError(
                "run_many: expected a model over a stream, got a network that answers whole "
                "chunks. Pass them to edgernn.load_chunks(source).run_many(chunks)."
            )
        if not isinstance(session, Session):
            raise EdgeRnnError(
                "run_many: expected a model of one program, got a set of programs. Run each "
                "sequence with edgernn.load_programs."
            )
        return _run_all(session, sequences, last, softmax, threads)


def _run_all(
    session: Session,
    sequences: Iterable[npt.ArrayLike | object],
    last: bool,
    softmax: bool,
    threads: int,
) -> list[FloatArray] | FloatArray:
    shared = session._require_open()
    interface = shared.interface
    if softmax:
        interface.require_softmax()
    most = MAX_THREADS if runs_sequences(shared.backend) else 1
    if not 1 <= threads <= most:
        raise EdgeRnnError(
            f"run_many: expected threads {f'1 to {most}' if most > 1 else '1'} on the backend "
            f"'{shared.backend.name}', got {threads}."
        )
    with session.new_stream() as fresh:
        xs = _read(fresh, sequences)
        if interface.input.mask is not None and not all(np.isfinite(x).all() for x in xs):
            return _one_after_another(fresh, xs, last, softmax)
        coded = _coded(fresh, xs)
    q_ys = whole_streams(shared, [one.q_xs for one in coded], last, threads)
    outputs = _split(interface.real_outputs(_joined(q_ys, interface), softmax), q_ys)
    if not last:
        nothing = interface.real_outputs(None, softmax)[None]
        return [_at_readings(ys, one, nothing) for ys, one in zip(outputs, coded, strict=True)]
    lasts = np.full((len(outputs), interface.output.width), np.nan)
    for b, ys in enumerate(outputs):
        lasts[b : b + 1][: len(ys)] = ys
    return lasts


class CodedSequence(NamedTuple):
    """What a sequence advances a new stream by.

    Attributes:
        q_xs: operand codes [N, I].
        rows: after how many of them each reading is answered, [T]; None where every reading
            advances the stream.
    """

    q_xs: OperandArray
    rows: npt.NDArray[np.intp] | None = None


def _read(session: Session, sequences: Iterable[npt.ArrayLike | object]) -> list[FloatArray]:
    """All sequences as readings [T, I]."""
    spec = session.interface.input
    names, ports, width = spec.names, spec.ports, spec.width
    return [
        one if _is_plain(one, width) else read_many(one, names, ports, f"sequence {b}")
        for b, one in enumerate(sequences)
    ]


def _one_after_another(
    session: Session, xs: Sequence[FloatArray], last: bool, softmax: bool
) -> list[FloatArray] | FloatArray:
    """Outputs of a model with a mask where values are missing: a missing value is not masked."""
    found = []
    for b, x in enumerate(xs):
        session.reset()
        rows, channels = np.nonzero(~np.isfinite(x))
        if len(rows):
            where = f"sequence {b}, reading"
            found.append(session._run_with_gaps(x.copy(), (rows, channels), softmax, where))
        else:
            found.append(session.run(x, softmax=softmax))
    if not last:
        return found
    nothing = np.full((1, session.interface.output.width), np.nan)
    lasts: FloatArray = np.concatenate(
        [nothing[:0], *(ys[-1:] if len(ys) else nothing for ys in found)]
    )
    return lasts


def _coded(session: Session, xs: Sequence[FloatArray]) -> list[CodedSequence]:
    """Codes of all sequences, made together where no value is missing."""
    if not xs:
        return []
    x = np.concatenate(xs)
    if np.isfinite(x).all():
        return [CodedSequence(q_xs) for q_xs in _split(session._encoder.encode(x), xs)]
    return [_coded_one(session, one, f"sequence {b}") for b, one in enumerate(_split(x, xs))]


def _is_plain(xs: object, width: int) -> TypeGuard[FloatArray]:
    """Whether these are readings [T, I] that need no conversion."""
    return type(xs) is np.ndarray and xs.dtype == np.float64 and xs.shape[1:] == (width,)


def _coded_one(session: Session, x: FloatArray, where: str) -> CodedSequence:
    """Codes of readings [T, I], of which values may be missing; changes them."""
    good = np.isfinite(x)
    if good.all():
        return CodedSequence(session._encoder.encode(x))
    rows, channels = np.nonzero(~good)
    q_xs, still, _, came = session._filled(x, (rows, channels), f"{where}, reading")
    came[np.flatnonzero(came)[:still]] = False
    return CodedSequence(q_xs[still:], np.cumsum(came))


def _split(array: npt.NDArray[_Element], like: Sequence[Sized]) -> list[npt.NDArray[_Element]]:
    """Consecutive parts, as long as these."""
    ends = itertools.accumulate(map(len, like))
    return [array[end - len(one) : end] for end, one in zip(ends, like, strict=True)]


def _joined(q_ys: list[Int16Array], interface: Interface) -> Int16Array:
    """All outputs one behind another; masked where there is none yet."""
    if not q_ys:
        return np.empty((0, interface.output.width), dtype=np.int16)
    masked = any(isinstance(one, np.ma.MaskedArray) for one in q_ys)
    joined: Int16Array = np.ma.concatenate(q_ys) if masked else np.concatenate(q_ys)  # type: ignore[no-untyped-call]
    return joined


def _at_readings(ys: FloatArray, one: CodedSequence, nothing: FloatArray) -> FloatArray:
    """Outputs [T, O] of the readings, of those that advanced the stream."""
    if one.rows is None:
        return ys
    chosen: FloatArray = np.concatenate([nothing, ys])[one.rows]
    return chosen
