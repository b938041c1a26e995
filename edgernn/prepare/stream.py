"""The preparation of one stream: raw readings in, readings of the model out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from edgernn.errors import ReadingError, ShapeError
from edgernn.prepare.part import COUNTED, Counts, Prepared, RowPart
from edgernn.prepare.resampling import ResampledStream, Resampling
from edgernn.prepare.state_bytes import Remembering, packed, restore_parts, unpacked

if TYPE_CHECKING:
    from edgernn.prepare.preparation import Preparation

#: Times further from 1970 than this are none.
MAX_TIME_S: Final = 6e10
#: So many readings in a row must be far too early until the clock is believed to have been set.
SET_BACK_READINGS: Final = 3

#: Whether readings have times: not known before the first one.
_UNKNOWN, _TIMED, _UNTIMED = range(3)
_TIME: Final = "a time in seconds since 1970-01-01 UTC"

_MAGIC: Final = b"ERNP\x01"


class PreparationStream:
    """Prepares the readings of one stream.

    Attributes:
        counts: what happened so far, by name: raw ``readings``; of these ``late`` and ``repeated``
            ones, which were dropped; ``set_back``, how often the clock was set back; ``gaps`` of
            missed periods, values ``filled`` in them, and ``resets`` after longer ones; values
            ``clipped``.
        sequence: number of the last raw reading.
    """

    __slots__ = (
        "_after", "_back", "_back_s", "_before", "_last_s", "_mode", "_parts", "_picked",
        "_preparation", "_resampled", "counts", "sequence",
    )  # fmt: skip

    def __init__(self, preparation: Preparation) -> None:
        """A stream before its first reading."""
        self._preparation = preparation
        self.counts: Counts = dict.fromkeys(COUNTED, 0)
        self.sequence = 0
        #: Time of the last reading that was taken; NaN before it.
        self._last_s = math.nan
        #: Whether readings have times.
        self._mode = _UNKNOWN
        #: Readings in a row that were far too early, and the time of the last one.
        self._back, self._back_s = 0, math.nan
        self._before: list[RowPart] = []
        self._resampled: ResampledStream | None = None
        self._after: list[RowPart] = []
        names, place = preparation.inputs, self._before
        for step in preparation.steps:
            if isinstance(step, Resampling):
                early = preparation.repeated == "drop"
                self._resampled = ResampledStream(step, len(names), early, self.counts)
                place = self._after
            else:
                place.append(step.begin(names, self.counts))
                names += step.adds()
        resampled = [] if self._resampled is None else [self._resampled]
        self._parts: list[Remembering] = [*self._before, *resampled, *self._after]
        #: Where the model's channels are in a row; None where they are the row.
        self._picked: list[int] | None = None
        if preparation.channels != preparation.rows:
            self._picked = [names.index(name) for name in preparation.channels]

    def push(
        self, time_s: float | None, values: Sequence[float], sequence: int | None = None
    ) -> list[Prepared]:
        """Take one raw reading.

        Args:
            time_s: seconds since 1970-01-01 UTC; None in a stream without times, whose readings
                come once per period.
            values: one per raw channel [R]; NaN where one is missing. Infinities count as missing.
            sequence: number of the reading, where the source numbers them: a reading whose number
                is not above the last one was here before and is dropped. None adds 1.

        Returns:
            The readings for the model that are now known, oldest first: none, one or several.

        Raises:
            ShapeError: another number of values.
            ReadingError: the time is missing, not finite or out of range. The stream is unchanged.
        """
        if len(values) != len(self._preparation.inputs):
            raise ShapeError(
                f"preparation: expected {len(self._preparation.inputs)} values "
                f"({', '.join(self._preparation.inputs)}), got {len(values)}."
            )
        accepted = self._accepted(time_s, sequence)
        if accepted is None:
            return []
        row = [x if -math.inf < x < math.inf else math.nan for x in values]
        return self._prepared(accepted[0], row, accepted[1])

    def _accepted(self, time_s: float | None, sequence: int | None) -> tuple[float, bool] | None:
        """Time of a reading, and whether the clock was set back; None to drop the reading."""
        mode = _TIMED
        if time_s is None:
            time_s, mode = self._without_time(), _UNTIMED
        elif not -MAX_TIME_S <= time_s <= MAX_TIME_S or self._mode == _UNTIMED:
            raise ReadingError(
                f"preparation: expected {'no time' if self._mode == _UNTIMED else _TIME}, got "
                f"{time_s!r:.40}. Divide milliseconds by 1000; pass a time with all readings or "
                "with none."
            )
        counts = self.counts
        if sequence is None:
            self.sequence += 1
        elif sequence <= self.sequence and counts["readings"]:
            counts["repeated"] += 1
            return None
        else:
            self.sequence = sequence
        self._mode = mode
        counts["readings"] += 1
        reset = False
        if time_s <= self._last_s:
            if time_s < self._last_s:
                if not self._set_back(time_s):
                    counts["late"] += 1
                    return None
                counts["set_back"] += 1
                reset = True
            elif self._preparation.repeated == "drop":
                counts["repeated"] += 1
                return None
        self._last_s = time_s
        self._back = 0
        return time_s, reset

    def _without_time(self) -> float:
        """The time of a reading that has none."""
        preparation = self._preparation
        if self._mode == _TIMED or preparation.timed:
            raise ReadingError(
                "preparation: expected a time in seconds since 1970-01-01 UTC with every reading, "
                "got none. Pass one, or None with every reading if no step needs a time."
            )
        period_s = preparation.period_s
        return math.nan if period_s is None else self.counts["readings"] * period_s

    def _set_back(self, time_s: float) -> bool:
        """Whether an early reading means that the clock was set back."""
        if time_s >= self._last_s - self._preparation.set_back_s:
            self._back = 0
            return False
        self._back = self._back + 1 if self._back and time_s > self._back_s else 1
        self._back_s = time_s
        return self._back >= SET_BACK_READINGS

    def _prepared(self, time_s: float, row: list[float], reset: bool) -> list[Prepared]:
        for part in self._before:
            if reset:
                part.reset()
            part.apply(time_s, row)
        found: list[Prepared] = []
        if self._resampled is None:
            found.append(Prepared(time_s, row, reset))
        else:
            self._resampled.push(time_s, row, reset, found)
        for one in found:
            for part in self._after:
                if one.reset:
                    part.reset()
                part.apply(one.time_s, one.x)
        if self._picked is None:
            return found
        picked = self._picked
        return [Prepared(t, [x[i] for i in picked], anew) for t, x, anew in found]

    def to_bytes(self) -> bytes:
        """The state of the stream, with a checksum."""
        own = [self._last_s, float(self._mode), float(self._back), self._back_s]
        counts = [self.sequence, *self.counts.values()]
        return packed(_MAGIC, self._preparation.sha256, counts, own, self._parts)

    def from_bytes(self, blob: bytes) -> None:
        """Restore a state that `to_bytes` gave.

        Raises:
            StateError: the bytes are damaged, or of another preparation; nothing has changed.
        """
        sha256 = self._preparation.sha256
        counts, own, rest = unpacked(_MAGIC, sha256, 1 + len(COUNTED), 4, blob, "preparation")
        restore_parts(self._parts, rest)
        self.sequence = counts[0]
        self.counts.update(zip(COUNTED, counts[1:], strict=True))
        self._last_s, self._back_s = own[0], own[3]
        self._mode, self._back = int(own[1]), int(own[2])
