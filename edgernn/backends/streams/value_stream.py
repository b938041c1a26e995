"""The base of a session: a shared backend and its own stream."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from edgernn.backends.base import Backend, NoShortWays, State, Stream, StreamingBackend
from edgernn.backends.streams.collected_streams import RateStream, WindowStream
from edgernn.backends.streams.masked_stream import MaskedStream
from edgernn.backends.streams.stream_bytes import stream_head
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Int16Array, OperandArray


class Origin(Protocol):
    """Where a backend came from; can be pickled."""

    def open(self) -> Backend:
        """Open the same backend again."""
        ...


class SharedBackend:
    """A backend, what all streams over it have in common, and the number of open sessions.

    Attributes:
        backend: the backend.
        interface: of its model.
        coder: makes codes of readings.
        new_stream: makes a stream at its beginning.
        padded: as in `stream_maker`.
        users: open sessions.
    """

    __slots__ = (
        "_head", "_origin", "backend", "coder", "interface", "new_stream", "padded", "users",
    )  # fmt: skip

    def __init__(
        self, backend: Backend, padded: bool = False, origin: Origin | None = None
    ) -> None:
        """Nobody uses it yet.

        Args:
            backend: the backend.
            padded: as in `stream_maker`.
            origin: opens it where it is unpickled; None if it cannot be pickled.
        """
        self.backend = backend
        self.interface = backend.interface
        self.coder = backend.interface.coder()
        self.new_stream = stream_maker(backend, padded)
        self.users = 0
        self.padded = padded
        self._origin = origin
        self._head = b""

    @property
    def head(self) -> bytes:
        """What the bytes of every stream begin with (see `stream_head`)."""
        if not self._head:
            self._head = stream_head(self.interface)
        return self._head

    def release(self) -> None:
        """One session less; the last one closes the backend."""
        self.users -= 1
        if self.users == 0:
            self.backend.close()

    def __reduce__(self) -> tuple[Callable[..., SharedBackend], tuple[Any, ...]]:
        """Pickle where it came from.

        Raises:
            EdgeRnnError: that is unknown.
        """
        if self._origin is None:
            raise EdgeRnnError(
                "session: expected a session from edgernn.load to pickle, got one that runs on "
                f"{type(self.backend).__name__}. Keep `session.to_bytes()` instead."
            )
        return _reopened, (self._origin, self.padded)


def _reopened(origin: Origin, padded: bool) -> SharedBackend:
    return SharedBackend(origin.open(), padded, origin)


def new_stream(backend: Backend, padded: bool = False) -> Stream:
    """A stream of the kind of the model, at its beginning (see `stream_maker`)."""
    return stream_maker(backend, padded)()


def step_stream(backend: Backend) -> Stream:
    """A stream of the network's steps, in the zero state, for every kind of model."""
    return _step_stream_maker(backend)()


def stream_maker(backend: Backend, padded: bool = False) -> Callable[[], Stream]:
    """Makes streams of the kind of the model, at their beginning.

    Args:
        backend: executes the model.
        padded: of a window model, see `WindowStream`.
    """
    interface = backend.interface
    rate, window, of_steps = interface.rate, interface.window, _step_stream_maker(backend)
    make = of_steps if rate is None else lambda: RateStream(interface, rate, of_steps())
    if window is None:
        masks = interface.input.mask is not None
        return (lambda: MaskedStream(interface, of_steps())) if masks else make
    return lambda: WindowStream(backend, make(), window, padded)


def _step_stream_maker(backend: Backend) -> Callable[[], Stream]:
    """Makes streams of the network's steps, of the backend's own kind where it has one."""
    if isinstance(backend, StreamingBackend):
        return backend.new_stream
    return functools.partial(ValueStream, backend)


class ValueStream(NoShortWays):
    """A stream on a backend that reads and returns the state (see `Stream`)."""

    __slots__ = ("_backend", "_state", "held", "last", "sequence")

    def __init__(self, backend: Backend) -> None:
        """Begin in the zero state."""
        self._backend = backend
        self.reset()

    held: OperandArray | None
    last: Int16Array | None

    def reset(self) -> None:
        """See `Stream.reset`."""
        self.state = self._backend.interface.initial_state()
        self.sequence = 0

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
        q_y, self._state = self._backend.step(q_x, self._state)
        self.held, self.last = q_x, q_y
        self.sequence += 1
        return q_y

    def advance(self, q_xs: OperandArray, /) -> Int16Array:
        """See `Stream.advance`."""
        if not len(q_xs):
            return np.empty((0, self._backend.interface.output.width), dtype=np.int16)
        q_ys, self._state = self._backend.run(q_xs, self._state)
        self.held, self.last = q_xs[-1].copy(), q_ys[-1].copy()
        self.sequence += len(q_xs)
        return q_ys

    def close(self) -> None:
        """See `Stream.close`."""
