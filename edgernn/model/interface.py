"""What the outside of a model looks like: inputs, outputs, states, golden vector.

Every file edgernn writes (.edgernn, .tflite, .onnx) contains an `Interface`; a session needs
nothing else about a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.display import listed
from edgernn.errors import EdgeRnnError, ModelError, ReadingError, ShapeError
from edgernn.model.border.channels import MAX_PORTS, InputSpec, OutputSpec, Port, port_slices
from edgernn.model.border.coder import InputCoder
from edgernn.model.border.masks import mask_row
from edgernn.model.formats import (
    ArrayRecord,
    FloatArray,
    Int16Array,
    OperandArray,
    Precision,
    QFormat,
)
from edgernn.model.layer_record import StateSpec

if TYPE_CHECKING:
    from edgernn.adapt.adaptation import Adaptation
    from edgernn.decide.decisions import Decisions
    from edgernn.model.border.symbols import Symbols
    from edgernn.prepare.preparation import Preparation

__all__ = [
    "MAX_PORTS", "MAX_WINDOW_STEPS", "Golden", "InputSpec", "Interface", "OutputSpec", "Port",
    "Rate", "Window", "port_slices",
]  # fmt: skip

#: Most readings a window or a hop may have; what is left of one is then an int16.
MAX_WINDOW_STEPS: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a window model answers: its last readings, from the zero state (clause 6.5).

    Attributes:
        steps: readings T in a window.
        hop: readings between one answer and the next.

    Raises:
        ModelError: not 1..32767 readings.
    """

    steps: int
    hop: int = 1

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, value in (("steps", self.steps), ("hop", self.hop)):
            if type(value) is not int or not 1 <= value <= MAX_WINDOW_STEPS:
                raise ModelError(
                    f"window.{name}: expected 1..{MAX_WINDOW_STEPS} readings, got {value!r:.40}"
                )

    def answers(self, readings: int) -> int:
        """How many answers a stream of that many readings has."""
        return max(0, (readings - self.steps) // self.hop + 1)

    def __str__(self) -> str:
        """For people: ``windows of 60 readings, one answer every 5``."""
        readings = f"{self.steps} reading{'s' * (self.steps != 1)}"
        return f"windows of {readings}" + (f", one answer every {self.hop}" if self.hop > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden(ArrayRecord):
    """A short stream from the zero state with the outputs every backend must reproduce.

    Attributes:
        q_x: operand codes [T, I] of steps: `Interface.step_width`.
        q_y: int16 [T, O].
    """

    q_x: OperandArray
    q_y: Int16Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interface(ArrayRecord):
    """Everything a session must know about a model.

    Attributes:
        name: model name.
        precision: width of weights and operands.
        input: input channels.
        output: output channels.
        states: carried vectors in the order of clause 6.2.
        window: what the model answers; None for an endless stream (clause 6.5).
        model_sha256: hash of the integer model (hex).
        golden: self-test vector of the network's steps, None in .edgernn files.
        rate: how often it answers; None for every reading (clause 6.9).
        kept: names of the states that steps before the first output do not change.
        preparation: how raw readings become readings of the model; None where they are those.
        decisions: what is decided from its outputs; None for nothing.
        symbols: what its tokens stand for; None where that is not recorded.
        adaptation: how a head learns to correct its outputs; None for no such head.
    """

    name: str
    precision: Precision
    input: InputSpec
    output: OutputSpec
    states: tuple[StateSpec, ...]
    model_sha256: str
    window: Window | None = None
    golden: Golden | None = None
    rate: Rate | None = None
    kept: tuple[str, ...] = ()
    preparation: Preparation | None = None
    decisions: Decisions | None = None
    symbols: Symbols | None = None
    adaptation: Adaptation | None = None

    def __repr__(self) -> str:
        """Name, precision, channels and state."""
        return (
            f"Interface(name={self.name!r}, precision={self.precision.value!r}, "
            f"inputs={listed(self.input.names)}, outputs={listed(self.output.names)}, "
            f"states={listed(state.name for state in self.states)})"
        )

    @property
    def step_readings(self) -> int:
        """Readings that one step of the network takes."""
        return 1 if self.rate is None else self.rate.readings

    @property
    def step_width(self) -> int:
        """Input codes of one step of the network: those of all its readings."""
        return self.step_readings * self.input.width

    @property
    def code_dtype(self) -> np.dtype[np.integer[Any]]:
        """NumPy dtype of input codes."""
        return self.input.code_dtype(self.precision)

    @property
    def mask_row(self) -> OperandArray | None:
        """Codes [I] of masked steps (clause 6.13); None where there are none."""
        return mask_row(self.input, self.precision)

    def quantize(self, x: npt.NDArray[Any]) -> OperandArray:
        """Codes of readings (clauses 9.1, 9.3 and 9.4).

        Args:
            x: finite floats [..., I] in physical units.

        Returns:
            int8 (`w8a8` without tokens) or int16 codes [..., I].

        Raises:
            ShapeError: another number of channels.
            ReadingError: a value is NaN or infinite, or not a token of its channel.
        """
        if np.shape(x)[-1:] != (self.input.width,):
            raise ShapeError(
                f"interface: expected readings [..., {self.input.width}], got {np.shape(x)}."
            )
        if not np.isfinite(x).all():
            raise ReadingError(
                "interface: expected finite readings, got NaN or infinity. Replace or drop "
                "these readings first."
            )
        return self.coder()(x)

    def coder(self) -> InputCoder:
        """What makes codes of readings."""
        return InputCoder(self.input, self.precision)

    def dequantize(self, q_y: Int16Array) -> FloatArray:
        """Real outputs of codes [..., O], without softmax (clause 9.2)."""
        return np.asarray(q_y, dtype=np.float64) * self.output.scale

    @property
    def carried(self) -> tuple[StateSpec, ...]:
        """The values that a stream keeps from reading to reading.

        The states of an endless stream. Before them, where it has a rate, the rows of a step, and
        the number of readings until the next answer, from which follows which row the next reading
        takes; rows behind are those of the step before, or the start. Of windows, the codes of the
        last readings, row after row, and that number alone.
        """
        if self.window is not None:
            return self._readings("window", self.window.steps, ())
        if self.rate is not None:
            return self._readings("rate", self.rate.readings, self.rate.start) + self.states
        return self.states

    def _readings(self, name: str, count: int, start: tuple[int, ...]) -> tuple[StateSpec, ...]:
        bits = 8 * self.code_dtype.itemsize
        return (
            StateSpec(
                name=f"{name}.codes",
                units=count * self.input.width,
                format=QFormat(bits=bits, frac_bits=0),
                start=start,
            ),
            StateSpec(name=f"{name}.due", units=1, format=QFormat(bits=16, frac_bits=0)),
        )

    @property
    def held_bytes(self) -> int:
        """Bytes of the readings that a stream keeps in addition to the states of the network."""
        held = self.carried if self.window is not None else self.carried[: -len(self.states)]
        return _bytes(held)

    @property
    def carried_bytes(self) -> int:
        """Bytes that a stream keeps."""
        return _bytes(self.carried)

    @property
    def state_bytes(self) -> int:
        """Bytes of memory a stream needs for its state.

        For windows, those of the readings that are kept, and of the network's states, which start
        again with every window.
        """
        return _bytes(self.states) + self.held_bytes

    def initial_state(self) -> tuple[Int16Array, ...]:
        """What every stream begins with, one vector per state (clause 6.2)."""
        return tuple(spec.initial() for spec in self.states)

    def warmed_up(self, state: tuple[Int16Array, ...]) -> tuple[Int16Array, ...]:
        """What a step before the first answer leaves of its state (clause 6.9).

        Args:
            state: after the step, int16 [H] or [B, H] each.
        """
        return tuple(
            q if spec.name in self.kept else np.broadcast_to(spec.initial(), q.shape).copy()
            for spec, q in zip(self.states, state, strict=True)
        )

    def real_outputs(self, q_y: Int16Array | None, softmax: bool) -> FloatArray:
        """What codes mean.

        Args:
            q_y: codes [..., O]; None, or masked values, where there is no output yet.
            softmax: return probabilities of the outputs that end in a softmax.

        Returns:
            float64 [..., O] in physical units, or probabilities; NaN where there is none.
        """
        if q_y is None:
            return np.full(self.output.width, np.nan)
        y = self.dequantize(q_y)
        if isinstance(q_y, np.ma.MaskedArray):  # no answer yet
            y[q_y.mask] = np.nan
        if softmax:
            self.to_probabilities(y)
        return y

    def to_probabilities(self, y: FloatArray) -> None:
        """Put probabilities in the place of the outputs [..., O] that end in a softmax."""
        for own in self.output.softmax_slices:
            logits = y[..., own]
            weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
            y[..., own] = weight / weight.sum(axis=-1, keepdims=True)

    def require_softmax(self) -> None:
        """Refuse probabilities of a model that has none.

        Raises:
            EdgeRnnError: the float model does not end in a softmax.
        """
        if not self.output.softmax:
            raise EdgeRnnError(
                f"session: expected a model that ends in a softmax, got '{self.name}', which "
                "does not. Omit softmax=True."
            )


def _bytes(specs: tuple[StateSpec, ...]) -> int:
    return sum(spec.format.bits // 8 * spec.units for spec in specs)


#: Most readings until an answer; what is left of them is then an int16.
MAX_RATE_READINGS: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A network whose step reads the last R readings, and that answers every R readings.

    The readings of a step follow one another in its input, the oldest first. Steps end at
    the readings first, first + R, first + 2R, …, which are answered, and at first − R, first − 2R
    and so on, down to 1, which are not: these fill what convolutions look back at, and after each
    of them all layers but delays start again.

    Attributes:
        readings: R.
        first: readings until the first answer.
        latency: readings by which an answer comes later than that of the float network.
        start: input codes [I] that stand for every reading before the stream; none where all are 0.

    Raises:
        ModelError: not 1..32767 readings, or a rate that says nothing.
    """

    readings: int
    first: int
    latency: int = 0
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, low in (("readings", 1), ("first", 1), ("latency", 0)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= MAX_RATE_READINGS:
                raise ModelError(
                    f"rate.{name}: expected {low}..{MAX_RATE_READINGS} readings, got {value!r:.40}"
                )
        if self.readings == self.first == 1 and not self.latency:
            raise ModelError("rate: expected None for a model with one output per reading, got 1")
        if not any(self.start):
            object.__setattr__(self, "start", ())

    @property
    def rows_before(self) -> int:
        """How many rows of the first step stand for readings before the stream."""
        return -self.first % self.readings

    def steps(self, readings: int) -> int:
        """How many steps the network takes over a stream of that many readings."""
        return len(self._ends(readings))

    def _ends(self, readings: int) -> range:
        """Readings, from 1, at which the steps of a stream end."""
        return range((self.first - 1) % self.readings + 1, readings + 1, self.readings)

    @property
    def unanswered(self) -> int:
        """Steps before the first one that is answered."""
        return (self.first - 1) // self.readings

    def blocks(self, readings: npt.NDArray[Any], start: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the steps of a whole stream read.

        Args:
            readings: values or codes [..., T, I].
            start: [I], the values used for the readings before the stream.

        Returns:
            [..., N, R*I], the readings of each step one behind another, the oldest first.
        """
        *batch, count, width = readings.shape
        ends = self._ends(count)
        before = np.broadcast_to(start, (*batch, self.rows_before, width))
        whole = np.concatenate([before.astype(readings.dtype), readings], axis=-2)
        whole = whole[..., : len(ends) * self.readings, :]
        steps: npt.NDArray[Any] = whole.reshape(*batch, len(ends), self.readings * width)
        return steps

    def answers(self, readings: int) -> int:
        """How many answers a stream of that many readings has."""
        return len(self.answered(readings))

    def answered(self, readings: int) -> range:
        """Which of that many readings are answered, from 0."""
        return range(self.first - 1, readings, self.readings)

    def __str__(self) -> str:
        """For people: ``one answer every 4 readings, the first after 3``."""
        every = f"every {self.readings} readings" if self.readings > 1 else "per reading"
        late = f", {self.latency} reading{'s' * (self.latency > 1)} late" if self.latency else ""
        return f"one answer {every}, the first after {self.first}{late}"


def answers_text(window: Window | None, rate: Rate | None) -> str:
    """Which readings are answered, for people; "" where every one is.

    A window model answers the readings that end a window, whatever its rate: of what the network
    answers within a window, the last counts.
    """
    if window is None:
        return "" if rate is None else str(rate)
    return str(window) if rate is None else f"{window} (inside, {rate}; the last counts)"
