"""Streams of many keys as bytes: which shard has a key, and how a model advances some of them."""

from __future__ import annotations

import functools
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from edgernn.backends import BackendName
from edgernn.backends.streams.stream_bytes import last_sequence
from edgernn.container import file
from edgernn.errors import EdgeRnnError, StateError
from edgernn.model.formats import BoolArray, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface
from edgernn.pool.arguments import reading_numbers
from edgernn.pool.stream_pool import StreamPool
from edgernn.records.port_names import column_names
from edgernn.session.checks import WarmUp
from edgernn.session.policies import OnBadReading

_MAGIC: Final = b"ErSh"
_VERSION: Final = 1
#: Magic, version, shards, streams.
_HEAD: Final = struct.Struct("<4sBII")
#: Bytes of a key, bytes of its stream.
_SIZES: Final = struct.Struct("<II")
_CRC_BYTES: Final = 4
_MOST_SHARDS: Final = 1 << 20


def shard_of(key: str, shards: int) -> int:
    """The shard of a key: the CRC-32 of its UTF-8 bytes, modulo the number of shards.

    Spark's `crc32` and `zlib.crc32` of other languages give the same.

    Args:
        key: of a stream.
        shards: how many there are.
    """
    return zlib.crc32(key.encode()) % shards


def check_shards(shards: object) -> None:
    """Refuse what is no number of shards.

    Raises:
        EdgeRnnError: not an integer from 1 to 1,048,576.
    """
    if type(shards) is not int or not 1 <= shards <= _MOST_SHARDS:
        raise EdgeRnnError(
            f"engines: expected 1 to {_MOST_SHARDS:,} shards, got {shards!r:.40}. Take one per "
            "1,000 to 10,000 keys."
        )


def check_names(engine: str, names: Sequence[str]) -> None:
    """Refuse a result that would have a name twice.

    Raises:
        EdgeRnnError: it would.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise EdgeRnnError(
            f"{engine}: expected distinct names in the result, got {', '.join(twice)} twice. "
            "Rename them in the readings, or leave them out of keep."
        )


def pack_shard(streams: Mapping[str, bytes], shards: int) -> bytes:
    """The streams of a shard as one value, with a checksum.

    Args:
        streams: by key, as `StreamPool.export` gives them.
        shards: how many shards there are.
    """
    parts = [_HEAD.pack(_MAGIC, _VERSION, shards, len(streams))]
    for key, stream in streams.items():
        name = key.encode()
        parts += (_SIZES.pack(len(name), len(stream)), name, stream)
    whole = b"".join(parts)
    return whole + zlib.crc32(whole).to_bytes(_CRC_BYTES, "little")


def unpack_shard(blob: bytes, shards: int) -> dict[str, bytes]:
    """The streams of a shard, by key.

    Args:
        blob: from `pack_shard`.
        shards: how many shards there are.

    Raises:
        StateError: damaged, or written with another number of shards.
    """
    end = len(blob) - _CRC_BYTES
    if end < _HEAD.size or zlib.crc32(blob[:end]) != int.from_bytes(blob[end:], "little"):
        raise StateError(
            f"shard: expected the bytes of a shard, got {len(blob)} bytes that are damaged or "
            "something else. Restore the state of the engine from a copy."
        )
    magic, version, written, count = _HEAD.unpack_from(blob)
    if (magic, version) != (_MAGIC, _VERSION):
        raise StateError(
            f"shard: expected version {_VERSION} of a shard, got {magic!r} {version}. Update "
            "edgernn."
        )
    if written != shards:
        raise StateError(
            f"shard: expected the {written} shards that the saved state has, got {shards}. Set "
            f"shards={written}, or start with an empty state."
        )
    streams, at = {}, _HEAD.size
    for _ in range(count):
        name, size = _SIZES.unpack_from(blob, at)
        middle = at + _SIZES.size + name
        at = middle + size
        streams[blob[middle - name : middle].decode()] = blob[middle:at]
    return streams


class ShardAnswer(NamedTuple):
    """What some readings of a shard gave.

    Attributes:
        taken: positions [N] of the readings that are no repeats, in their order.
        ys: float64 [N, O], outputs in physical units; NaN where there is none.
        bad: bool [N], whether a value was missing or not finite.
        changed: the streams that advanced, by key.
    """

    taken: npt.NDArray[np.intp]
    ys: FloatArray
    bad: BoolArray
    changed: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedModel:
    """A model with its settings, which can be sent to another process.

    Streams come as bytes and go as bytes: between two calls nothing is kept but the opened model.

    Attributes:
        content: the bytes of the .edgernn file.
        backend: as in `edgernn.load`.
        on_bad_reading: as in `edgernn.load`.
        warm_up: as in `edgernn.load`.
        softmax: return probabilities of a model that ends in a softmax.
        migrate: take states of another model with the same state vectors.
    """

    content: bytes
    backend: BackendName = "auto"
    on_bad_reading: OnBadReading = "hold"
    warm_up: WarmUp = "nothing"
    softmax: bool = False
    migrate: bool = False

    @classmethod
    def read(
        cls,
        source: str | Path | IntegerModel,
        *,
        backend: BackendName = "auto",
        on_bad_reading: OnBadReading = "hold",
        warm_up: WarmUp = "nothing",
        softmax: bool = False,
        migrate: bool = False,
    ) -> Self:
        """Read a model and check the settings in this process.

        Args:
            source: an .edgernn file, or a model in memory.
            backend: as in `edgernn.load`.
            on_bad_reading: as in `edgernn.load`.
            warm_up: as in `edgernn.load`.
            softmax: return probabilities of a model that ends in a softmax.
            migrate: take states of another model with the same state vectors.

        Raises:
            FormatError: no .edgernn file of one model.
            EdgeRnnError: a setting that this model cannot have, or one with a preparation or
                decisions.
        """
        model = source if isinstance(source, IntegerModel) else file.load(source)
        made = cls(
            content=file.to_bytes(model),
            backend=backend,
            on_bad_reading=on_bad_reading,
            warm_up=warm_up,
            softmax=softmax,
            migrate=migrate,
        )
        made._check()
        return made

    def _check(self) -> None:
        interface = self.interface
        for name in ("preparation", "decisions"):
            if getattr(interface, name) is not None:
                raise EdgeRnnError(
                    f"engines: expected a model without {name}, got '{interface.name}' with "
                    f"{name}. Use edgernn serve for it."
                )
        if self.softmax:
            interface.require_softmax()

    def __hash__(self) -> int:
        """As any settings of the same model: a policy per channel has no hash."""
        return hash(self.content)

    @property
    def interface(self) -> Interface:
        """Channels and states of the model."""
        return _open(self).pool.interface

    @property
    def input_names(self) -> tuple[str, ...]:
        """A name for each input channel, as the columns of a table have them."""
        return column_names(self.interface.input.names, self.interface.input.ports)

    @property
    def output_names(self) -> tuple[str, ...]:
        """A name for each output channel, as the columns of a table have them."""
        return column_names(self.interface.output.names, self.interface.output.ports)

    def step(
        self,
        streams: Mapping[str, bytes],
        keys: Sequence[str],
        sequence: npt.ArrayLike,
        xs: FloatArray,
    ) -> ShardAnswer:
        """Advance streams by readings, in their order.

        A reading whose number is not above the last one of its key is a repeat. It is left out.

        Args:
            streams: by key, at least those of ``keys`` that have begun; not changed.
            keys: B of them.
            sequence: integers [B] from 1, the number of each reading in the stream of its key.
            xs: reals [B, I] in physical units; NaN: missing.

        Returns:
            Outputs of the readings that are no repeats, and the streams they changed.

        Raises:
            StateError: a stream is damaged, or of another model.
            ReadingError: a number below 1.
            ShapeError: not B numbers or readings.
        """
        numbers = reading_numbers(sequence, len(keys))
        opened = _open(self)
        with opened.lock:
            pool = opened.pool
            try:
                known = [key for key in dict.fromkeys(keys) if key in streams]
                pool.load(known, [streams[key] for key in known], self.migrate)
                taken = _fresh(
                    keys, numbers.tolist(), {k: last_sequence(streams[k]) for k in known}
                )
                stepped = [keys[b] for b in taken]
                bad = np.empty(len(taken), np.bool_)
                ys = pool.step_many(
                    stepped,
                    np.asarray(xs, np.float64)[taken],
                    sequence=numbers[taken],
                    bad=bad,
                    softmax=self.softmax,
                )
                changed = list(dict.fromkeys(stepped))
                after = dict(zip(changed, pool.export(changed), strict=True))
            finally:
                pool.drop(pool.keys())
        return ShardAnswer(taken, ys, bad, after)


def _fresh(
    keys: Sequence[str], numbers: Sequence[int], last: dict[str, int]
) -> npt.NDArray[np.intp]:
    """Positions of the readings whose number is above the last one of their key."""
    taken = []
    for b, (key, number) in enumerate(zip(keys, numbers, strict=True)):
        if number > last.get(key, 0):
            last[key] = number
            taken.append(b)
    return np.array(taken, np.intp)


class _OpenedModel(NamedTuple):
    pool: StreamPool
    lock: threading.Lock


@functools.lru_cache(maxsize=4)
def _open(model: ShardedModel) -> _OpenedModel:
    """The pool of a model, opened once per process."""
    pool = StreamPool(
        file.from_bytes(model.content),
        model.backend,
        on_bad_reading=model.on_bad_reading,
        warm_up=model.warm_up,
    )
    return _OpenedModel(pool, threading.Lock())
