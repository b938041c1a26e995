"""Rows that are sessions: for every backend and kind of model that has no other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgernn.backends.rows import Int64Array
from edgernn.errors import ReadingError
from edgernn.model.formats import BoolArray, FloatArray, Int32Array
from edgernn.session.session import Session


class SessionRows:
    """A session for each row (see `StreamRows`).

    Args:
        first: a session at its beginning; the others are new streams of it.

    Attributes:
        clipped: see `StreamRows.clipped`.
    """

    def __init__(self, first: Session) -> None:
        """No rows yet."""
        self._first = first
        self._sessions: list[Session] = []
        self.clipped = (0,) * first.interface.input.width

    @property
    def count(self) -> int:
        """Rows there are."""
        return len(self._sessions)

    def resize(self, count: int) -> None:
        """See `StreamRows.resize`."""
        self._sessions += [self._new() for _ in range(count - len(self._sessions))]

    def _new(self) -> Session:
        """A session at its beginning, which warns of clipping if none has."""
        session = self._first.new_stream()
        session._encoder.told = any(self.clipped)
        return session

    def reset(self, rows: Int32Array, /) -> None:
        """See `StreamRows.reset`."""
        for row in rows.tolist():
            self._sessions[row].reset()

    def step(
        self,
        rows: Int32Array,
        xs: FloatArray,
        ys: FloatArray,
        bad: BoolArray,
        sequence: Int64Array | None,
        softmax: bool,
        /,
    ) -> None:
        """See `StreamRows.step`."""
        missing = ~np.isfinite(xs).all(axis=1)
        numbers = [None] * len(rows) if sequence is None else sequence.tolist()
        for b, (row, number) in enumerate(zip(rows.tolist(), numbers, strict=True)):
            session = self._sessions[row]
            bad[b] = missing[b] and (number is None or number > session.sequence)
            before = session.clipped_readings
            try:
                ys[b] = session.step(xs[b], softmax=softmax, sequence=number)
            except ReadingError:  # a missing value, or what is no token
                bad[b], ys[b] = True, np.nan
            if session.clipped_readings is not before:
                self._count(before, session.clipped_readings)

    def _count(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        if not any(self.clipped):
            for session in self._sessions:
                session._encoder.told = True
        more = zip(self.clipped, before, after, strict=True)
        self.clipped = tuple(count + now - was for count, was, now in more)

    def export(self, rows: Int32Array, /) -> list[bytes]:
        """See `StreamRows.export`."""
        return [self._sessions[row].to_bytes() for row in rows.tolist()]

    def load(self, rows: Int32Array, blobs: Sequence[bytes], migrate: bool = False, /) -> None:
        """See `StreamRows.load`."""
        made = [self._new() for _ in blobs]
        for session, blob in zip(made, blobs, strict=True):
            session.from_bytes(blob, migrate=migrate)
        for row, session in zip(rows.tolist(), made, strict=True):
            self._sessions[row] = session
