"""Rows of the native backend: streams that lie one behind another in memory of the C module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgernn.backends.rows import ChannelPolicies, Int64Array
from edgernn.backends.streams.stream_bytes import decode_stream, encode_stream, stream_head
from edgernn.errors import StateError
from edgernn.model.formats import BoolArray, FloatArray, Int32Array
from edgernn.model.interface import Interface

#: In the order of ``extension/rows.h``.
_RAISE, _HOLD, _SKIP, _NUMBER = range(4)


class NativeRows:
    """Streams of one model, a row for each (see `edgernn.backends.rows.StreamRows`).

    A row takes its states, its last reading and its last output, and 16 bytes. Rows that clipped a
    reading, or wait for the first value of a channel, take some more elsewhere. Other rows may be
    stepped in another thread meanwhile; a long batch lets it run.

    Args:
        program: the model in the form of the extension module.
        interface: of the model.
        policies: of its channels.
    """

    __slots__ = ("_head", "_interface", "_rows")

    def __init__(self, program: Any, interface: Interface, policies: ChannelPolicies) -> None:
        """No rows yet."""
        chosen = np.full(interface.input.width, _NUMBER, np.uint8)
        for number, which in (
            (_RAISE, policies.raises), (_HOLD, policies.holds), (_SKIP, policies.skips),
        ):  # fmt: skip
            chosen[which] = number
        self._interface = interface
        self._head = stream_head(interface)
        values = policies.values.astype(interface.code_dtype)
        self._rows: Final = program.rows(self._head, chosen.tobytes(), values.tobytes())

    @property
    def count(self) -> int:
        """See `StreamRows.count`."""
        count: int = self._rows.count
        return count

    @property
    def row_bytes(self) -> int:
        """Memory of one row."""
        size: int = self._rows.row_bytes
        return size

    @property
    def clipped(self) -> tuple[int, ...]:
        """See `StreamRows.clipped`; streams that were loaded bring none along."""
        counts: tuple[int, ...] = self._rows.clipped
        return counts

    def resize(self, count: int) -> None:
        """See `StreamRows.resize`."""
        self._rows.resize(count)

    def reset(self, rows: Int32Array, /) -> None:
        """See `StreamRows.reset`."""
        self._rows.reset(rows)

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
        self._rows.step(rows, xs, ys, bad, sequence)
        if softmax:
            self._interface.to_probabilities(ys)

    def export(self, rows: Int32Array, /) -> list[bytes]:
        """See `StreamRows.export`."""
        blobs: list[bytes] = self._rows.export(rows)
        return blobs

    def load(self, rows: Int32Array, blobs: Sequence[bytes], migrate: bool = False, /) -> None:
        """See `StreamRows.load`."""
        given = tuple(blobs)
        taken = self._rows.load(rows, given)
        if taken == len(given):
            return
        own = tuple(self._rewritten(blob, migrate) for blob in given)
        taken = self._rows.load(rows, own)
        if taken != len(given):
            raise StateError(
                "state: expected the bytes of a stream that answers every reading, got others "
                f"(number {taken} of {len(given)}, from 0). Pass what `to_bytes` returned."
            )

    def _rewritten(self, blob: object, migrate: bool) -> bytes:
        """The bytes as this model writes them.

        Raises:
            StateError: they cannot be read.
        """
        content = decode_stream(blob, self._interface, migrate=migrate, head=self._head)
        return encode_stream(self._head, content, self._interface)
