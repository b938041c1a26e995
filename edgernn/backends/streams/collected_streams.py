"""Streams that collect readings before a step: windows, and rates (NUMERICS.md 6.5, 6.9)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.backends.base import (
    Backend,
    BatchBackend,
    NoShortWays,
    State,
    Stream,
    runs_sequences,
)
from edgernn.backends.streams.masked_stream import first_output
from edgernn.model.border.masks import masked_rows
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Interface, Rate, Window

#: Codes that a backend which runs many windows at once is given at a time.
_BATCH_CODES: Final = 1 << 18


class WindowStream(NoShortWays):
    """The last readings of a stream, and the network that answers them (see `Stream`).

    Before the first answer, outputs are masked (`numpy.ma`); between two answers the last one
    stands. Masked readings are among those of a window, and no steps (clause 6.13).

    Args:
        backend: executes the network.
        steps: a stream of the readings of one window, at its beginning.
        window: of the model.
        padded: the first reading stands for those before it, so that there is an answer at once.
    """

    __slots__ = (
        "_backend", "_codes", "_due", "_end", "_mask_row", "_outputs", "_padded", "_steps",
        "_to_pad", "_window", "held", "last", "sequence",
    )  # fmt: skip

    held: OperandArray | None
    last: Int16Array | None

    def __init__(self, backend: Backend, steps: Stream, window: Window, padded: bool) -> None:
        """Begin without readings."""
        interface = backend.interface
        self._backend, self._steps, self._window, self._padded = backend, steps, window, padded
        # The window is the last rows before `_end`; it moves back when it reaches the buffer's end.
        rows = 2 * window.steps
        self._codes = np.zeros((rows, interface.input.width), interface.code_dtype)
        self._outputs = interface.output.width
        self._mask_row = interface.mask_row
        self.reset()

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._codes[:] = 0
        self._end = self._due = self._window.steps
        self._to_pad = self._padded
        self.held = self.last = None
        self.sequence = 0

    def _current(self) -> OperandArray:
        return self._codes[self._end - self._window.steps : self._end]

    @property
    def state(self) -> State:
        """See `Stream.state`: the window's codes row after row, and readings until the answer.

        0 readings stand for a padded stream that has not begun.
        """
        due = 0 if self._to_pad else self._due
        return self._current().astype(np.int16).ravel(), np.array([due], dtype=np.int16)

    @state.setter
    def state(self, state: State) -> None:
        codes, due = state
        self._codes[:] = 0
        self._end = self._window.steps
        self.held = self.last = None
        self._current()[:] = codes.reshape(self._window.steps, -1)
        self._to_pad = self._padded and int(due[0]) == 0
        self._due = int(due[0]) or self._window.steps

    def copy(self) -> WindowStream:
        """See `Stream.copy`."""
        stream = WindowStream(self._backend, self._steps.copy(), self._window, self._padded)
        stream.restore(self.snapshot())
        return stream

    def snapshot(self) -> tuple[Any, ...]:
        """See `Stream.snapshot`."""
        return self.state, self.held, self.last, self.sequence

    def restore(self, snapshot: tuple[Any, ...], /) -> None:
        """See `Stream.restore`."""
        self.state, self.held, self.last, self.sequence = snapshot

    def advance_one(self, q_x: OperandArray, /) -> Int16Array:
        """See `Stream.advance_one`."""
        q_ys: Int16Array = self.advance(q_x[None])[0]
        return q_ys

    def advance(self, q_xs: OperandArray, /) -> Int16Array:
        """See `Stream.advance`."""
        count, hop = len(q_xs), self._window.hop
        if not count:
            return np.empty((0, self._outputs), dtype=np.int16)
        before = self._due, self._to_pad, self._end, self._current().copy()
        try:
            if self._to_pad:
                self._current()[:] = q_xs[0]
                self._due, self._to_pad = 1, False
            stretch = self._extended(q_xs)
            # Row n of the chunk ends the window that begins at row n + 1 of the stretch.
            answered = range(self._due - 1, count, hop)
            answers = self._answers(stretch[answered.start + 1 :], len(answered))
        except BaseException:  # an interrupt too leaves the stream unchanged
            self._due, self._to_pad, self._end, codes = before
            self._current()[:] = codes
            raise
        q_ys = spread_answers(answers, answered.start, hop, count, self.last)
        if answered:
            self._due = answered[-1] + hop - (count - 1)
            self.last = answers[-1].copy()
        else:
            self._due -= count
        taken = q_xs[~masked_rows(q_xs, self._mask_row)]
        if len(taken):
            self.held = taken[-1].copy()
        self.sequence += count
        return q_ys

    def _extended(self, q_xs: OperandArray) -> OperandArray:
        """The window before these codes and the codes [T + N, I]; keeps the last T of them."""
        steps, count = self._window.steps, len(q_xs)
        stretch: OperandArray
        if count > steps:
            stretch = np.concatenate([self._current(), q_xs])
            self._codes[:steps] = stretch[-steps:]
            self._end = steps
            return stretch
        if self._end + count > len(self._codes):
            self._codes[:steps] = self._current().copy()
            self._end = steps
        begin = self._end - steps
        self._codes[self._end : self._end + count] = q_xs
        self._end += count
        stretch = self._codes[begin : self._end]
        return stretch

    def _answers(self, stretch: OperandArray, count: int) -> Int16Array:
        """Outputs [count, O] of windows that begin every hop rows of a stretch of codes."""
        steps, hop = self._window.steps, self._window.hop
        answers = np.empty((count, self._outputs), dtype=np.int16)
        if self._mask_row is not None:
            for k in range(count):
                window = stretch[k * hop : k * hop + steps]
                answers[k] = self._unmasked_answer(window[~masked_rows(window, self._mask_row)])
            return answers
        if count > 1 and isinstance(self._backend, BatchBackend):
            windows = np.lib.stride_tricks.sliding_window_view(stretch, steps, axis=0)[::hop]
            size = max(1, _BATCH_CODES // self._codes[0].size // steps)
            for start in range(0, count, size):
                batch = windows[start : min(start + size, count)].swapaxes(1, 2)
                answers[start : start + size] = self._backend.run_batch(batch)[:, -1]
            return answers
        codes = [stretch[begin : begin + steps] for begin in range(0, count * hop, hop)]
        rate = self._backend.interface.rate
        if count > 1 and rate is None and runs_sequences(self._backend):
            return np.concatenate(self._backend.run_sequences(codes, last=True))
        network = self._steps
        for k, window in enumerate(codes):
            network.reset()
            answers[k] = network.advance(window)[-1]
        return answers

    def _unmasked_answer(self, codes: OperandArray) -> Int16Array:
        """The output [O] after the steps of a window that are not masked, codes [N, I]."""
        if not len(codes):
            return first_output(self._backend.interface)
        self._steps.reset()
        q_y: Int16Array = self._steps.advance(codes)[-1]
        return q_y

    def close(self) -> None:
        """See `Stream.close`."""
        self._steps.close()


class RateStream(NoShortWays):
    """The readings of the step to come, and the network that takes it (see `Stream`).

    Before the first answer, outputs are masked (`numpy.ma`); between two answers the last one
    stands.

    Args:
        interface: of the model.
        rate: its rate.
        steps: a stream of the network itself, in its initial state.
    """

    __slots__ = ("_due", "_interface", "_rate", "_rows", "_steps", "held", "last", "sequence")

    held: OperandArray | None
    last: Int16Array | None

    def __init__(self, interface: Interface, rate: Rate, steps: Stream) -> None:
        """Begin without readings."""
        self._interface, self._rate, self._steps = interface, rate, steps
        # A reading has its place in these from how many are left until the answer.
        self._rows = np.zeros((rate.readings, interface.input.width), interface.code_dtype)
        self._begin()
        self.sequence = 0

    def _begin(self) -> None:
        self._rows[:] = self._rate.start or 0
        self._due = self._rate.first
        self.held = self.last = None

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._steps.reset()
        self._begin()
        self.sequence = 0

    @property
    def state(self) -> State:
        """See `Stream.state`: what `Interface.carried` says."""
        due = np.array([self._due], dtype=np.int16)
        return self._rows.astype(np.int16).ravel(), due, *self._steps.state

    @state.setter
    def state(self, state: State) -> None:
        rows, due, *carried = state
        self._steps.state = tuple(carried)
        self._begin()
        self._rows[:] = rows.reshape(self._rows.shape)
        self._due = int(due[0])

    def copy(self) -> RateStream:
        """See `Stream.copy`."""
        stream = RateStream(self._interface, self._rate, self._steps.copy())
        stream.restore(self.snapshot())
        return stream

    def snapshot(self) -> tuple[Any, ...]:
        """See `Stream.snapshot`."""
        return self.state, self.held, self.last, self.sequence

    def restore(self, snapshot: tuple[Any, ...], /) -> None:
        """See `Stream.restore`."""
        self.state, self.held, self.last, self.sequence = snapshot

    def advance_one(self, q_x: OperandArray, /) -> Int16Array:
        """See `Stream.advance_one`."""
        q_ys: Int16Array = self.advance(q_x[None])[0]
        return q_ys

    def advance(self, q_xs: OperandArray, /) -> Int16Array:
        """See `Stream.advance`."""
        count, readings = len(q_xs), self._rate.readings
        if not count:
            return np.empty((0, self._interface.output.width), dtype=np.int16)
        rows = np.concatenate([self._rows[: -self._due % readings], q_xs])
        steps, rest = divmod(len(rows), readings)
        answers = self._answers(rows[: steps * readings].reshape(steps, self._rows.size))
        if steps:
            self._rows[:] = rows[-rest - readings : len(rows) - rest]
        self._rows[:rest] = rows[len(rows) - rest :]
        q_ys = spread_answers(answers, self._due - 1, readings, count, self.last)
        self._due += readings * len(answers) - count
        if len(answers):
            self.last = answers[-1].copy()
        self.held = q_xs[-1].copy()
        self.sequence += count
        return q_ys

    def _answers(self, codes: OperandArray) -> Int16Array:
        """Outputs [N, O] of the steps that are answered; unchanged if one fails."""
        if not len(codes):
            return np.empty((0, self._interface.output.width), dtype=np.int16)
        network = self._steps
        before = network.snapshot()
        try:
            warm_up = min(len(codes), (self._due - 1) // self._rate.readings)
            for q_x in codes[:warm_up]:
                network.advance_one(q_x)
                network.state = self._interface.warmed_up(network.state)
            return network.advance(codes[warm_up:])
        except BaseException:  # an interrupt too leaves the stream unchanged
            network.restore(before)
            raise

    def close(self) -> None:
        """See `Stream.close`."""
        self._steps.close()


def spread_answers(
    answers: Int16Array, first: int, every: int, count: int, last: Int16Array | None
) -> Int16Array:
    """One output for each of ``count`` readings.

    Args:
        answers: int16 [N, O].
        first: reading that has the first of them, from 0.
        every: readings from one to the next.
        count: number of readings.
        last: the value before the first of them; None masks it.

    Returns:
        int16 [count, O], masked where there is no output yet.
    """
    which = np.arange(count) - first
    q_ys: Int16Array
    if len(answers):
        q_ys = answers[np.maximum(which, 0) // every]
    else:
        q_ys = np.zeros((count, answers.shape[1]), dtype=np.int16)
    before = which < 0
    if not before.any():
        return q_ys
    if last is not None:
        q_ys[before] = last
        return q_ys
    mask = np.repeat(before[:, None], answers.shape[1], axis=1)
    return np.ma.MaskedArray(q_ys, mask)  # type: ignore[no-untyped-call]


def unmasked(q_ys: Int16Array) -> Int16Array:
    """The same outputs, 0 where there is none yet."""
    filled: Int16Array = np.ma.filled(q_ys, 0)  # type: ignore[no-untyped-call]
    return filled
