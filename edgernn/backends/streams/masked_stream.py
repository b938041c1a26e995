"""Streams of models with a mask: masked steps are left out (NUMERICS.md 6.13)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.backends.base import NoShortWays, State, Stream
from edgernn.model.border.masks import masked_rows
from edgernn.model.formats import BoolArray, Int16Array, OperandArray
from edgernn.model.interface import Interface


class MaskedStream(NoShortWays):
    """The stream of an endless model with a mask (see `Stream`).

    A masked step changes no state, and its output is the last one again; before the first step
    that is not masked, that of `OutputSpec.masked`. After a state was set in the middle of a
    stream, the last output is unknown: outputs of masked steps are masked (`numpy.ma`) until the
    next one that is not.

    Args:
        interface: of the model.
        steps: a stream of the network itself, in its initial state.
    """

    __slots__ = ("_begun", "_first", "_interface", "_row", "_steps", "sequence")

    def __init__(self, interface: Interface, steps: Stream) -> None:
        """Begin without readings."""
        self._interface, self._steps = interface, steps
        self._row = interface.mask_row
        self._first = first_output(interface)
        self._begun = False
        self.sequence = 0

    @property
    def held(self) -> OperandArray | None:
        """See `Stream.held`: of the last step that was not masked."""
        return self._steps.held

    @property
    def last(self) -> Int16Array | None:
        """See `Stream.last`; what masked steps put out."""
        last = self._steps.last
        return self._first if last is None and not self._begun else last

    @property
    def state(self) -> State:
        """See `Stream.state`."""
        return self._steps.state

    @state.setter
    def state(self, state: State) -> None:
        self._steps.state = state
        self._begun = self._left_the_beginning(state)

    def _left_the_beginning(self, state: State) -> bool:
        initial = self._interface.initial_state()
        return not all(map(np.array_equal, state, initial))

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._steps.reset()
        self._begun = False
        self.sequence = 0

    def copy(self) -> MaskedStream:
        """See `Stream.copy`."""
        stream = MaskedStream(self._interface, self._steps.copy())
        stream.restore(self.snapshot())
        return stream

    def snapshot(self) -> tuple[Any, ...]:
        """See `Stream.snapshot`."""
        return self._steps.state, self.held, self._steps.last, self.sequence

    def restore(self, snapshot: tuple[Any, ...], /) -> None:
        """See `Stream.restore`."""
        state, _, _, self.sequence = snapshot
        self._steps.restore(snapshot)
        self._begun = self._left_the_beginning(state)

    def advance_one(self, q_x: OperandArray, /) -> Int16Array:
        """See `Stream.advance_one`."""
        if not masked_rows(q_x, self._row):
            q_y = self._steps.advance_one(q_x)
        elif (last := self.last) is not None:
            q_y = last
        else:
            q_y = self.advance(q_x[None])[0]
            self.sequence -= 1
        self.sequence += 1
        return q_y

    def advance(self, q_xs: OperandArray, /) -> Int16Array:
        """See `Stream.advance`."""
        masked, before = masked_rows(q_xs, self._row), self.last
        if not masked.any():
            q_ys = self._steps.advance(q_xs)
        else:
            left = np.ascontiguousarray(q_xs[~masked])
            q_ys = at_masked(self._steps.advance(left), masked, before)
        self.sequence += len(q_xs)
        return q_ys

    def close(self) -> None:
        """See `Stream.close`."""
        self._steps.close()


def first_output(interface: Interface) -> Int16Array:
    """The output [O] before the first step that is not masked, of a model with a mask."""
    return np.array(interface.output.masked, dtype=np.int16)


def at_masked(q_ys: Int16Array, masked: BoolArray, before: Int16Array | None) -> Int16Array:
    """Outputs of all steps, from those that are not masked.

    Args:
        q_ys: int16 [N, O] of these.
        masked: which of all steps are masked, bool [T].
        before: the output [O] before the first of them; None where it is unknown.

    Returns:
        int16 [T, O]; masked (`numpy.ma`) where the output is unknown.
    """
    rows = np.cumsum(~masked)
    known = np.zeros(q_ys.shape[1], np.int16) if before is None else before
    spread: Int16Array = np.concatenate([known[None], q_ys])[rows]
    unknown = rows == 0
    if before is not None or not unknown.any():
        return spread
    wide = np.repeat(unknown[:, None], q_ys.shape[1], axis=1)
    return np.ma.MaskedArray(spread, wide)  # type: ignore[no-untyped-call]
