"""From readings of many streams to results: preparation, model, decisions."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.backends import BackendName
from edgernn.connections.arrival import Arrival, Result
from edgernn.errors import DeclarationError, ReadingError, StateError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface
from edgernn.pool.stream_pool import StreamPool
from edgernn.records.port_names import column_names
from edgernn.service.readings import ClippedStreams, WaitingRows, is_text
from edgernn.service.stream_record import StreamRecord, split_bytes
from edgernn.session.checks import WarmUp
from edgernn.session.policies import OnBadReading

_INT64: Final = range(-(1 << 63) + 1, 1 << 63)
#: So many repeats in a row are told: the device may count anew.
_MANY_REPEATS: Final = 100
#: Told about something that happened to a stream: its key and a sentence.
Told = Callable[[str, str], None]


class Pipeline:
    """The streams of one model, by key.

    `process` takes readings in any order of keys; each stream sees its own in their order, with the
    bits that its own session would give.

    Args:
        source: the model.
        backend: as in `edgernn.load`.
        on_bad_reading: as in `edgernn.load`.
        warm_up: as in `edgernn.load`.
        softmax: give probabilities where the model has them.
        capacity: streams in memory; None: no limit.
        idle_s: seconds after which a stream without readings leaves memory; None: never.
        preparation: takes the place of the one that the model records.
        decisions: take the place of those that the model records.
        saved: what is saved of streams that are not in memory, by key; of this model, or of an
            earlier one whose streams it continues.

    Attributes:
        capacity: streams in memory; None: no limit.
        channels: names of the raw channels, which readings have.
        counts: readings, and what happened to them, since the pipeline was made.
    """

    def __init__(
        self,
        source: str | Path | IntegerModel,
        *,
        backend: BackendName = "auto",
        on_bad_reading: OnBadReading = "hold",
        warm_up: WarmUp = "nothing",
        softmax: bool = False,
        capacity: int | None = None,
        idle_s: float | None = None,
        preparation: Any = None,
        decisions: Any = None,
        saved: Callable[[list[str]], Mapping[str, bytes]] | None = None,
    ) -> None:
        """Open the model."""
        self._pool: Any = StreamPool(
            source,
            backend,
            capacity=capacity,
            idle_s=idle_s,
            on_bad_reading=on_bad_reading,
            warm_up=warm_up,
            evicted=self._on_evicted,
            recall=self._on_recall,
        )
        self.interface: Interface = self._pool.interface
        recorded = self.interface
        names = column_names(recorded.input.names, recorded.input.ports)
        self.preparation = preparation or recorded.preparation
        self.decisions = decisions or recorded.decisions
        self._check_declared()
        self.channels: tuple[str, ...] = (
            names if self.preparation is None else tuple(self.preparation.inputs)
        )
        #: Whether a reading is a block of samples of the one channel.
        self._takes_blocks = getattr(self.preparation, "audio", None) is not None
        self._outputs = column_names(recorded.output.names, recorded.output.ports)
        wanted = softmax or (self.decisions is not None and self.decisions.softmax)
        self._softmax = wanted and bool(recorded.output.softmax)
        self.capacity, self._saved = capacity, saved
        self._told: Told = lambda _key, _text: None
        self._clipped = ClippedStreams(self.interface)
        self._streams: dict[str, StreamRecord] = {}
        #: Streams that left memory and are not saved yet, with the state of the model.
        self._left: dict[str, tuple[StreamRecord, bytes]] = {}
        self._changed: dict[str, None] = {}
        self.counts: Counter[str] = Counter()

    def _check_declared(self) -> None:
        """Fit preparation and decisions to the model.

        Raises:
            DeclarationError: they do not fit.
        """
        interface = self.interface
        inputs, outputs = interface.input.names, interface.output.names
        if self.preparation is not None and self.preparation.channels != inputs:
            self.close()
            raise DeclarationError(
                [
                    f"preparation: expected the channels {', '.join(inputs)}, got "
                    f"{', '.join(self.preparation.channels)}. Change the steps, or take the model "
                    "that they are for."
                ]
            )
        if self.decisions is None:
            return
        try:
            if not self.decisions.outputs:
                self.decisions = self.decisions.bound(inputs, outputs)
            self.decisions.stream()
        except DeclarationError:
            self.close()
            raise

    def __len__(self) -> int:
        """Streams in memory."""
        return len(self._streams)

    @property
    def clipped_readings(self) -> tuple[int, ...]:
        """Readings outside the calibrated range, per prepared channel, over all streams."""
        return tuple(self._pool.clipped_readings)

    def process(
        self, arrivals: Sequence[Arrival], arrived_s: Sequence[float] | None = None
    ) -> list[Result]:
        """Answer readings.

        Args:
            arrivals: in the order in which they came. Those without a key or values are counted
                and left out, and so are readings that came before.
            arrived_s: when each came, which counts where it has no time; in seconds
                since 1970-01-01 UTC.

        Returns:
            A result for each prepared reading, in the same order.
        """
        results: list[Result] = []
        stamps = itertools.repeat(math.nan) if arrived_s is None else arrived_s
        for part in self._parts(zip(arrivals, stamps, strict=False)):
            self.recall({arrival.key for arrival, _ in part})
            rows = WaitingRows()
            for arrival, stamp in part:
                if arrival.values and (arrival.key in self._streams or self._is_key(arrival.key)):
                    self._prepare(arrival, stamp, rows, results)
                else:
                    self.counts["unreadable"] += 1
            self._answer(rows, results)
        return results

    def export(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The streams with these keys as bytes, for those that are in memory."""
        known = [key for key in keys if key in self._streams]
        stepped = [key for key in known if key in self._pool]
        states = dict(zip(stepped, self._pool.export(stepped), strict=True))
        return {key: self._streams[key].to_bytes(states.get(key, b"")) for key in known}

    def load(self, blobs: Mapping[str, bytes], *, migrate: bool = False) -> None:
        """Continue streams from bytes.

        Args:
            blobs: by key, as `export` returned them.
            migrate: whether the states may be of another model.

        Raises:
            StateError: a state is damaged, or does not belong to this model.
        """
        records, states = {}, {}
        for key, blob in blobs.items():
            record, state, preparation, decisions = split_bytes(blob, key)
            record.preparation = self._continued(self.preparation, preparation, key)
            record.decisions = self._continued(self.decisions, decisions, key)
            records[key] = record
            if state:
                states[key] = state
        self._pool.load(list(states), list(states.values()), migrate=migrate)
        self._streams |= records

    def take_changed(self) -> dict[str, bytes]:
        """What must be saved: streams that changed or left memory since the last call."""
        left, self._left = self._left, {}
        changed, self._changed = self._changed, {}
        saved = {key: record.to_bytes(state) for key, (record, state) in left.items()}
        return saved | self.export(list(changed))

    def let_idle_leave(self) -> None:
        """Let streams leave memory that had no reading for `idle_s`."""
        self._pool.evict_idle()

    def tell(self, told: Told) -> None:
        """Who hears of streams and readings that cannot be used."""
        self._told = told

    def __contains__(self, key: object) -> bool:
        """Whether the stream is in memory."""
        return key in self._streams

    def recall_from(self, saved: Callable[[list[str]], Mapping[str, bytes]] | None) -> None:
        """Where streams that are not in memory are looked up."""
        self._saved = saved

    def keys(self) -> list[str]:
        """The streams in memory."""
        return list(self._streams)

    def recall(self, keys: Iterable[str]) -> None:
        """Continue those of these streams that are saved and not in memory."""
        unknown = [key for key in keys if key not in self._streams and is_text(key)]
        if not unknown:
            return
        found = {}
        for key in unknown:
            if key in self._left:
                record, state = self._left.pop(key)
                found[key] = record.to_bytes(state)
                self._changed[key] = None
        if self._saved is not None and len(found) < len(unknown):
            found |= self._saved([key for key in unknown if key not in found])
        if not found:
            return
        try:
            self.load(found, migrate=True)
        except StateError:
            for key, blob in found.items():  # one by one, to find those that cannot continue
                try:
                    self.load({key: blob}, migrate=True)
                except StateError as error:
                    self.counts["begun_anew"] += 1
                    self._told(key, f"{error} The stream begins again.")
        self.counts["recalled"] += len(found)

    def close(self) -> None:
        """Release the model."""
        self._pool.close()

    def _on_evicted(self, keys: list[str], states: list[bytes]) -> None:
        for key, state in zip(keys, states, strict=True):
            self._left[key] = (self._streams.pop(key), state)
        self.counts["evicted"] += len(keys)

    def _on_recall(self, keys: Sequence[str]) -> dict[str, bytes]:
        """States of streams that left during a batch that has another reading for them."""
        found = {}
        for key in keys:
            if key in self._left:
                self._streams[key], found[key] = self._left.pop(key)
        return found

    def _parts(
        self, arrivals: Iterable[tuple[Arrival, float]]
    ) -> Iterator[list[tuple[Arrival, float]]]:
        """Pieces with no more keys than fit into memory."""
        if self.capacity is None:
            yield list(arrivals)
            return
        part: list[tuple[Arrival, float]] = []
        keys: set[str] = set()
        for arrival, stamp in arrivals:
            keys.add(arrival.key)
            if len(keys) > self.capacity:
                yield part
                part, keys = [], {arrival.key}
            part.append((arrival, stamp))
        yield part

    def _reset(self, key: str) -> None:
        """Begin the stream of the model again."""
        if key in self._pool:
            self._pool.reset([key])
        elif key in self._left:
            self._streams[key], _ = self._left.pop(key)
        record = self._streams[key]
        if record.decisions is not None:
            record.decisions.reset()

    def _continued(self, declared: Any, state: bytes, key: str) -> Any:
        if declared is None:
            return None
        stream = declared.stream()
        if state:
            try:
                stream.from_bytes(state)
            except StateError as error:
                self.counts["begun_anew"] += 1
                self._told(key, f"{error} This part of the stream begins again.")
                return declared.stream()
        return stream

    def _prepare(
        self, arrival: Arrival, stamp_s: float, rows: WaitingRows, results: list[Result]
    ) -> None:
        counts = self.counts
        record = self._streams.get(arrival.key)
        if record is None and arrival.key in self._left:  # in this batch; it comes back for a step
            record = self._left[arrival.key][0]
        if record is None:
            record = self._streams[arrival.key] = StreamRecord()
            for name in ("preparation", "decisions"):
                declared = getattr(self, name)
                if declared is not None:
                    setattr(record, name, declared.stream())
        number, time_s = arrival.sequence, arrival.time_s
        if number is not None and number not in _INT64:
            number = None
        if record.repeats(number, time_s, stamp_s):
            counts["repeated"] += 1
            record.repeated += 1
            if record.repeated % _MANY_REPEATS == 0:
                self._told(
                    arrival.key,
                    f"expected a reading with a number above {record.number}, got {number} and "
                    f"{_MANY_REPEATS} repeats in a row. If the device counts from the beginning "
                    'after a restart, let it send times, or set sequence_field = "".',
                )
            return
        record.take(number, time_s, stamp_s)
        counts["readings"] += 1
        self._changed[arrival.key] = None
        values = self._values(arrival)
        at = stamp_s if time_s is None else time_s
        if record.preparation is None:
            record.steps += 1
            rows.add(arrival, at, record.steps if number is None else number, values)
            return
        try:
            pushed = record.preparation.push(at, values)
        except ReadingError as error:
            counts["unreadable"] += 1
            self._told(arrival.key, str(error))
            return
        for prepared in pushed:
            if prepared.reset:
                self._answer(rows, results)
                rows.clear()
                self._reset(arrival.key)
            record.steps += 1
            rows.add(arrival, prepared.time_s, record.steps, prepared.x)

    def _is_key(self, key: str) -> bool:
        """Whether a new stream can have this key."""
        if is_text(key):
            return True
        if key:
            self._told("", f"expected a key of letters that can be saved, got {key!r:.60}")
        return False

    def _values(self, arrival: Arrival) -> list[float]:
        """The values of a reading in the order of the channels; NaN where one is missing."""
        values, channels = arrival.values, self.channels
        if isinstance(values, dict):
            return [values.get(name, math.nan) for name in channels]
        if len(values) == len(channels) or self._takes_blocks:
            return values
        return [math.nan] * len(channels)

    def _answer(self, rows: WaitingRows, results: list[Result]) -> None:
        if not rows.keys:
            return
        xs = rows.table(len(self.interface.input.names))
        bad: BoolArray = np.zeros(len(xs), dtype=np.bool_)
        ys: FloatArray = self._pool.step_many(rows.keys, xs, bad=bad, softmax=self._softmax)
        self._clipped.look(rows, xs, self._pool.clipped_readings, self._told)
        self.counts["bad"] += int(bad.sum())
        self.counts["steps"] += len(xs)
        flat = zip(
            rows.arrivals, rows.times, rows.numbers, xs.tolist(), ys.tolist(), bad.tolist(),
            strict=True,
        )  # fmt: skip
        names, decided = self._outputs, self.decisions is not None
        for arrival, time_s, number, x, y, was_bad in flat:
            decisions: dict[str, float | str | bool] = {}
            if decided:
                decisions = self._streams[arrival.key].decisions.push(time_s, x, y)
            results.append(
                Result(
                    arrival.key, time_s, number, x, y, dict(zip(names, y, strict=True)), decisions,
                    arrival.passed, was_bad, arrival.time_s is None,
                )
            )  # fmt: skip
