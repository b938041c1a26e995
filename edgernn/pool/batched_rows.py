"""Rows as arrays, for backends that take a step of many streams at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgernn.backends.clipping import warn_clipped
from edgernn.backends.rows import BatchStepBackend, ChannelPolicies, Int64Array
from edgernn.backends.streams.stream_bytes import (
    StreamContent,
    decode_stream,
    encode_stream,
    stream_head,
)
from edgernn.model.formats import BoolArray, FloatArray, Int32Array
from edgernn.session.checks import checked_state, named_state

#: Positions in a batch.
Places = npt.NDArray[np.intp]


class BatchedRows:
    """A row of every array for each stream of an endless model (see `StreamRows`).

    Args:
        backend: executes the model.
        policies: of its channels.
    """

    def __init__(self, backend: BatchStepBackend, policies: ChannelPolicies) -> None:
        """No rows yet."""
        interface = backend.interface
        self._backend, self._policies, self._interface = backend, policies, interface
        self._head = stream_head(interface)
        self._coder = interface.coder()
        self._sizes = np.array(interface.input.vocabulary or [0] * interface.input.width)
        self._total = np.zeros(interface.input.width, np.int64)
        inputs, outputs = interface.input.width, interface.output.width
        self._start = interface.initial_state()
        self._states = [np.empty((0, len(vector)), np.int16) for vector in self._start]
        #: The last reading; before the first step, of the channels that have had a value.
        self._held = np.empty((0, inputs), interface.code_dtype)
        self._known = np.empty((0, inputs), np.bool_)
        self._last = np.empty((0, outputs), np.int16)
        self._begun = np.empty(0, np.bool_)
        self._sequence = np.empty(0, np.int64)
        self._bad = np.empty(0, np.int64)
        self._clipped = np.empty((0, inputs), np.int64)

    @property
    def count(self) -> int:
        """Rows there are."""
        return len(self._begun)

    @property
    def clipped(self) -> tuple[int, ...]:
        """See `StreamRows.clipped`."""
        return tuple(self._total.tolist())

    def resize(self, count: int) -> None:
        """See `StreamRows.resize`."""
        new = np.arange(self.count, count, dtype=np.int32)
        for name in ("_held", "_known", "_last", "_begun", "_sequence", "_bad", "_clipped"):
            before = getattr(self, name)
            more = np.zeros((len(new), *before.shape[1:]), before.dtype)
            setattr(self, name, np.concatenate([before, more]))
        wide = [np.empty((len(new), len(vector)), np.int16) for vector in self._start]
        pairs = zip(self._states, wide, strict=True)
        self._states = [np.concatenate([before, more]) for before, more in pairs]
        self.reset(new)

    def reset(self, rows: Int32Array, /) -> None:
        """See `StreamRows.reset`."""
        for states, vector in zip(self._states, self._start, strict=True):
            states[rows] = vector
        self._known[rows] = self._begun[rows] = False
        self._sequence[rows] = self._bad[rows] = 0
        self._clipped[rows] = 0

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
        for places in _waves(rows):
            numbers = None if sequence is None else sequence[places]
            chosen = rows[places]
            refused, bad[places] = self._step(chosen, xs[places], numbers)
            y = self._interface.real_outputs(self._last[chosen], softmax)
            y[refused | ~self._begun[chosen]] = np.nan
            ys[places] = y

    def _step(
        self, rows: Int32Array, xs: FloatArray, numbers: Int64Array | None
    ) -> tuple[BoolArray, BoolArray]:
        """Advance distinct rows; which readings were refused, and which were bad."""
        number = self._sequence[rows] + 1 if numbers is None else numbers
        fresh = number > self._sequence[rows]
        missing = ~np.isfinite(xs) & fresh[:, None]
        bad = missing.any(axis=1)
        refused = (missing & self._policies.raises).any(axis=1)
        taken = fresh & ~refused
        coded = taken & ~(missing & self._policies.skips).any(axis=1)
        x = np.where(missing | ~np.isfinite(xs), self._interface.input.offset, xs)
        no_token = coded & self._wrong_tokens(x).any(axis=1)
        coded &= ~no_token
        taken &= ~no_token
        self._advance(rows[coded], x[coded], missing[coded])
        self._bad[rows] += bad
        self._sequence[rows[taken]] = number[taken]
        return refused | no_token, bad | no_token

    def _wrong_tokens(self, x: FloatArray) -> BoolArray:
        """Where a value of a channel with a vocabulary is not one of its tokens."""
        wrong: BoolArray = (self._sizes > 0) & ((x < 0) | (x >= self._sizes) | (x != np.rint(x)))
        return wrong

    def _advance(self, rows: Int32Array, x: FloatArray, missing: BoolArray) -> None:
        """Take readings whose missing values have the offset of their channel."""
        codes, clipped = self._coder.codes_and_clipped(x)
        self._count(rows, x, clipped)
        codes = np.where(missing, self._policies.values, codes)
        held = missing & self._policies.holds
        codes = np.where(held, self._held[rows], codes)
        lacking = held & ~self._known[rows]
        self._held[rows], self._known[rows] = codes, ~lacking
        steps = ~lacking.any(axis=1)
        rows = rows[steps]
        if not len(rows):
            return
        state = tuple(states[rows] for states in self._states)
        outputs, after = self._backend.step_batch(codes[steps], state)
        for states, vectors in zip(self._states, after, strict=True):
            states[rows] = vectors
        self._last[rows], self._begun[rows] = outputs, True

    def _count(self, rows: Int32Array, x: FloatArray, clipped: BoolArray) -> None:
        if clipped.any():
            if not self._total.any():
                b, channel = divmod(int(clipped.argmax()), clipped.shape[1])
                warn_clipped(self._interface, channel, float(x[b, channel]))
            self._clipped[rows] += clipped
            self._total += clipped.sum(axis=0)

    def export(self, rows: Int32Array, /) -> list[bytes]:
        """See `StreamRows.export`."""
        contents = map(self._content, rows.tolist())
        return [encode_stream(self._head, content, self._interface) for content in contents]

    def _content(self, row: int) -> StreamContent:
        begun = bool(self._begun[row])
        return StreamContent(
            sequence=int(self._sequence[row]),
            bad=int(self._bad[row]),
            clipped=tuple(self._clipped[row].tolist()),
            state=tuple(states[row] for states in self._states),
            held=self._held[row],
            known=None if begun else self._known[row],
            last=self._last[row] if begun else None,
        )

    def load(self, rows: Int32Array, blobs: Sequence[bytes], migrate: bool = False, /) -> None:
        """See `StreamRows.load`."""
        interface = self._interface
        contents = [
            decode_stream(blob, interface, migrate=migrate, head=self._head) for blob in blobs
        ]
        states = [checked_state(interface, named_state(interface, c)) for c in contents]
        self.reset(rows)
        for row, content, state in zip(rows.tolist(), contents, states, strict=True):
            for mine, vector in zip(self._states, state, strict=True):
                mine[row] = vector
            if content.held is not None:
                self._held[row] = content.held
                self._known[row] = True if content.known is None else content.known
            if content.last is not None:
                self._last[row], self._begun[row] = content.last, True
            self._sequence[row], self._bad[row] = content.sequence, content.bad
            self._clipped[row] = content.clipped or 0


def _waves(rows: Int32Array) -> Iterator[Places]:
    """Positions of distinct rows, the first of every row, then the second, and so on."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(rows)])
    counts = np.diff(np.r_[first, len(rows)])
    turn = np.arange(len(rows)) - np.repeat(first, counts)
    for wave in range(int(counts.max(initial=0))):
        yield np.sort(order[turn == wave])
