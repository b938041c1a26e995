"""Sessions: one stream of readings through one model, on any backend.

A session holds the state of one stream; the backend holds the weights and is shared by all
sessions made from one `load`. Sessions over one backend may be interleaved freely. Each belongs to
one thread at a time; sessions over one native backend may be in several threads, those over another
backend must all be in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Backend, Stream
from edgernn.backends.streams import SharedBackend, new_stream
from edgernn.bound_arrays import are_real
from edgernn.errors import EdgeRnnError, ReadingError, ShapeError
from edgernn.formats import FloatArray, Int16Array, OperandArray
from edgernn.interface import InputCoder, Interface
from edgernn.outputs import real_outputs, require_softmax
from edgernn.readings import Policy, advancing_codes, read_codes, read_many, read_one
from edgernn.stream_state import checked_state, is_padded


class Session:
    """One stream through one model.

    `run` is by definition repeated `step`: every way of cutting a stream into chunks gives the
    same bits. A call that raises leaves the stream as it was.

    Args:
        backend: executes the model; closed together with the last session that uses it.
        on_bad_reading: "raise", "hold" or "skip" (see `edgernn.readings.Policy`).
        warm_up: what a window model answers before its first window is full: "nothing" (NaN), or
            "pad", as if the first reading had stood before the stream for ever.

    Attributes:
        bad_readings: bad readings since the session was opened or reset, whatever the policy.
    """

    def __init__(
        self, backend: Backend, on_bad_reading: str = "raise", warm_up: str = "nothing"
    ) -> None:
        """Begin a stream in the zero state."""
        self._policy = Policy.named(on_bad_reading)
        self._padded = is_padded(warm_up, backend.interface)
        self._attach(SharedBackend(backend))

    def _attach(self, shared: SharedBackend) -> None:
        shared.users += 1
        self._shared: SharedBackend | None = shared
        self._backend = shared.backend
        self._interface = shared.backend.interface
        self._width = self._interface.input.width
        self._coder = InputCoder(self._interface)
        self._stream: Stream = new_stream(shared.backend, self._padded)
        self.bad_readings = 0

    def reset(self) -> None:
        """Begin a new stream: zero state, no last reading, no last output, no bad readings."""
        self._require_open()
        self._stream.reset()
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
        if not softmax:
            y = self._stream.step(x)
            if y is not None:
                return y
        return self._step_of_any(x, softmax)

    def _step_of_any(self, x: npt.ArrayLike, softmax: bool) -> FloatArray:
        """`step` for good and bad readings of every form."""
        self._require_open()
        if softmax:
            require_softmax(self._interface)
        stream = self._stream
        q_x: OperandArray | None
        try:
            reading = read_one(x, self._width)
        except (ShapeError, ReadingError):
            self.bad_readings += 1
            if self._policy is Policy.RAISE:
                raise
            q_x = stream.held if self._policy is Policy.HOLD else None
        else:
            q_x = self._coder(reading)
        q_y = stream.last if q_x is None else stream.advance_one(q_x)
        return real_outputs(self._interface, q_y, softmax)

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
        if not softmax:
            ys = self._stream.run(xs)
            if ys is not None:
                return ys
        return self._run_of_any(xs, softmax)

    def _run_of_any(self, xs: npt.ArrayLike, softmax: bool) -> FloatArray:
        """`run` for good and bad readings of every form."""
        self._require_open()
        if softmax:
            require_softmax(self._interface)
        readings = read_many(xs, self._width)
        self.bad_readings += int(np.count_nonzero(~readings.good))
        if readings.problem is not None and self._policy is Policy.RAISE:
            raise readings.problem
        held, last = self._stream.held, self._stream.last
        q_xs, advances = advancing_codes(readings, self._coder(readings.x), held, self._policy)
        before = real_outputs(self._interface, last, softmax)
        after = real_outputs(self._interface, self._stream.advance(q_xs), softmax)
        # Row 0 is the output before the chunk, row k the output after the k-th advance.
        rows = np.concatenate([before[None], after])
        chosen: FloatArray = rows[np.cumsum(advances)]
        return chosen

    def bind(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Callable[[], None]:
        """Make a step without arguments, which reads ``x`` and writes ``y``: the fastest way.

        Each call does what `step` does with what ``x`` then holds, by the same policy, and what
        `step_codes` does where the arrays hold codes. It keeps the arrays and follows the session:
        after `reset` it steps from the zero state, after `close` it raises. ``x`` and ``y`` may
        share memory.

            x, y = np.empty(3), np.empty(1)
            step = session.bind(x, y)
            while True:
                sensor.read_into(x)
                step()
                show(y)

        Args:
            x: float64 [I] in physical units, or operand codes [I] in the precision's dtype.
            y: writable, float64 [O] in physical units, or int16 [O] for codes.

        Returns:
            A function of no arguments that returns nothing and raises what `step` raises.

        Raises:
            ShapeError: the arrays are not of this form, or not contiguous.
            EdgeRnnError: the session is closed.
        """
        self._require_open()
        step = self.step if are_real(self._interface, x, y) else self.step_codes

        def step_once() -> None:
            y[...] = step(x)

        return self._stream.bind(x, y, step_once)

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
        q_y = self._stream.step_codes(q_x)
        if q_y is not None:
            return q_y
        self._require_open()
        codes = read_codes(q_x, self._interface.precision, self._width, many=False)
        return self._stream.advance_one(codes).copy()

    def run_codes(self, q_xs: npt.ArrayLike) -> Int16Array:
        """Advance the stream by T readings given as operand codes.

        Args:
            q_xs: integers [T, I] within NUMERICS.md clause 2.3.

        Returns:
            int16 [T, O].

        Raises:
            ShapeError, ReadingError, EdgeRnnError: as `step_codes`.
        """
        q_ys = self._stream.run_codes(q_xs)
        if q_ys is not None:
            return q_ys
        self._require_open()
        codes = read_codes(q_xs, self._interface.precision, self._width, many=True)
        return self._stream.advance(codes)

    @property
    def state(self) -> dict[str, Int16Array]:
        """The carried vectors by name, as copies; assign a mapping of the same form to set them.

        Setting a state forgets the last reading and the last output: they belong to the stream
        the session leaves.
        """
        self._require_open()
        specs = self._interface.carried
        return {spec.name: q for spec, q in zip(specs, self._stream.state, strict=True)}

    @state.setter
    def state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        self._require_open()
        self._stream.state = checked_state(self._interface, state)

    def new_stream(self) -> Session:
        """Another stream over the same weights, in the zero state, with the same policy."""
        self._require_open()
        session = object.__new__(Session)
        session._policy = self._policy
        session._padded = self._padded
        session._attach(self._require_open())
        return session

    def copy(self) -> Session:
        """Another stream over the same weights that continues from here independently."""
        session = self.new_stream()
        session._stream = self._stream.copy()
        session.bad_readings = self.bad_readings
        return session

    __copy__ = copy

    @property
    def interface(self) -> Interface:
        """Channels, units, scales and state formats of the model."""
        return self._interface

    def _require_open(self) -> SharedBackend:
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
            self._stream.close()
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
            f"{i.carried_bytes} state bytes{'' if i.window is None else f', {i.window}'}, "
            f"bad readings {self._policy.value}{closed}>"
        )
