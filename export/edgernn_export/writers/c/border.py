"""Constants of the border between physical values and codes for boards without floating point.

A board passes v * 2^frac_bits as int32. The number of fractional bits is chosen here, per
channel, as the largest with which every value that does not saturate stays below 2^30.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec, OutputSpec, Port
from edgernn_export.writers.c.constants import Check, check_channels, identifier, record

_SPAN_BITS: Final = 30
#: Fewer bits below one code would make the rounding of clause 9.1 a matter of luck.
_LEAST_SHIFT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChannel:
    """code = (x - center) * multiplier / 2^(32 + shift) in steps of the input code (clause 9.1).

    With 2^shift < units of x per step <= 2^(shift + 1), the three roundings (center, multiplier,
    high word) together move the code by less than 2^(1 - shift) steps before it is rounded.

    Attributes:
        frac_bits: fractional bits of the int32 reading x; may be negative.
        center: x of code 0.
        reach: beyond center -+ reach every reading saturates.
        multiplier: uint32, 2^31 .. 2^32 - 1; of a channel of tokens 0, and reach is the last one.
        shift: >= 4.
    """

    frac_bits: int
    center: int
    reach: int
    multiplier: int
    shift: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChannel:
    """y = code * multiplier / 2^16, within 0.75 units of 2^-frac_bits of clause 9.2.

    Attributes:
        frac_bits: fractional bits of the int32 output y; may be negative.
        multiplier: uint32, 2^30 .. 2^31.
    """

    frac_bits: int
    multiplier: int


def input_channels(spec: InputSpec, precision: Precision) -> tuple[InputChannel, ...]:
    """Constants of every input channel.

    Raises:
        EdgeRnnError: an offset is so much larger than its scale that int32 cannot resolve codes.
    """
    sizes = spec.vocabulary or (0,) * spec.width
    return tuple(
        _input_channel(name, Fraction(float(scale)), Fraction(float(offset)), precision)
        if size == 0
        else InputChannel(frac_bits=0, center=0, reach=size - 1, multiplier=0, shift=_LEAST_SHIFT)
        for name, scale, offset, size in zip(
            spec.names, spec.scale, spec.offset, sizes, strict=True
        )
    )


def _input_channel(
    name: str, scale: Fraction, offset: Fraction, precision: Precision
) -> InputChannel:
    steps = -(-precision.input_high // precision.input_step) + 1
    found = channel_constants(scale * precision.input_step, offset, steps)
    if found is None:
        raise EdgeRnnError(
            "export to c: expected an offset of at most "
            f"{2**24 * precision.input_step} codes, got "
            f"{float(offset):g} at {float(scale):g} per code (input {name!r:.60}). "
            "Subtract a constant from this channel before training and before quantizing."
        )
    return found


def channel_constants(step: Fraction, offset: Fraction, steps: int) -> InputChannel | None:
    """Constants of a channel whose values are whole numbers of steps.

    Args:
        step: physical units of a step.
        offset: physical value of step 0.
        steps: how many steps from there to where all readings saturate.

    Returns:
        The constants; None where int32 readings cannot resolve the steps.
    """
    frac_bits = _SPAN_BITS - 1 - _floor_log2(abs(offset) + steps * step)
    unit = Fraction(2) ** frac_bits
    shift = _ceil_log2(step * unit) - 1
    if shift < _LEAST_SHIFT:
        return None
    multiplier = min(round(Fraction(2) ** (32 + shift) / (step * unit)), 2**32 - 1)
    return InputChannel(
        frac_bits=frac_bits,
        center=round(offset * unit),
        reach=math.floor(steps * step * unit),
        multiplier=multiplier,
        shift=shift,
    )


def output_channels(spec: OutputSpec) -> tuple[OutputChannel, ...]:
    """Constants of every output channel."""
    channels = []
    for scale in spec.scale:
        mantissa, exponent = math.frexp(float(scale))
        channels.append(
            OutputChannel(frac_bits=15 - exponent, multiplier=round(Fraction(mantissa) * 2**31))
        )
    return tuple(channels)


def port_names(ports: Sequence[Port]) -> list[str]:
    """Names of ports as parts of macros: each another one."""
    plain = [identifier(port.name).upper() for port in ports]
    names: list[str] = []
    for index, name in enumerate(plain):
        unique = name
        while unique in names or (unique != name and unique in plain):
            unique += f"_{index}"
        names.append(unique)
    return names


def softmax_sentence(spec: OutputSpec, outputs: str) -> str:
    """What a user must know of outputs that the float model puts through a softmax."""
    named = zip(port_names(spec.ports), spec.ports, strict=True)
    names = [name for name, port in named if port.softmax]
    if not names:
        return (
            f"The float model ends in a softmax: {outputs} are its logits, and the largest "
            "one is the predicted class."
        )
    return (
        f"Of {', '.join(names)}, {outputs} are logits of a softmax: the largest one of each "
        "is its predicted class."
    )


def quantize_sentence(spec: InputSpec) -> str:
    """What a user must know of readings that are tokens."""
    if not spec.vocabulary:
        return ""
    return " A token is its own\n * code; the nearest one is taken for what is none of its channel."


def channel_records(model: IntegerModel, of: str = "") -> tuple[str, list[Check]]:
    """The C of all channels' constants, and their checks.

    Args:
        model: the model.
        of: what their names begin with, where there are several models.
    """
    inputs = [
        (c.center, c.reach, c.multiplier, c.shift)
        for c in input_channels(model.input, model.precision)
    ]
    outputs = [(c.multiplier,) for c in output_channels(model.output)]
    text = (
        record(
            "edgernn_input_channel",
            f"{of}input_channels[{len(inputs)}]",
            [f"{{{center}, {reach}, {m}u, {shift}}}" for center, reach, m, shift in inputs],
        )
        + "\n"
        + record(
            "edgernn_output_channel",
            f"{of}output_channels[{len(outputs)}]",
            [f"{{{multiplier}u}}" for (multiplier,) in outputs],
        )
    )
    return text, [check_channels("input", inputs, of), check_channels("output", outputs, of)]


def _floor_log2(value: Fraction) -> int:
    """Largest e with 2^e <= value, for value > 0."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if Fraction(2) ** guess <= value else guess - 1


def _ceil_log2(value: Fraction) -> int:
    """Smallest e with value <= 2^e, for value > 0."""
    floor = _floor_log2(value)
    return floor if Fraction(2) ** floor == value else floor + 1
