"""What every backend offers: one integer step; and streams, which carry the state between steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, Self, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgernn.errors import BackendMismatch
from edgernn.model.formats import FloatArray, Int16Array, OperandArray
from edgernn.model.interface import Interface

#: Most threads of a runtime that an option may ask for.
MAX_THREADS: Final = 1024
#: int16 vectors in the order of `Interface.states`.
State = tuple[Int16Array, ...]


class Backend(Protocol):
    """Executes one model; holds weights, never a stream's state."""

    name: str
    interface: Interface

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by one step of the network: by a reading, or by several.

        Args:
            q_x: operand codes [I] of a step: `Interface.step_width`.
            state: int16 vectors; not modified.

        Returns:
            int16 [O] and the new state; both owned by the caller.
        """
        ...

    def run(self, q_xs: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by T steps; by definition repeated `step`.

        Args:
            q_xs: operand codes [T, I].
            state: int16 vectors; not modified.

        Returns:
            int16 [T, O] and the new state.
        """
        ...

    def close(self) -> None:
        """Release the runtime."""
        ...


class Stream(Protocol):
    """State of one stream, and what it was last advanced by.

    `advance_one` and `advance` take what a session has judged. The other calls are short ways for
    streams that check their own readings: each answers None, and leaves the stream unchanged, for
    what it does not take, be it a bad reading, a good one of a form it does not know, or anything
    at all. After `close` they take nothing.

    Attributes:
        sequence: number of the last reading, 0 before the first; every one that the stream is
            advanced by adds 1.
    """

    sequence: int

    @property
    def held(self) -> OperandArray | None:
        """Codes [I] of the last step; None before the first and after the state was set."""
        ...

    @property
    def last(self) -> Int16Array | None:
        """Output [O] of the last step; None where `held` is."""
        ...

    @property
    def state(self) -> State:
        """The carried vectors, as copies."""
        ...

    @state.setter
    def state(self, state: State) -> None: ...

    def reset(self) -> None:
        """Start again from the zero state."""
        ...

    def copy(self) -> Self:
        """Another stream that continues from here."""
        ...

    def snapshot(self) -> tuple[Any, ...]:
        """What another stream of the same model needs to continue from here.

        The state, `held`, `last` and `sequence`, as copies.
        """
        ...

    def restore(self, snapshot: tuple[Any, ...], /) -> None:
        """Continue from a snapshot."""
        ...

    def advance_one(self, q_x: OperandArray, /) -> Int16Array:
        """Advance by one reading.

        Args:
            q_x: operand codes [I] within NUMERICS.md clause 2.3; not to be changed afterwards.

        Returns:
            int16 [O]; not to be changed.
        """
        ...

    def advance(self, q_xs: OperandArray, /) -> Int16Array:
        """Advance by T readings.

        Args:
            q_xs: contiguous operand codes [T, I] within NUMERICS.md clause 2.3.

        Returns:
            int16 [T, O], owned by the caller.
        """
        ...

    def step(self, x: object, /) -> FloatArray | None:
        """Advance by one reading [I]; float64 [O] in physical units."""
        ...

    def run(self, xs: object, /) -> FloatArray | None:
        """Advance by readings [T, I]; float64 [T, O] in physical units."""
        ...

    def step_codes(self, q_x: object, /) -> Int16Array | None:
        """Advance by operand codes [I]; int16 [O]."""
        ...

    def run_codes(self, q_xs: object, /) -> Int16Array | None:
        """Advance by operand codes [T, I]; int16 [T, O]."""
        ...

    def bind(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], otherwise: Callable[[], None], /
    ) -> Callable[[], None]:
        """A step from array to array; for what it does not take, it calls ``otherwise``."""
        ...

    def to_bytes(self, head: bytes, bad: int, /) -> bytes | None:
        """The whole stream, as `encode_stream` writes it; None leaves that to the caller."""
        ...

    def from_bytes(self, head: bytes, blob: object, /) -> int | None:
        """Continue from such bytes; the number of bad readings."""
        ...

    def close(self) -> None:
        """Take nothing any more."""
        ...


class NoShortWays:
    """The short ways of a `Stream` that takes only what a session has judged."""

    __slots__ = ()

    def step(self, _: object, /) -> None:
        """Take nothing; see `Stream.step`."""

    run = step_codes = run_codes = step

    def to_bytes(self, head: bytes, bad: int, /) -> None:
        """See `Stream.to_bytes`."""

    def from_bytes(self, head: bytes, blob: object, /) -> None:
        """See `Stream.from_bytes`."""

    def bind(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], otherwise: Callable[[], None], /
    ) -> Callable[[], None]:
        """See `Stream.bind`."""
        del x, y  # the other function knows them
        return otherwise


@runtime_checkable
class StreamingBackend(Backend, Protocol):
    """A backend with its own kind of streams."""

    def new_stream(self) -> Stream:
        """A stream in the zero state."""
        ...


@runtime_checkable
class BatchBackend(Backend, Protocol):
    """A backend that runs many streams faster at once than one after another."""

    def run_batch(self, q_xs: OperandArray) -> Int16Array:
        """Run B whole streams of T readings.

        Args:
            q_xs: operand codes [B, T, I] of readings.

        Returns:
            int16 [B, N, O]: their answers, T where every reading is answered.
        """
        ...


class SequenceBackend(Backend, Protocol):
    """A backend that runs streams of network steps, of any lengths, in one call.

    They may run in several threads.
    """

    def run_sequences(
        self, q_xs: Sequence[OperandArray], last: bool = False, threads: int = 1
    ) -> list[Int16Array]:
        """Run whole streams, each from the initial state.

        Args:
            q_xs: operand codes [T, I] of steps within NUMERICS.md clause 2.3, T > 0.
            last: only the last output of each.
            threads: upper limit.

        Returns:
            For every stream int16 [T, O]; with ``last`` [1, O].
        """
        ...


def runs_sequences(backend: Backend) -> TypeGuard[SequenceBackend]:
    """Whether it is a `SequenceBackend`; faster to ask than `isinstance`."""
    return hasattr(backend, "run_sequences")


def self_test(backend: Backend) -> None:
    """Run the file's golden vector through the runtime.

    Raises:
        BackendMismatch: an output differs; the runtime must not be trusted with this file.
    """
    golden = backend.interface.golden
    if golden is None:
        return
    q_y, _ = backend.run(golden.q_x, backend.interface.initial_state())
    differing = int(np.count_nonzero(q_y != golden.q_y))
    if differing:
        raise BackendMismatch(
            f"backend '{backend.name}': expected the file's golden vector, got {differing} of "
            f"{q_y.size} values that differ. Install another version of the runtime or use the "
            "reference backend, and report this version."
        )
