"""What the outside of a model looks like: inputs, outputs, states, golden vector.

Every file edgernn writes (.edgernn, .tflite, .onnx) carries an `Interface`; a session needs
nothing else about a model.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.affine import frozen_array, records_equal
from edgernn.errors import FormatError, ModelError
from edgernn.formats import FloatArray, Int16Array, OperandArray, Precision, QFormat
from edgernn.layers import StateSpec

INTERFACE_VERSION = 1


def _texts(owner: str, values: tuple[str, ...], count: int) -> None:
    if len(values) != count or not all(isinstance(v, str) and len(v) <= 256 for v in values):
        raise ModelError(
            f"{owner}: expected {count} strings of <= 256 characters, got {values!r:.80}"
        )


def _check_scale(owner: str, scale: FloatArray) -> None:
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise ModelError(f"{owner}.scale: expected finite values > 0")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputSpec:
    """The model input: one reading is float [I]; code = (x - offset) / scale (clause 9.1).

    Attributes:
        names: channel names.
        units: physical units, "" where unknown.
        scale: float64 [I], physical units per code.
        offset: float64 [I], physical value of code 0.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: FloatArray
    offset: FloatArray

    def __post_init__(self) -> None:
        """Freeze and check."""
        set_ = object.__setattr__
        set_(self, "scale", frozen_array("input", "scale", self.scale, np.float64, 1))
        set_(self, "offset", frozen_array("input", "offset", self.offset, np.float64, 1))
        count = self.scale.shape[0]
        if count < 1 or self.offset.shape != (count,):
            raise ModelError(f"input.offset: expected shape ({count},), got {self.offset.shape}")
        _texts("input.names", self.names, count)
        _texts("input.units", self.units, count)
        _check_scale("input", self.scale)
        if not np.all(np.isfinite(self.offset)):
            raise ModelError("input.offset: expected finite values")

    __eq__ = records_equal
    __hash__ = None  # type: ignore[assignment]

    @property
    def width(self) -> int:
        """Number of channels I."""
        return int(self.scale.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputSpec:
    """The model output: int16 [O]; y = code * scale (clause 9.2).

    Attributes:
        names: channel names.
        units: physical units, "" where unknown.
        scale: float64 [O], physical units per code.
        softmax: the float model ends in a softmax; codes are its logits.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: FloatArray
    softmax: bool

    def __post_init__(self) -> None:
        """Freeze and check."""
        scale = frozen_array("output", "scale", self.scale, np.float64, 1)
        object.__setattr__(self, "scale", scale)
        _texts("output.names", self.names, scale.shape[0])
        _texts("output.units", self.units, scale.shape[0])
        _check_scale("output", scale)

    __eq__ = records_equal
    __hash__ = None  # type: ignore[assignment]

    @property
    def width(self) -> int:
        """Number of channels O."""
        return int(self.scale.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """A short stream from the zero state with the outputs every backend must reproduce.

    Attributes:
        q_x: operand codes [T, I].
        q_y: int16 [T, O].
    """

    q_x: OperandArray
    q_y: Int16Array

    __eq__ = records_equal
    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interface:
    """Everything a session must know about a model.

    Attributes:
        name: model name.
        precision: width of weights and operands.
        input: input channels.
        output: output channels.
        states: carried vectors in the order of clause 6.2.
        model_sha256: hash of the integer model (hex).
        golden: self-test vector, None in .edgernn files.
    """

    name: str
    precision: Precision
    input: InputSpec
    output: OutputSpec
    states: tuple[StateSpec, ...]
    model_sha256: str
    golden: Golden | None = None

    __eq__ = records_equal
    __hash__ = None  # type: ignore[assignment]

    def quantize(self, x: npt.NDArray[Any]) -> OperandArray:
        """Codes of real readings (clause 9.1).

        Args:
            x: finite floats [..., I] in physical units.

        Returns:
            int8 (`w8a8`) or int16 (`w8a16`) codes [..., I].
        """
        step = self.precision.input_step
        bound_low, bound_high = (-128, 127) if step == 1 else (-8191, 8191)
        wide = (np.asarray(x, dtype=np.float64) - self.input.offset) / (step * self.input.scale)
        codes = np.clip(np.rint(wide), bound_low, bound_high) * step
        return codes.astype(self.precision.operand_dtype)

    def dequantize(self, q_y: Int16Array) -> FloatArray:
        """Real outputs of codes [..., O], without softmax (clause 9.2)."""
        return np.asarray(q_y, dtype=np.float64) * self.output.scale

    def initial_state(self) -> tuple[Int16Array, ...]:
        """Zero codes, one vector per state (clause 6.2)."""
        return tuple(np.zeros(spec.units, dtype=np.int16) for spec in self.states)

    def to_json(self) -> str:
        """Serialize; floats as hexadecimal strings so that not one bit is lost."""
        golden = None
        if self.golden is not None:
            golden = {"q_x": self.golden.q_x.tolist(), "q_y": self.golden.q_y.tolist()}
        record = {
            "edgernn_interface": INTERFACE_VERSION,
            "name": self.name,
            "precision": self.precision.value,
            "input": {
                "names": list(self.input.names),
                "units": list(self.input.units),
                "scale": [v.hex() for v in self.input.scale.tolist()],
                "offset": [v.hex() for v in self.input.offset.tolist()],
                "scale_decimal": self.input.scale.tolist(),
                "offset_decimal": self.input.offset.tolist(),
                "code_min": self.precision.input_low,
                "code_max": self.precision.input_high,
                "code_step": self.precision.input_step,
            },
            "output": {
                "names": list(self.output.names),
                "units": list(self.output.units),
                "scale": [v.hex() for v in self.output.scale.tolist()],
                "scale_decimal": self.output.scale.tolist(),
                "softmax": self.output.softmax,
            },
            "states": [
                {"name": s.name, "units": s.units, "frac_bits": s.format.frac_bits}
                for s in self.states
            ],
            "model_sha256": self.model_sha256,
            "golden": golden,
        }
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str | bytes) -> Interface:
        """Parse what `to_json` wrote.

        Raises:
            FormatError: not JSON, another version, a missing field, or a value out of range.
        """
        try:
            record = json.loads(text)
            version = record["edgernn_interface"]
            if version != INTERFACE_VERSION:
                raise FormatError(
                    f"interface: expected version {INTERFACE_VERSION}, got {version!r:.40}. "
                    "Export the model again with this version of edgernn."
                )
            return _parse(record)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, ModelError) as e:
            raise FormatError(f"interface: expected the JSON edgernn writes, got {e!r:.120}") from e


def _reals(values: list[str]) -> FloatArray:
    reals = [float.fromhex(v) for v in values]
    if not all(math.isfinite(v) for v in reals):
        raise ValueError("a scale or offset is not finite")
    return np.array(reals, dtype=np.float64)


def _parse(record: dict[str, Any]) -> Interface:
    precision = Precision(record["precision"])
    golden = None
    if record["golden"] is not None:
        golden = Golden(
            q_x=np.array(record["golden"]["q_x"], dtype=precision.operand_dtype),
            q_y=np.array(record["golden"]["q_y"], dtype=np.int16),
        )
    source, sink = record["input"], record["output"]
    return Interface(
        name=str(record["name"]),
        precision=precision,
        input=InputSpec(
            names=tuple(source["names"]),
            units=tuple(source["units"]),
            scale=_reals(source["scale"]),
            offset=_reals(source["offset"]),
        ),
        output=OutputSpec(
            names=tuple(sink["names"]),
            units=tuple(sink["units"]),
            scale=_reals(sink["scale"]),
            softmax=bool(sink["softmax"]),
        ),
        states=tuple(
            StateSpec(
                name=str(s["name"]),
                units=int(s["units"]),
                format=QFormat(bits=16, frac_bits=int(s["frac_bits"])),
            )
            for s in record["states"]
        ),
        model_sha256=str(record["model_sha256"]),
        golden=golden,
    )
