"""The channels of a model: names, units, scales, ports, tokens."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.display import listed
from edgernn.errors import ModelError
from edgernn.model.border.masks import checked_mask, checked_masked
from edgernn.model.formats import MAX_VOCABULARY, ArrayRecord, FloatArray, Precision, frozen_array

if TYPE_CHECKING:
    from edgernn.decide.decisions import Decisions
    from edgernn.prepare.preparation import Preparation

#: Most inputs, and most outputs, a model may have.
MAX_PORTS: Final = 256
#: Most characters of a name or a unit.
MAX_NAME: Final = 256
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _texts(owner: str, values: tuple[str, ...], count: int) -> None:
    if len(values) != count or not all(isinstance(v, str) and len(v) <= MAX_NAME for v in values):
        raise ModelError(
            f"{owner}: expected {count} strings of <= {MAX_NAME} characters, got {values!r:.80}"
        )


def controls(names: Iterable[str]) -> tuple[str, ...]:
    """Names with characters that end lines or texts: control characters, halves of characters.

    A header of a table, a terminal and a C string could not hold them.
    """
    return tuple(name for name in names if _CONTROL.search(name))


def _names(owner: str, values: tuple[str, ...], count: int) -> None:
    _texts(owner, values, count)
    if controls(values):
        raise ModelError(
            f"{owner}: expected names without control characters, got {controls(values)!r:.80}"
        )
    if len(set(values)) != count:
        raise ModelError(f"{owner}: expected distinct names, got {values!r:.80}")


def _check_scale(owner: str, scale: FloatArray) -> None:
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise ModelError(f"{owner}.scale: expected finite values > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Consecutive channels with a common name: one of several inputs or outputs.

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
                f"{owner}.ports: expected a port name that differs from the channel names "
                f"unless the port has one channel, got '{port.name}', which is a channel too"
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
class CodeBounds:
    """The codes of the model's input: one number for all channels, or int64 [I].

    Attributes:
        low: the least.
        high: the greatest.
        step: what they are multiples of.
    """

    low: int | npt.NDArray[np.int64]
    high: int | npt.NDArray[np.int64]
    step: int | npt.NDArray[np.int64]

    def broken(self, codes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which of the integers [..., I] are no codes."""
        broken: npt.NDArray[np.bool_] = (
            (codes < self.low) | (codes > self.high) | (codes % self.step != 0)
        )
        return broken

    def said(self, channel: int) -> str:
        """What codes of a channel must be, for messages."""
        low, high, step = (
            int(bound if isinstance(bound, int) else bound[channel])
            for bound in (self.low, self.high, self.step)
        )
        grid = f"multiples of {step}" if step > 1 else "codes"
        return f"{grid} in [{low}, {high}]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputSpec(ArrayRecord):
    """The model input: one reading is float [I]; code = (x - offset) / scale (clause 9.1).

    Attributes:
        names: channel names.
        units: physical units, "" where unknown.
        scale: float64 [I], physical units per code.
        offset: float64 [I], physical value of code 0.
        ports: which channels are whose, one behind another, where there are several inputs.
        vocabulary: for each channel how many tokens it tells apart, 0 of a channel of real numbers;
            none where all are real. A token is its own code (clause 9.3).
        mask: a reading with all channels equal to it is masked (clauses 6.13 and 9.4): a physical
            value, the same for all channels, or the token 0; None where every reading is a step.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: FloatArray
    offset: FloatArray
    ports: tuple[Port, ...] = ()
    vocabulary: tuple[int, ...] = ()
    mask: float | None = None

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
            raise ModelError("input.ports: expected inputs without softmax, got one with softmax")
        set_(self, "vocabulary", self._checked_vocabulary())
        set_(self, "mask", checked_mask(self.mask, self.vocabulary))

    def _checked_vocabulary(self) -> tuple[int, ...]:
        """That of every channel; none where it would say nothing."""
        sizes = self.vocabulary
        if sizes and len(sizes) != self.width:
            raise ModelError(
                f"input.vocabulary: expected one vocabulary size for each of {self.width} "
                f"channels, got {len(sizes)}"
            )
        for name, size, scale, offset in zip(
            self.names, sizes, self.scale, self.offset, strict=False
        ):
            if type(size) is not int or not 0 <= size <= MAX_VOCABULARY:
                raise ModelError(
                    f"input.vocabulary: expected 0 to {MAX_VOCABULARY} tokens of '{name}', "
                    f"got {size!r:.40}"
                )
            if size and (scale, offset) != (1.0, 0.0):
                raise ModelError(
                    f"input.scale: expected scale 1 and offset 0 for the tokens '{name}', got "
                    f"{scale} and {offset}"
                )
        return sizes if any(sizes) else ()

    @property
    def width(self) -> int:
        """Number of channels I."""
        return int(self.scale.shape[0])

    def code_dtype(self, precision: Precision) -> np.dtype[np.integer[Any]]:
        """NumPy dtype of input codes: that of operands; int16 where there are tokens."""
        return np.dtype(np.int16) if self.vocabulary else precision.operand_dtype

    def code_bounds(self, precision: Precision) -> CodeBounds:
        """Which codes there are (clauses 2.3 and 6.8)."""
        low, high, step = precision.input_low, precision.input_high, precision.input_step
        if not self.vocabulary:
            return CodeBounds(low=low, high=high, step=step)
        sizes = np.array(self.vocabulary)
        return CodeBounds(
            low=np.where(sizes, 0, low),
            high=np.where(sizes, sizes - 1, high),
            step=np.where(sizes, 1, step),
        )


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
        masked: codes [O] of the output before the first reading that is not masked (clause 6.13);
            none where the input has no mask.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: FloatArray
    softmax: bool
    ports: tuple[Port, ...] = ()
    masked: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Freeze and check."""
        scale = frozen_array("output", "scale", self.scale, np.float64, 1)
        object.__setattr__(self, "scale", scale)
        _names("output.names", self.names, scale.shape[0])
        _texts("output.units", self.units, scale.shape[0])
        _check_scale("output", scale)
        ports = _check_ports("output", self.ports, self.names)
        object.__setattr__(self, "ports", ports)
        object.__setattr__(self, "masked", checked_masked(self.masked, scale.shape[0]))
        if ports and self.softmax != any(port.softmax for port in ports):
            raise ModelError(
                f"output.softmax: expected the same value as in its ports, got {self.softmax}"
            )

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


def check_surroundings(
    preparation: Preparation | None,
    decisions: Decisions | None,
    source: InputSpec,
    outputs: OutputSpec,
) -> None:
    """Refuse a preparation or decisions of another model.

    Args:
        preparation: how raw readings become readings of the model.
        decisions: what is decided from its outputs.
        source: its input channels.
        outputs: its output channels.

    Raises:
        ModelError: they have other channels.
    """
    pairs = []
    if preparation is not None:
        pairs.append(("preparation.outputs", preparation.channels, source.names))
    if decisions is not None:
        pairs.append(("decisions.inputs", decisions.inputs, source.names))
        pairs.append(("decisions.outputs", decisions.outputs, outputs.names))
    for owner, found, wanted in pairs:
        if found != wanted:
            raise ModelError(
                f"{owner}: expected the channels {listed(wanted)} of the model, got {listed(found)}"
            )
