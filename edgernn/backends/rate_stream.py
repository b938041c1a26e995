"""A stream whose network takes several readings in a step, on any backend (NUMERICS.md 6.9)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.backends.base import NoShortWays, State, Stream
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Interface
from edgernn.model.rates import Rate


class RateStream(NoShortWays):
    """The readings of the step to come, and the network that takes it (see `Stream`).

    Before the first answer, outputs are masked (`numpy.ma`); between two answers the last one
    stands.

    Args:
        interface: of the model.
        rate: its rate.
        steps: a stream of the network itself, in its initial state.
    """

    __slots__ = ("_due", "_interface", "_rate", "_rows", "_steps", "held", "last")

    held: OperandArray | None
    last: Int16Array | None

    def __init__(self, interface: Interface, rate: Rate, steps: Stream) -> None:
        """Begin without readings."""
        self._interface, self._rate, self._steps = interface, rate, steps
        # A reading has its place in these from how many are left until the answer.
        self._rows = np.zeros((rate.readings, interface.input.width), interface.code_dtype)
        self._begin()

    def _begin(self) -> None:
        self._rows[:] = self._rate.start or 0
        self._due = self._rate.first
        self.held = self.last = None

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._steps.reset()
        self._begin()

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
        stream._rows[:], stream._due = self._rows, self._due
        stream.held, stream.last = self.held, self.last
        return stream

    def snapshot(self) -> tuple[Any, ...]:
        """See `Stream.snapshot`."""
        return self.state, self.held, self.last

    def restore(self, snapshot: tuple[Any, ...], /) -> None:
        """See `Stream.restore`."""
        self.state, self.held, self.last = snapshot

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
        return q_ys

    def _answers(self, codes: OperandArray) -> Int16Array:
        """Outputs [N, O] of the steps that are answered; as it was where one fails."""
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
        except BaseException:  # an interrupt too leaves the stream as it was
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
        last: what stands before the first of them; None masks it.

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
