"""What a session stands on: a backend it shares, and a stream of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Backend, State, Stream, StreamingBackend
from edgernn.backends.window_stream import WindowStream
from edgernn.formats import Int16Array, OperandArray


class SharedBackend:
    """A backend and the number of open sessions that use it."""

    __slots__ = ("backend", "users")

    def __init__(self, backend: Backend) -> None:
        """Nobody uses it yet."""
        self.backend = backend
        self.users = 0

    def release(self) -> None:
        """One session less; the last one closes the backend."""
        self.users -= 1
        if self.users == 0:
            self.backend.close()


def new_stream(backend: Backend, padded: bool = False) -> Stream:
    """A stream of the kind of the model, at its beginning.

    Args:
        backend: executes the model.
        padded: of a window model, see `WindowStream`.
    """
    steps, window = step_stream(backend), backend.interface.window
    return steps if window is None else WindowStream(backend, steps, window, padded)


def step_stream(backend: Backend) -> Stream:
    """A stream of the network's steps, of the backend's own kind where it has one."""
    return backend.new_stream() if isinstance(backend, StreamingBackend) else ValueStream(backend)


class ValueStream:
    """A stream on a backend that takes the state and gives it back (see `Stream`)."""

    __slots__ = ("_backend", "_state", "held", "last")

    def __init__(self, backend: Backend) -> None:
        """Begin in the zero state."""
        self._backend = backend
        self.reset()

    held: OperandArray | None
    last: Int16Array | None

    def reset(self) -> None:
        """See `Stream.reset`."""
        self.state = self._backend.interface.initial_state()

    @property
    def state(self) -> State:
        """See `Stream.state`."""
        return tuple(q.copy() for q in self._state)

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self.held = self.last = None

    def copy(self) -> ValueStream:
        """See `Stream.copy`."""
        stream = ValueStream(self._backend)
        stream.state = self.state
        stream.held, stream.last = self.held, self.last
        return stream

    def advance_one(self, q_x: OperandArray) -> Int16Array:
        """See `Stream.advance_one`."""
        q_y, self._state = self._backend.step(q_x, self._state)
        self.held, self.last = q_x, q_y
        return q_y

    def advance(self, q_xs: OperandArray) -> Int16Array:
        """See `Stream.advance`."""
        if not len(q_xs):
            return np.empty((0, self._backend.interface.output.width), dtype=np.int16)
        q_ys, self._state = self._backend.run(q_xs, self._state)
        self.held, self.last = q_xs[-1].copy(), q_ys[-1].copy()
        return q_ys

    def step(self, _: object, /) -> None:
        """Take nothing; see `Stream.step`."""

    run = step_codes = run_codes = step

    def bind(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], otherwise: Callable[[], None], /
    ) -> Callable[[], None]:
        """See `Stream.bind`."""
        del x, y  # the other function knows them
        return otherwise

    def close(self) -> None:
        """See `Stream.close`."""
