"""What a running service knows about itself: counts, latencies, and the last points of streams."""

from __future__ import annotations

import bisect
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Container, Sequence
from typing import Any, Final

from edgernn.connections.arrival import Result
from edgernn.model.interface import Interface

#: Upper bounds of the buckets of latencies, in seconds: five per decade, 0.1 ms to 100 s.
LATENCY_BOUNDS_S: Final = tuple(round(10 ** (e / 5 - 4), 6) for e in range(31))
#: Outputs of a stream that the page shows.
_MOST_OUTPUTS: Final = 8
#: A stream without readings for so long may lose its place on the page to another.
_STALE_S: Final = 60.0
#: Seconds over which rates are measured.
_RATE_S: Final = 10
_MOST_EVENTS: Final = 100
#: Points of a stream in the overview.
_SPARK_POINTS: Final = 60
#: An output at this share of the largest code counts as saturated.
_FULL: Final = 32_766.5


class Latencies:
    """How long readings took, as counts in buckets of `LATENCY_BOUNDS_S`."""

    def __init__(self) -> None:
        """Nothing counted."""
        self.counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float, count: int) -> None:
        """Count readings that took so long."""
        self.counts[bisect.bisect_left(LATENCY_BOUNDS_S, seconds)] += count
        self.sum_s += seconds * count

    def quantile_s(self, share: float) -> float:
        """The bound below which this share of readings stays; NaN without readings."""
        total = sum(self.counts)
        seen = 0
        for bound, count in zip((*LATENCY_BOUNDS_S, math.inf), self.counts, strict=True):
            seen += count
            if total and seen >= share * total:
                return bound
        return math.nan


class StreamTrack:
    """The last points of one stream.

    Args:
        points: how many are kept.
        truth_after: readings by which the truth comes later than its prediction.
    """

    def __init__(self, points: int, truth_after: int) -> None:
        """No points yet."""
        self.points: deque[tuple[float, list[float], float, float, bool, bool]] = deque(
            maxlen=points
        )
        self.ahead: deque[float] = deque(maxlen=truth_after + 1)
        #: Time, number, outputs and decisions; not the fields that pass through: they may be large.
        self.last: tuple[float, int, list[float], dict[str, float | str | bool]] | None = None
        self.readings = self.bad = 0
        self.seen_s = 0.0

    def add(self, result: Result, truth: float, now_s: float) -> None:
        """Add a result."""
        self.ahead.append(result.y[0] if result.y else math.nan)
        whole = len(self.ahead) == self.ahead.maxlen
        predicted = self.ahead[0] if whole else math.nan
        alarm = any(value is True for value in result.decisions.values())
        point = (result.time_s, result.y[:_MOST_OUTPUTS], predicted, truth, alarm, result.bad)
        self.points.append(point)
        self.last = result.time_s, result.sequence, result.y, result.decisions
        self.seen_s = now_s
        self.readings += 1
        self.bad += result.bad


class Figures:
    """Written by the loop, read by the HTTP server.

    Args:
        interface: of the model.
        history: points that are kept per stream.
        max_keys: streams that are kept.
        truth: field of readings, or channel, that the first output is compared with; "" for none.
        truth_after: readings by which it comes later.
    """

    def __init__(
        self,
        interface: Interface,
        *,
        history: int = 300,
        max_keys: int = 200,
        truth: str = "",
        truth_after: int = 0,
    ) -> None:
        """Begin with nothing."""
        self.lock = threading.Lock()
        self.started_s, self.round_s = time.time(), time.monotonic()
        self.counts: Counter[str] = Counter()
        self.latencies = Latencies()
        self.streams: dict[str, StreamTrack] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self.keys_in_memory = self.waiting = 0
        self.committed_s = time.monotonic()
        self._history, self._max_keys = history, max_keys
        self._truth, self._truth_after = truth, truth_after
        self._per_second: deque[tuple[int, int]] = deque(maxlen=_RATE_S + 1)
        self._alarms: dict[tuple[str, str], bool] = {}
        self.use(interface)

    def use(self, interface: Interface) -> None:
        """Show another model; the counts go on."""
        with self.lock:
            self.interface = interface
            self.output_names = interface.output.names[:_MOST_OUTPUTS]
            self._full = [_FULL * float(scale) for scale in interface.output.scale]
            self.saturated = [0] * len(self._full)
            self.clipped: Sequence[int] = (0,) * interface.input.width
            self.steps = 0
            names = interface.input.names
            self._truth_channel = names.index(self._truth) if self._truth in names else -1

    def round(self) -> None:
        """The loop has gone round."""
        self.round_s = time.monotonic()

    def add(self, results: Sequence[Result]) -> None:
        """Count results, and keep the points of the streams that are shown."""
        now_s = time.monotonic()
        with self.lock:
            self.steps += len(results)
            for result in results:
                for index, (value, full) in enumerate(zip(result.y, self._full, strict=True)):
                    if abs(value) >= full:
                        self.saturated[index] += 1
                track = self.streams.get(result.key) or self._new_track(result.key, now_s)
                if track is not None:
                    track.add(result, self._truth_of(result), now_s)
                if result.decisions:
                    self._see_alarms(result)
            second = int(now_s)
            if self._per_second and self._per_second[-1][0] == second:
                self._per_second[-1] = (second, self._per_second[-1][1] + len(results))
            else:
                self._per_second.append((second, len(results)))

    def rate_hz(self) -> float:
        """Readings per second, over the last ten seconds."""
        now_s = time.monotonic()
        with self.lock:
            recent = [count for second, count in self._per_second if second >= now_s - _RATE_S]
        running_s = max(1.0, min(_RATE_S, time.time() - self.started_s))
        return sum(recent) / running_s

    def event(self, kind: str, text: str, key: str = "") -> None:
        """Keep something that the page tells."""
        with self.lock:
            self.events.append({"time_s": time.time(), "kind": kind, "text": text, "key": key})

    def overview(self) -> list[dict[str, Any]]:
        """The streams that are shown, by key, with the last points of each."""
        with self.lock:
            tracks = sorted(self.streams.items())
            return [self._brief(key, track) for key, track in tracks if track.last is not None]

    def history(self, key: str) -> dict[str, Any] | None:
        """All points of one stream; None if it is not shown."""
        with self.lock:
            track = self.streams.get(key)
            if track is None or track.last is None:
                return None
            points = list(track.points)
            brief = self._brief(key, track)
        times, outputs, predicted, truths, alarms, bad = zip(*points, strict=True)
        errors = [
            abs(p - t) for p, t in zip(predicted, truths, strict=True) if math.isfinite(p - t)
        ]
        return brief | {
            "time_s": times,
            "outputs": outputs,
            "predicted": predicted,
            "truth": truths,
            "alarm": alarms,
            "missing": bad,
            "mean_error": sum(errors) / len(errors) if errors else None,
        }

    def _brief(self, key: str, track: StreamTrack) -> dict[str, Any]:
        assert track.last is not None
        time_s, sequence, y, decisions = track.last
        spark = list(track.points)[-_SPARK_POINTS:]
        return {
            "key": key,
            "readings": track.readings,
            "bad": track.bad,
            "last_s": time_s,
            "silent_s": time.monotonic() - track.seen_s,
            "sequence": sequence,
            "y": dict(zip(self.output_names, y, strict=False)),
            "decisions": decisions,
            "alarm": spark[-1][4],
            "spark": [point[1][0] for point in spark if point[1]],
        }

    def _new_track(self, key: str, now_s: float) -> StreamTrack | None:
        if len(self.streams) >= self._max_keys:
            oldest = next(iter(self.streams))
            if now_s - self.streams[oldest].seen_s < _STALE_S:
                self.streams[oldest] = self.streams.pop(oldest)  # look at another one next time
                return None
            del self.streams[oldest]
        track = self.streams[key] = StreamTrack(self._history, self._truth_after)
        return track

    def _truth_of(self, result: Result) -> float:
        if self._truth_channel >= 0:
            return result.x[self._truth_channel]
        value = result.passed.get(self._truth) if self._truth else None
        try:
            return math.nan if value is None else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return math.nan

    def _see_alarms(self, result: Result) -> None:
        """Keep the moments at which a decision of yes or no changes."""
        for name, value in result.decisions.items():
            if not isinstance(value, bool):
                continue
            place = (result.key, name)
            if value == self._alarms.get(place, False):
                continue
            if value:
                self._alarms[place] = True
                self.counts["alarms"] += 1
            else:
                del self._alarms[place]
            text = f"{name} {'begins' if value else 'ends'}"
            self.events.append(
                {"time_s": result.time_s, "kind": "alarm", "text": text, "key": result.key,
                 "on": value}
            )  # fmt: skip

    def forget_alarms(self, known: Container[str]) -> None:
        """Forget the alarms of all streams but these."""
        with self.lock:
            for key, name in [place for place in self._alarms if place[0] not in known]:
                del self._alarms[key, name]

    @property
    def alarms_on(self) -> int:
        """Decisions of yes that hold now, in the streams in memory."""
        return len(self._alarms)
