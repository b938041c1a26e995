"""Sessions: one stream of readings through one model, on any backend.

A session holds the state of one stream; the backend holds the weights and is shared by all
sessions made from one `load`. Sessions over one backend may be interleaved freely but are not
thread-safe: use them from one thread, or load the model once per thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Backend, State
from edgernn.errors import EdgeRnnError, ReadingError, ShapeError
from edgernn.formats import FloatArray, Int16Array, OperandArray
from edgernn.interface import InputCoder, Interface
from edgernn.readings import Policy, Readings, read_codes, read_many, read_one
from edgernn.stream_state import checked_state


class _SharedBackend:
    """A backend and the number of open sessions that use it."""

    __slots__ = ("backend", "users")

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.users = 0

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.backend.close()


class Session:
    """One stream through one model.

    `run` is by definition repeated `step`: every way of cutting a stream into chunks gives the
    same bits. A call that raises leaves the stream as it was.

    Args:
        backend: executes the model; closed together with the last session that uses it.
        on_bad_reading: "raise", "hold" or "skip" (see `edgernn.readings.Policy`).

    Attributes:
        bad_readings: bad readings since the session was opened or reset, whatever the policy.
    """

    def __init__(self, backend: Backend, on_bad_reading: str = "raise") -> None:
        """Begin a stream in the zero state."""
        self._policy = Policy.named(on_bad_reading)
        self._attach(_SharedBackend(backend))

    def _attach(self, shared: _SharedBackend) -> None:
        shared.users += 1
        self._shared: _SharedBackend | None = shared
        self._backend = shared.backend
        self._interface = shared.backend.interface
        self._width = self._interface.input.width
        self._coder = InputCoder(self._interface)
        self.reset()

    def reset(self) -> None:
        """Begin a new stream: zero state, no last reading, no last output, no bad readings."""
        self._require_open()
        self._state: State = self._interface.initial_state()
        self._held: OperandArray | None = None
        self._last: Int16Array | None = None
        self.bad_readings = 0

    def step(self, x: npt.ArrayLike, *, softmax: bool = False) -> FloatArray:
        """Advance the stream by one reading.

        Args:
            x: finite reals [I] in physical units; a scalar where I = 1.
            softmax: return probabilities of a model that ends in a softmax.

        Returns:
            float64 [O] in physical units.

        Raises:
            ShapeError, ReadingError: the reading is bad and the policy is "raise".
            EdgeRnnError: the session is closed, or the model has no softmax.
        """
        self._require_open()
        self._check_softmax(softmax)
        q_x: OperandArray | None
        try:
            reading = read_one(x, self._width)
        except (ShapeError, ReadingError):
            self.bad_readings += 1
            if self._policy is Policy.RAISE:
                raise
            q_x = self._held if self._policy is Policy.HOLD else None
        else:
            q_x = self._coder(reading)
        if q_x is not None:
            self._last, self._state = self._backend.step(q_x, self._state)
            self._held = q_x
        return self._real(self._last, softmax)

    def run(self, xs: npt.ArrayLike, *, softmax: bool = False) -> FloatArray:
        """Advance the stream by T readings; the same as T times `step`.

        Under the policy "raise" one bad reading refuses the whole chunk.

        Args:
            xs: finite reals [T, I] in physical units; [T] where I = 1.
            softmax: return probabilities of a model that ends in a softmax.

        Returns:
            float64 [T, O] in physical units.

        Raises:
            ShapeError, ReadingError: a reading is bad and the policy is "raise".
            EdgeRnnError: the session is closed, or the model has no softmax.
        """
        self._require_open()
        self._check_softmax(softmax)
        readings = read_many(xs, self._width)
        self.bad_readings += int(np.count_nonzero(~readings.good))
        if readings.problem is not None and self._policy is Policy.RAISE:
            raise readings.problem
        q_xs, advances = self._apply_policy(readings)
        before = self._real(self._last, softmax)
        q_ys = self._advance(q_xs)
        # Row 0 is the output before the chunk, row k the output after the k-th advance.
        rows = np.concatenate([before[None], self._real(q_ys, softmax)])
        chosen: FloatArray = rows[np.cumsum(advances)]
        return chosen

    def _apply_policy(self, readings: Readings) -> tuple[OperandArray, npt.NDArray[np.bool_]]:
        """Codes the stream advances by, and which of the T readings advance it."""
        good = readings.good
        q_xs = self._coder(readings.x)
        if self._policy is not Policy.HOLD or good.all():
            return q_xs[good], good
        # The row of the last good reading up to and including t; 0 is the one held before.
        row = np.maximum.accumulate(np.where(good, np.arange(1, len(good) + 1), 0))
        held = np.zeros_like(q_xs[:1]) if self._held is None else self._held[None]
        advances = (row > 0) | (self._held is not None)
        return np.concatenate([held, q_xs])[row[advances]], advances

    def _real(self, q_y: Int16Array | None, softmax: bool) -> FloatArray:
        """Real outputs or probabilities of codes [..., O]; NaN [O] where there are no codes."""
        if q_y is None:
            return np.full(self._interface.output.width, np.nan)
        y = self._interface.dequantize(q_y)
        if not softmax:
            return y
        weight = np.exp(y - y.max(axis=-1, keepdims=True))
        probability: FloatArray = weight / weight.sum(axis=-1, keepdims=True)
        return probability

    def _check_softmax(self, softmax: bool) -> None:
        if softmax and not self._interface.output.softmax:
            raise EdgeRnnError(
                f"session: expected a model that ends in a softmax, got '{self._interface.name}', "
                "which does not. Call without softmax=True."
            )

    def step_codes(self, q_x: npt.ArrayLike) -> Int16Array:
        """Advance the stream by one reading given as operand codes.

        Codes come from a program, not from a sensor: bad ones raise under every policy.

        Args:
            q_x: integers [I] within NUMERICS.md clause 2.3.

        Returns:
            int16 [O].

        Raises:
            ShapeError, ReadingError: another shape, not integers, or out of range.
            EdgeRnnError: the session is closed.
        """
        self._require_open()
        codes = read_codes(q_x, self._interface.precision, self._width, many=False)
        q_y: Int16Array = self._advance(codes[None])[0]
        return q_y

    def run_codes(self, q_xs: npt.ArrayLike) -> Int16Array:
        """Advance the stream by T readings given as operand codes.

        Args:
            q_xs: integers [T, I] within NUMERICS.md clause 2.3.

        Returns:
            int16 [T, O].

        Raises:
            ShapeError, ReadingError, EdgeRnnError: as `step_codes`.
        """
        self._require_open()
        codes = read_codes(q_xs, self._interface.precision, self._width, many=True)
        return self._advance(codes)

    def _advance(self, q_xs: OperandArray) -> Int16Array:
        if not len(q_xs):
            return np.empty((0, self._interface.output.width), dtype=np.int16)
        q_ys, self._state = self._backend.run(q_xs, self._state)
        self._held, self._last = q_xs[-1].copy(), q_ys[-1].copy()
        return q_ys

    @property
    def state(self) -> dict[str, Int16Array]:
        """The carried vectors by name, as copies; assign a mapping of the same form to set them.

        Setting a state forgets the last reading and the last output: they belong to the stream
        the session leaves.
        """
        self._require_open()
        specs = self._interface.states
        return {spec.name: q.copy() for spec, q in zip(specs, self._state, strict=True)}

    @state.setter
    def state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        self._require_open()
        self._state = checked_state(self._interface, state)
        self._held = self._last = None

    def new_stream(self) -> Session:
        """Another stream over the same weights, in the zero state, with the same policy."""
        self._require_open()
        session = object.__new__(Session)
        session._policy = self._policy
        session._attach(self._require_open())
        return session

    def copy(self) -> Session:
        """Another stream over the same weights that continues from here independently."""
        session = self.new_stream()
        session._state = tuple(q.copy() for q in self._state)
        session._held, session._last = self._held, self._last
        session.bad_readings = self.bad_readings
        return session

    __copy__ = copy

    @property
    def interface(self) -> Interface:
        """Channels, units, scales and state formats of the model."""
        return self._interface

    def _require_open(self) -> _SharedBackend:
        if self._shared is None:
            raise EdgeRnnError(
                f"session: expected an open session, got a closed one ('{self._interface.name}'). "
                "Load the model again."
            )
        return self._shared

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._shared is None

    def close(self) -> None:
        """End the stream; the last session of a backend releases the runtime. Idempotent."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.release()

    def __enter__(self) -> Self:
        """Return the session itself."""
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the session."""
        self.close()

    def __repr__(self) -> str:
        """Model, backend, widths and policy."""
        i = self._interface
        widths = f"{i.input.width} -> {i.output.width}"
        closed = ", closed" if self.closed else ""
        return (
            f"<Session '{i.name}' {i.precision.value} on {self._backend.name}, {widths}, "
            f"{sum(2 * s.units for s in i.states)} state bytes, "
            f"bad readings {self._policy.value}{closed}>"
        )
