"""One stream for each key, advanced in batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.backends import BackendName
from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface
from edgernn.pool.arguments import (
    ReadingsOf,
    bad_flags,
    bad_key,
    check_limits,
    checked_keys,
    reading_numbers,
)
from edgernn.pool.keyed_rows import Evicted, KeyedRows, Recall
from edgernn.pool.opening import open_rows
from edgernn.session.checks import Closing, WarmUp
from edgernn.session.policies import OnBadReading


class StreamPool(Closing):
    """The streams of many keys over one model.

        with edgernn.StreamPool("model.edgernn") as pool:
            for keys, xs in batches:                # B keys and readings [B, I]
                ys = pool.step_many(keys, xs)       # outputs [B, O]

    Each key has a stream, which begins with its first reading. How readings are batched, and in
    which order keys come, does not matter: every key gets the bits that a `Session` for it alone
    gives. Several threads may use one pool; they take turns.

    Args:
        source: an .edgernn, .tflite or .onnx file, or an integer model in memory.
        backend: as in `edgernn.load`.
        capacity: most keys at a time; the least recently used leave. None: any number.
        idle_s: keys without a reading for longer leave, in seconds. None: never.
        on_bad_reading: as in `edgernn.load`. Under "raise" a bad reading is refused alone: its
            output is NaN, its stream unchanged, and the others of the batch are taken.
        warm_up: as in `edgernn.load`.
        evicted: called with keys that leave and their streams as bytes, while the pool is locked;
            if it raises, they stay. None: what leaves is lost.
        recall: called with the new keys of a batch; returns the streams of those that go on. None:
            they begin, unless `load` was called before.
        migrate: `recall` may return streams of another model, as in `load`.
        clock: seconds on a clock that does not go back.
        backend_options: passed to the backend.

    Attributes:
        interface: channels, units and states of the model.
        bad_readings: readings that lacked a value or held what is no token, since the pool was
            opened.

    Raises:
        EdgeRnnError: as `edgernn.load`; programs that share states; capacity or idle_s.
    """

    def __init__(
        self,
        source: str | Path | IntegerModel,
        backend: BackendName = "auto",
        *,
        capacity: int | None = None,
        idle_s: float | None = None,
        on_bad_reading: OnBadReading = "hold",
        warm_up: WarmUp = "nothing",
        evicted: Evicted | None = None,
        recall: Recall | None = None,
        migrate: bool = False,
        clock: Callable[[], float] = time.monotonic,
        **backend_options: Any,
    ) -> None:
        """Open the model; no keys yet."""
        check_limits(capacity, idle_s)
        self._backend, rows = open_rows(source, backend, on_bad_reading, warm_up, backend_options)
        self.interface: Interface = self._backend.interface
        self.bad_readings = 0
        self._streams = KeyedRows(
            self.interface, rows, capacity=capacity, idle_s=idle_s, evicted=evicted, recall=recall,
            migrate=migrate, clock=clock,
        )  # fmt: skip
        self._read, self._outputs = ReadingsOf(self.interface), self.interface.output.width
        self._capacity, self._idle_s = capacity, idle_s
        self._lock = threading.RLock()
        self._closed = False

    def step_many(
        self,
        keys: Sequence[Hashable],
        xs: npt.ArrayLike | object,
        *,
        sequence: npt.ArrayLike | None = None,
        bad: BoolArray | None = None,
        softmax: bool = False,
    ) -> FloatArray:
        """Advance the stream of every key by its reading; in their order where a key comes again.

        Args:
            keys: B hashable values, such as names or numbers.
            xs: reals [B, I] in physical units, or what `Session.run` takes; NaN: missing.
            sequence: integers [B] from 1, the number of each reading in the stream of its key. One
                whose number is not above the last of its key is a repeat: nothing changes, and the
                last output is returned. None: every reading is the next one.
            bad: bool [B], written: which readings lacked a value, or held something that is no
                token of its channel.
            softmax: return probabilities of a model that ends in a softmax.

        Returns:
            float64 [B, O] in physical units; NaN where there is no output yet, or the reading was
            refused.

        Raises:
            ShapeError: not B keys, readings, numbers or flags.
            ReadingError: a sequence number below 1.
            StreamKeyError: a key that is not hashable, or not equal to itself.
            EdgeRnnError: the pool is closed, or the model has no softmax.

        Warns:
            ClippedReadingsWarning: once per pool, a value is outside the calibrated range.
        """
        if softmax:
            self.interface.require_softmax()
        keys = checked_keys(keys)
        count = len(keys)
        x = self._read(xs, count)
        numbers = None if sequence is None else reading_numbers(sequence, count)
        bad = np.empty(count, np.bool_) if bad is None else bad_flags(bad, count)
        ys = np.empty((count, self._outputs))
        with self._lock:
            if self._closed:
                self._require_open()
            if self._idle_s is not None:
                self._streams.evict_idle()
            if self._capacity is None or count <= self._capacity:
                self._streams.step(keys, x, ys, bad, numbers, softmax)
            else:  # whatever the keys are, this many fit
                for start in range(0, count, self._capacity):
                    part = slice(start, start + self._capacity)
                    some = None if numbers is None else numbers[part]
                    self._streams.step(keys[part], x[part], ys[part], bad[part], some, softmax)
            self.bad_readings += bad.tobytes().count(1)
        return ys

    def evict_idle(self) -> int:
        """Let keys that are idle leave now; `step_many` does so too.

        Returns:
            How many left; 0 without `idle_s`.
        """
        with self._lock:
            self._require_open()
            return self._streams.evict_idle()

    def export(self, keys: Sequence[Hashable]) -> list[bytes]:
        """The streams of keys as bytes, as `Session.to_bytes` writes them; they stay in the pool.

        Raises:
            StreamKeyError: a key has no stream.
        """
        keys = checked_keys(keys)
        with self._lock:
            self._require_open()
            return self._streams.rows.export(self._streams.rows_of(keys))

    def load(self, keys: Sequence[Hashable], blobs: Sequence[bytes], migrate: bool = False) -> None:
        """Continue streams from bytes, under these keys; streams they had are replaced.

        Args:
            keys: distinct.
            blobs: one for each key, from `export` or `Session.to_bytes`.
            migrate: take the state of another model whose carried vectors have the same names,
                widths and formats.

        Raises:
            StateError: damaged, or of another model; no stream was changed.
            StreamKeyError: a key that is not hashable, comes twice, or finds no room.
            ShapeError: not as many keys as blobs.
        """
        keys = checked_keys(keys)
        if len(keys) != len(blobs):
            raise ShapeError(
                f"pool: expected {len(keys)} states for {len(keys)} keys, got {len(blobs)}."
            )
        with self._lock:
            self._require_open()
            self._streams.load(keys, blobs, migrate)

    def drop(self, keys: Sequence[Hashable]) -> None:
        """End the streams of keys; `evicted` does not hear of them.

        Raises:
            StreamKeyError: a key has no stream, or comes twice.
        """
        keys = checked_keys(keys)
        with self._lock:
            self._require_open()
            rows = self._streams.rows_of(keys)
            if len(set(rows.tolist())) < len(rows):
                raise bad_key(keys)
            self._streams.index.remove(keys)

    def reset(self, keys: Sequence[Hashable]) -> None:
        """Begin the streams of keys again.

        Raises:
            StreamKeyError: a key has no stream.
        """
        keys = checked_keys(keys)
        with self._lock:
            self._require_open()
            self._streams.rows.reset(self._streams.rows_of(keys))
            self._streams.index.mark(keys)

    def take_changed(self) -> list[Any]:
        """The keys whose streams changed in `step_many` or `reset` since the last call.

        What a snapshot must save. Keys that left the pool since are not among them.
        """
        with self._lock:
            return self._streams.index.take_changed()

    def keys(self) -> list[Any]:
        """All keys, in no particular order."""
        with self._lock:
            return self._streams.index.keys()

    def __contains__(self, key: object) -> bool:
        """Whether the key has a stream here."""
        with self._lock:
            return key in self._streams.index

    def __len__(self) -> int:
        """How many keys have a stream here."""
        return len(self._streams.index)

    @property
    def clipped_readings(self) -> tuple[int, ...]:
        """Readings outside the calibrated range, which were clipped; one number per channel.

        Counted over all streams since the pool was opened.
        """
        return self._streams.rows.clipped

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """End all streams and release the runtime. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._backend.close()

    def __repr__(self) -> str:
        """Model, backend, number of keys and limits."""
        limits = f" of {self._capacity}" if self._capacity is not None else ""
        idle = f", idle after {self._idle_s:g} s" if self._idle_s is not None else ""
        closed = ", closed" if self._closed else ""
        i = self.interface
        return (
            f"<StreamPool '{i.name}' {i.precision.value} on {self._backend.name}, "
            f"{len(self)}{limits} keys{idle}{closed}>"
        )

    def _require_open(self) -> None:
        if self._closed:
            raise EdgeRnnError(
                f"pool: expected an open pool, got a closed one ('{self.interface.name}'). Open "
                "another StreamPool."
            )
