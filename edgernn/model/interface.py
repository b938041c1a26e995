"""What the outside of a model looks like: inputs, outputs, states, golden vector.

Every file edgernn writes (.edgernn, .tflite, .onnx) carries an `Interface`; a session needs
nothing else about a model.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError, ModelError, ReadingError, ShapeError
from edgernn.model.array_record import ArrayRecord, frozen_array
from edgernn.model.formats import FloatArray, Int16Array, OperandArray, Precision, QFormat
from edgernn.model.layer_record import StateSpec

#: Most readings a window or a hop may have; what is left of one is then an int16.
MAX_WINDOW_STEPS: Final = 32_767
#: Most inputs, and most outputs, a model may have.
MAX_PORTS: Final = 256


def _texts(owner: str, values: tuple[str, ...], count: int) -> None:
    if len(values) != count or not all(isinstance(v, str) and len(v) <= 256 for v in values):
        raise ModelError(
            f"{owner}: expected {count} strings of <= 256 characters, got {values!r:.80}"
        )


def _names(owner: str, values: tuple[str, ...], count: int) -> None:
    _texts(owner, values, count)
    if len(set(values)) != count:
        raise ModelError(f"{owner}: expected distinct names, got {values!r:.80}")


def _check_scale(owner: str, scale: FloatArray) -> None:
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise ModelError(f"{owner}.scale: expected finite values > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Consecutive channels with a name of their own: one of several inputs or outputs.

    Attributes:
        name: unique among the inputs, or the outputs.
        width: number of channels.
        softmax: of an output: the float model ends in a softmax here; codes are its logits.
    """

    name: str
    width: int
    softmax: bool = False

    def __str__(self) -> str:
        """For people: name and width."""
        return f"{self.name} {self.width}"


def _check_ports(
    owner: str, ports: tuple[Port, ...], channels: tuple[str, ...]
) -> tuple[Port, ...]:
    """Ports that cover all channels; none where one would say nothing."""
    _names(f"{owner}.ports", tuple(port.name for port in ports), len(ports))
    widths = [port.width for port in ports]
    if len(ports) > MAX_PORTS or not all(port.name for port in ports):
        raise ModelError(
            f"{owner}.ports: expected at most {MAX_PORTS} with names, got {len(ports)}"
        )
    if ports and (min(widths) < 1 or sum(widths) != len(channels)):
        raise ModelError(
            f"{owner}.ports: expected widths that add up to {len(channels)}, got {widths}"
        )
    for port, own in zip(ports, port_slices(ports).values(), strict=True):
        if port.name in channels and channels[own] != (port.name,):
            raise ModelError(
                f"{owner}.ports: expected a port called as none but its only channel, "
                f"got '{port.name}', which is a channel too"
            )
    return ports if len(ports) > 1 else ()


def port_slices(ports: tuple[Port, ...]) -> dict[str, slice]:
    """Where each port has its channels, by name.

    Args:
        ports: of an input or output, one behind another.
    """
    ends = itertools.accumulate(port.width for port in ports)
    return {port.name: slice(end - port.width, end) for port, end in zip(ports, ends, strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputSpec(ArrayRecord):
    """The model input: one reading is float [I]; code = (x - offset) / scale (clause 9.1).

    Attributes:
        names: channel names.
        units: physical units, "" where unknown.
        scale: float64 [I], physical units per code.
        offset: float64 [I], physical value of code 0.
        ports: which channels are whose, one behind another, where there are several inputs.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: FloatArray
    offset: FloatArray
    ports: tuple[Port, ...] = ()

    def __post_init__(self) -> None:
        """Freeze and check."""
        set_ = object.__setattr__
        set_(self, "scale", frozen_array("input", "scale", self.scale, np.float64, 1))
        set_(self, "offset", frozen_array("input", "offset", self.offset, np.float64, 1))
        count = self.scale.shape[0]
        if count < 1 or self.offset.shape != (count,):
            raise ModelError(f"input.offset: expected shape ({count},), got {self.offset.shape}")
        _names("input.names", self.names, count)
        _texts("input.units", self.units, count)
        _check_scale("input", self.scale)
        if not np.all(np.isfinite(self.offset)):
            raise ModelError("input.offset: expected finite values")
        set_(self, "ports", _check_ports("input", self.ports, self.names))
        if any(port.softmax for port in self.ports):
            raise ModelError("input.ports: expected inputs without softmax, got one with it")

    @property
    def width(self) -> int:
        """Number of channels I."""
        return int(self.scale.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputSpec(ArrayRecord):
    """The model output: int16 [O]; y = code * scale (clause 9.2).

    Attributes:
        names: channel names.
        units: physical units, "" where unknown.
        scale: float64 [O], physical units per code.
        softmax: the float model ends in a softmax; codes are its logits. Of several outputs, one
            does.
        ports: which channels are whose, one behind another, where there are several outputs.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: FloatArray
    softmax: bool
    ports: tuple[Port, ...] = ()

    def __post_init__(self) -> None:
        """Freeze and check."""
        scale = frozen_array("output", "scale", self.scale, np.float64, 1)
        object.__setattr__(self, "scale", scale)
        _names("output.names", self.names, scale.shape[0])
        _texts("output.units", self.units, scale.shape[0])
        _check_scale("output", scale)
        ports = _check_ports("output", self.ports, self.names)
        object.__setattr__(self, "ports", ports)
        if ports and self.softmax != any(port.softmax for port in ports):
            raise ModelError(f"output.softmax: expected that of its ports, got {self.softmax}")

    @property
    def width(self) -> int:
        """Number of channels O."""
        return int(self.scale.shape[0])

    @property
    def softmax_slices(self) -> tuple[slice, ...]:
        """Where the channels of each softmax are."""
        if not self.ports:
            return (slice(None),) * self.softmax
        slices = port_slices(self.ports)
        return tuple(slices[port.name] for port in self.ports if port.softmax)


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
        q_x: operand codes [T, I].
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
        golden: self-test vector, None in .edgernn files.
    """

    name: str
    precision: Precision
    input: InputSpec
    output: OutputSpec
    states: tuple[StateSpec, ...]
    model_sha256: str
    window: Window | None = None
    golden: Golden | None = None

    def quantize(self, x: npt.NDArray[Any]) -> OperandArray:
        """Codes of real readings (clause 9.1).

        Args:
            x: finite floats [..., I] in physical units.

        Returns:
            int8 (`w8a8`) or int16 (`w8a16`) codes [..., I].

        Raises:
            ShapeError: another number of channels.
            ReadingError: a value is NaN or infinite.
        """
        if np.shape(x)[-1:] != (self.input.width,):
            raise ShapeError(
                f"interface: expected readings [..., {self.input.width}], got {np.shape(x)}."
            )
        if not np.isfinite(x).all():
            raise ReadingError(
                "interface: expected finite readings, got NaN or infinity. Repair them first."
            )
        return InputCoder(self)(x)

    def dequantize(self, q_y: Int16Array) -> FloatArray:
        """Real outputs of codes [..., O], without softmax (clause 9.2)."""
        return np.asarray(q_y, dtype=np.float64) * self.output.scale

    @property
    def carried(self) -> tuple[StateSpec, ...]:
        """What a stream carries from reading to reading.

        The states of an endless stream; for windows the codes of the last readings, row after row,
        and the number of readings until the next answer.
        """
        if self.window is None:
            return self.states
        bits = 8 * self.precision.operand_dtype.itemsize
        codes = self.window.steps * self.input.width
        return (
            StateSpec(name="window.codes", units=codes, format=QFormat(bits=bits, frac_bits=0)),
            StateSpec(name="window.due", units=1, format=QFormat(bits=16, frac_bits=0)),
        )

    @property
    def carried_bytes(self) -> int:
        """Bytes of what a stream carries."""
        return sum(spec.format.bits // 8 * spec.units for spec in self.carried)

    def initial_state(self) -> tuple[Int16Array, ...]:
        """Zero codes, one vector per state (clause 6.2)."""
        return tuple(np.zeros(spec.units, dtype=np.int16) for spec in self.states)

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
        if not softmax:
            return y
        for own in self.output.softmax_slices:
            logits = y[..., own]
            weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
            y[..., own] = weight / weight.sum(axis=-1, keepdims=True)
        return y

    def require_softmax(self) -> None:
        """Refuse probabilities of a model that has none.

        Raises:
            EdgeRnnError: the float model does not end in a softmax.
        """
        if not self.output.softmax:
            raise EdgeRnnError(
                f"session: expected a model that ends in a softmax, got '{self.name}', "
                "which does not. Call without softmax=True."
            )


class InputCoder:
    """Codes of real readings, with everything but the readings worked out beforehand."""

    __slots__ = ("_dtype", "_high", "_low", "_offset", "_scale", "_step")

    def __init__(self, interface: Interface) -> None:
        """Take scales and bounds from the interface."""
        precision = interface.precision
        self._step = precision.input_step
        self._low = -(-precision.input_low // self._step)
        self._high = precision.input_high // self._step
        self._dtype = precision.operand_dtype
        self._offset = interface.input.offset
        self._scale = self._step * interface.input.scale

    def __call__(self, x: npt.ArrayLike) -> OperandArray:
        """Codes [..., I] of finite readings [..., I], however large (clause 9.1)."""
        return self.codes_and_clipped(x)[0]

    def codes_and_clipped(self, x: npt.ArrayLike) -> tuple[OperandArray, npt.NDArray[np.bool_]]:
        """Codes [..., I] of finite readings [..., I], and which of them are clipped."""
        with np.errstate(over="ignore"):
            wide = (np.asarray(x, dtype=np.float64) - self._offset) / self._scale
        # In place and without np.clip: this runs once per reading on small devices.
        np.rint(wide, out=wide)
        codes = np.maximum(wide, self._low)
        np.minimum(codes, self._high, out=codes)
        clipped = codes != wide
        if self._step > 1:
            codes *= self._step
        return codes.astype(self._dtype), clipped

    @property
    def range(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest physical value [I] that have codes of their own."""
        return self._offset + self._low * self._scale, self._offset + self._high * self._scale
