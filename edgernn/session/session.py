"""Sessions: one stream of readings through one model, on any backend.

A session holds the state of one stream; the backend holds the weights and is shared by all
sessions made from one `load`. Sessions over one backend may be interleaved freely. Each belongs to
one thread at a time; sessions over one native backend may be in several threads, those over another
backend must all be in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import Backend
from edgernn.backends.streams.value_stream import Origin, SharedBackend
from edgernn.display import html_table
from edgernn.errors import ShapeError
from edgernn.model.formats import FloatArray, Int16Array
from edgernn.model.interface import InputSpec, Interface, OutputSpec, answers_text, port_slices
from edgernn.session.checks import Closing, are_real, checked_state, is_padded
from edgernn.session.policies import OnBadReading, Policies
from edgernn.session.reading_stream import Reading, ReadingStream
from edgernn.session.readings import read_codes

Scalar = TypeVar("Scalar", bound=np.generic)
#: What `Session.outputs` calls the only output of a model.
MODEL_OUTPUT: Final = "output"


class Session(ReadingStream, Closing):
    """One stream through one model.

    `run` is by definition repeated `step`: every way of cutting a stream into chunks gives the
    same bits. A call that raises does not change the stream.

    Args:
        backend: executes the model; closed together with the last session that uses it.
        on_bad_reading: as in `edgernn.load`.
        warm_up: what a window model answers before its first window is full: "nothing" (NaN), or
            "pad", as if the first reading had been repeated before the stream.
        origin: reopens the backend when the session is unpickled.

    Attributes:
        bad_readings: readings of which a value was missing, NaN or infinite, since the session was
            opened or reset, under every policy.
    """

    __slots__ = ("__dict__", "__weakref__")

    def __init__(
        self,
        backend: Backend,
        on_bad_reading: OnBadReading = "raise",
        warm_up: str = "nothing",
        *,
        origin: Origin | None = None,
    ) -> None:
        """Begin a stream in the zero state."""
        policies = Policies(on_bad_reading, backend.interface)
        shared = SharedBackend(backend, is_padded(warm_up, backend.interface), origin)
        self._attach(shared, policies, shared.new_stream())

    def reset(self) -> None:
        """Begin a new stream: zero state, no last reading, no last output, nothing counted."""
        self._require_open()
        self._stream.reset()
        self._early = None
        self._encoder.clipped = (0,) * self.interface.input.width
        self.bad_readings = 0

    @property
    def clipped_readings(self) -> tuple[int, ...]:
        """Readings outside the calibrated range, which were clipped; one number per channel.

        Counted since the session was opened or reset, in `step`, `run` and bound steps of physical
        values. Readings that were refused, or left out by the policy "skip", do not count.
        """
        return self._encoder.clipped

    def step(self, x: Reading, sequence: int | None = None, *, softmax: bool = False) -> FloatArray:
        """Advance the stream by one reading.

        Args:
            x: reals [I] in physical units; a scalar where I = 1; or a mapping, or a row of a table,
                with the names of all channels; others are ignored. A missing value is NaN, None or
                masked. Where the model has several inputs, a mapping of their names to such
                readings, with no other names.
            sequence: number of the reading, from 1 on; None adds 1 to the last one. A number that
                is not above the last one repeats a reading that was taken: nothing changes, and the
                last output is returned.
            softmax: return probabilities of a model that ends in a softmax; of several outputs, of
                those that do.

        Returns:
            float64 [O] in physical units; NaN where there is no output yet. `outputs` splits
            several outputs by name.

        Raises:
            ReadingError: a value is missing and its channel's policy is "raise"; or the number is
                not an integer of at least 1.
            ShapeError: not a reading of this model.
            EdgeRnnError: the session is closed, or the model has no softmax.

        Warns:
            ClippedReadingsWarning: once per session, a value is outside the calibrated range.
        """
        if sequence is None and not softmax:
            y = self._stream.step(x)
            if y is not None:
                return y
        if sequence is not None:
            return self._step_numbered(x, softmax, sequence)
        return self._step_of_any(x, softmax)

    def run(self, xs: npt.ArrayLike | object, *, softmax: bool = False) -> FloatArray:
        """Advance the stream by T readings; the same as T times `step`.

        Under the policy "raise" one bad reading refuses the whole chunk.

        Args:
            xs: reals [T, I] in physical units; [T] where I = 1; or any iterable of what
                `step` takes; or a mapping of the names of all channels, or of several inputs, to
                the readings of each.
            softmax: as in `step`.

        Returns:
            float64 [T, O] in physical units; NaN where there is no output yet.

        Raises:
            ReadingError, ShapeError, EdgeRnnError: as `step`.

        Warns:
            ClippedReadingsWarning: as `step`.
        """
        if not softmax:
            ys = self._stream.run(xs)
            if ys is not None:
                return ys
        return self._run_of_any(xs, softmax)

    def outputs(self, y: npt.NDArray[Scalar]) -> dict[str, npt.NDArray[Scalar]]:
        """Split the outputs of a model by name.

            y = session.outputs(session.step({"wind": (3.1, 0.4), "load": 512}))
            print(y["power"], y["state"])

        Args:
            y: [O] or [T, O], as `step`, `run`, `step_codes` and `run_codes` return them, or the
                array of a bound step.

        Returns:
            A view [..., width] for every output, by name; of a model with one output the whole, as
            "output".

        Raises:
            ShapeError: another number of channels.
        """
        output = self.interface.output
        if np.shape(y)[-1:] != (output.width,):
            raise ShapeError(
                f"session: expected outputs [..., {output.width}] of '{self.interface.name}', "
                f"got {list(np.shape(y))}. Pass a value returned by `step` or `run`."
            )
        if not output.ports:
            return {MODEL_OUTPUT: y}
        return {name: y[..., own] for name, own in port_slices(output.ports).items()}

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
            x: float64 [I] in physical units, or input codes [I] of `interface.code_dtype`.
            y: writable, float64 [O] in physical units, or int16 [O] for codes; codes stay unchanged
                until the first output, of a window or of a model with a rate.

        Returns:
            A function of no arguments that returns nothing and raises what `step` raises.

        Raises:
            ShapeError: the arrays are not of this form, or not contiguous.
            EdgeRnnError: the session is closed.
        """
        interface = self._require_open().interface
        step = self.step if are_real(interface, x, y) else self.step_codes

        def step_once() -> None:
            answer = step(x)
            if not isinstance(answer, np.ma.MaskedArray):  # codes that are not there yet
                y[...] = answer

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
        interface = self._require_open().interface
        codes = read_codes(q_x, interface, many=False)
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
        interface = self._require_open().interface
        codes = read_codes(q_xs, interface, many=True)
        return self._stream.advance(codes)

    @property
    def state(self) -> dict[str, Int16Array]:
        """The carried vectors by name, as copies; assign a mapping of the same form to set them.

        That is not the whole stream. The last reading, which the policy "hold" repeats,
        and the last output, which "skip" repeats, are not in it, and are forgotten when a state is
        set; `sequence` and the counts are not in it, and go on. To continue a stream later with the
        same bits, use `to_bytes` and `from_bytes`.
        """
        specs = self._require_open().interface.carried
        return {spec.name: q for spec, q in zip(specs, self._stream.state, strict=True)}

    @state.setter
    def state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        self._stream.state = checked_state(self._require_open().interface, state)
        self._early = None

    def new_stream(self) -> Self:
        """Another stream over the same weights, in the zero state, with the same policy."""
        shared = self._require_open()
        session = object.__new__(type(self))
        session._attach(shared, self._policies, shared.new_stream())
        return session

    def copy(self) -> Self:
        """Another stream over the same weights that continues from here independently.

        The bits are those of this one, at bad readings too, and so are the counts.
        """
        shared = self._require_open()
        session = object.__new__(type(self))
        session._attach(shared, self._policies, self._stream.copy())
        session._continue(self._counts())
        return session

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy`: the weights never change."""
        return self.copy()

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[Any, ...]]:
        """Pickle the model's file, once for all sessions over one backend, and the stream.

        Raises:
            EdgeRnnError: the session is closed, or was not opened by `edgernn.load`.
        """
        shared = self._require_open()
        snapshot = self._stream.snapshot()
        counts = self._counts()
        return _restored, (type(self), shared, self._policies.given, snapshot, counts)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """End the stream; the last session of a backend releases the runtime. Idempotent."""
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._shared.release()

    def __repr__(self) -> str:
        """Model, backend, widths and policy."""
        i = self.interface
        widths = f"{_widths(i.input)} -> {_widths(i.output)}"
        closed = ", closed" if self.closed else ""
        return (
            f"<Session '{i.name}' {i.precision.value} on {self._shared.backend.name}, {widths}, "
            f"{i.state_bytes} state bytes{_answered(i)}, "
            f"bad readings {self._policies}{closed}>"
        )

    def _repr_html_(self) -> str:
        """A table of the channels, for notebooks."""
        source, sink = self.interface.input, self.interface.output
        rows = [("input", n, u) for n, u in zip(source.names, source.units, strict=True)]
        rows += [("output", n, u) for n, u in zip(sink.names, sink.units, strict=True)]
        return html_table(repr(self).strip("<>"), ("channel", "name", "unit"), rows)


def _widths(spec: InputSpec | OutputSpec) -> str:
    """The width, or those of the ports with their names."""
    return " + ".join(map(str, spec.ports)) or str(spec.width)


def _answered(interface: Interface) -> str:
    """Which readings are answered, where not every one is."""
    said = answers_text(interface.window, interface.rate)
    return said and f", {said}"


def _restored(
    kind: type[Session],
    shared: SharedBackend,
    given: OnBadReading,
    snapshot: tuple[Any, ...],
    counts: tuple[Any, ...],
) -> Session:
    """A session that was pickled."""
    stream = shared.new_stream()
    stream.restore(snapshot)
    session = object.__new__(kind)
    session._attach(shared, Policies(given, shared.interface), stream)
    session._continue(counts)
    return session
