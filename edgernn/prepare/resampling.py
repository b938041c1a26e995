"""Readings that come when they like, turned into one per period of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from edgernn.declared import setting
from edgernn.prepare.part import Counts, Prepared, StepDeclaration

#: A reading may be this share of a period late and still belongs to the period before.
JITTER: Final = 1e-6
#: Most periods that a gap may have without a reset: what is filled, or kept, at once.
MAX_MISSED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling(StepDeclaration):
    """One reading per period, at whole multiples of the period since 1970-01-01 UTC.

    The reading at time g stands for the raw readings after g - period and up to g. It is known as
    soon as a reading comes at g or after, so that no reading of the future is used.

    Attributes:
        period_s: seconds from one reading of the model to the next.
        method: "mean" or "last" of the raw readings of a period; "linear" for the value at g on the
            line between the readings around it, which is then known with the second.
        gap: what a period without a value gets: "hold" the last value; "linear", a line to the next
            one, known when that comes; "nan", a missing value, which the model's policy for bad
            readings handles. Method "linear" draws lines across gaps too.
        reset_after: after this many periods without any reading nothing is filled, and the stream
            starts again. A channel alone is held, or drawn across, for fewer periods; then its
            values are missing.
    """

    kind: ClassVar[str] = "resample"

    period_s: float = setting("seconds between readings of the model", low=1e-3, high=3.2e7)
    method: str = setting(
        "how readings of one period become one", default="mean", choices=("mean", "last", "linear")
    )
    gap: str = setting(
        "value of a period without a reading",
        default="hold",
        choices=("hold", "linear", "nan"),
    )
    reset_after: int = setting(
        "missed periods after which the stream starts again", default=10, low=1, high=MAX_MISSED
    )

    def problems(self) -> Iterator[str]:
        """Lines from reading to reading leave no gap to fill otherwise."""
        if self.method == "linear" and self.gap == "nan":
            yield 'gap: expected "linear" for method = "linear", got "nan". Omit gap.'


class ResampledStream:
    """The resampling of one stream.

    Bins are numbered: bin k ends at k periods. Knots are the last values of every channel, at
    times in periods.
    """

    __slots__ = (
        "_bin", "_counts", "_early", "_hits", "_knots", "_lines", "_open", "_pending",
        "_raw_lines", "_restart", "_step", "_sums", "_values", "_width",
    )  # fmt: skip

    def __init__(self, step: Resampling, width: int, early: bool, counts: Counts) -> None:
        """A stream before its first reading.

        Args:
            step: the declaration.
            width: number of channels.
            early: a reading at the end of a bin closes it; there are no two at one time.
            counts: of the stream.
        """
        self._step, self._width, self._early, self._counts = step, width, early, counts
        self._raw_lines = step.method == "linear"
        self._lines = self._raw_lines or step.gap == "linear"
        self._restart = False
        self.reset()

    def reset(self) -> None:
        """Forget all readings."""
        width = self._width
        #: Number of the bin of the last reading; -inf before the first.
        self._bin = -math.inf
        self._open = False
        self._sums = [0.0] * width
        self._hits = [0] * width
        self._knots = [-math.inf] * width
        self._values = [math.nan] * width
        #: Rows that wait for the ends of their lines: bin and values.
        self._pending: list[tuple[float, list[float]]] = []

    def push(self, time_s: float, row: list[float], reset: bool, out: list[Prepared]) -> None:
        """Take a raw reading; append the rows that are complete.

        Args:
            time_s: not before the reading before.
            row: values; NaN where one is missing.
            reset: forget what was before.
            out: gets the readings of the periods that are complete.
        """
        step = self._step
        q = time_s / step.period_s
        k = float(math.ceil(q - JITTER))
        missed = k - self._bin - 1.0
        if reset:
            self._begin_anew(out)
        elif missed > 0.0 and self._bin > -math.inf:
            self._counts["gaps"] += 1
            if missed >= step.reset_after:
                self._counts["resets"] += 1
                self._begin_anew(out)
        on_time = q >= k - JITTER
        if self._raw_lines:
            self._take_on_lines(k if on_time else q, k, row, out)
        else:
            self._take(k, on_time, row, out)

    def _take(self, k: float, on_time: bool, row: list[float], out: list[Prepared]) -> None:
        if k != self._bin:
            if self._open:
                self._close(out)
            if self._bin > -math.inf:
                for _ in range(int(k - self._bin) - 1):
                    self._bin += 1.0
                    self._close(out)
            self._bin = k
        elif not self._open:  # closed by a reading at its very end
            self._counts["late"] += 1
            return
        self._open = True
        sums, hits = self._sums, self._hits
        if self._step.method == "mean":
            for i, x in enumerate(row):
                if x == x:
                    sums[i] += x
                    hits[i] += 1
        else:
            for i, x in enumerate(row):
                if x == x:
                    sums[i] = x
                    hits[i] = 1
        if on_time and self._early:
            self._close(out)

    def _close(self, out: list[Prepared]) -> None:
        """The row of the bin: its values, and those that fill missing ones."""
        k, sums, hits, knots, values = self._bin, self._sums, self._hits, self._knots, self._values
        gap, most = self._step.gap, self._step.reset_after
        row = [math.nan] * self._width
        for i in range(self._width):
            count = hits[i]
            if count:
                x = sums[i] / count if count > 1 else sums[i]
                if self._lines:
                    self._draw(i, k, x)
                row[i] = values[i] = x
                knots[i] = k
                sums[i] = 0.0
                hits[i] = 0
            elif gap == "hold" and k - knots[i] < most:
                row[i] = values[i]
                self._counts["filled"] += 1
        self._open = False
        if self._lines:
            self._pending.append((k, row))
            self._release(k, out)
        else:
            self._emit(k, row, out)

    def _take_on_lines(self, q: float, k: float, row: list[float], out: list[Prepared]) -> None:
        """Rows at the ends of bins that the reading reaches; their values, where now known."""
        reached = self._bin - self._open if self._bin > -math.inf else k - 1.0
        self._bin, self._open = k, q < k
        last = k - self._open
        while reached < last:
            reached += 1.0
            self._pending.append((reached, [math.nan] * self._width))
        for i, x in enumerate(row):
            if x == x:
                self._draw(i, q, x)
                self._knots[i], self._values[i] = q, x
        self._release(last, out)

    def _draw(self, i: int, q: float, x: float) -> None:
        """Values of a channel in the rows that wait, on the line from its last one to a new one."""
        start, before = self._knots[i], self._values[i]
        for g, row in self._pending:
            if g == q:
                row[i] = x
            elif -math.inf < start < g < q:
                row[i] = before + (x - before) * ((g - start) / (q - start))
                self._counts["filled"] += not self._raw_lines

    def _release(self, k: float, out: list[Prepared]) -> None:
        """Emit the rows that no line can change any more."""
        most, knots, pending = self._step.reset_after, self._knots, self._pending
        for i, knot in enumerate(knots):
            if k - knot >= most:
                knots[i], self._values[i] = -math.inf, math.nan
        known = min((knot for knot in knots if knot > -math.inf), default=math.inf)
        count = 0
        while count < len(pending) and pending[count][0] <= known:
            self._emit(*pending[count], out)
            count += 1
        del pending[:count]

    def _begin_anew(self, out: list[Prepared]) -> None:
        """Emit all that waits, and forget the readings."""
        if self._open and not self._raw_lines:
            self._close(out)
        for g, row in self._pending:
            self._emit(g, row, out)
        self.reset()
        self._restart = True

    def _emit(self, k: float, row: list[float], out: list[Prepared]) -> None:
        out.append(Prepared(k * self._step.period_s, row, self._restart))
        self._restart = False

    def state(self) -> list[float]:
        """What the part remembers."""
        flat = [self._bin, float(self._open), float(self._restart)]
        flat += [*self._sums, *map(float, self._hits), *self._knots, *self._values]
        for g, row in self._pending:
            flat += [g, *row]
        return flat

    def restore(self, values: list[float], /) -> None:
        """Remember what `state` gave."""
        width = self._width
        self._bin, self._open, self._restart = values[0], bool(values[1]), bool(values[2])
        parts = [values[3 + j * width : 3 + (j + 1) * width] for j in range(4)]
        self._sums, self._hits = parts[0], [int(count) for count in parts[1]]
        self._knots, self._values = parts[2], parts[3]
        rest = values[3 + 4 * width :]
        self._pending = [
            (rest[j], rest[j + 1 : j + 1 + width]) for j in range(0, len(rest), width + 1)
        ]
