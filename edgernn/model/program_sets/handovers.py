"""What one program takes over from another: the value, its rounding and its scale (clause 6.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.border.channels import OutputSpec
from edgernn.model.formats import INT16_MAX, INT16_MIN, Int16Array

#: Fraction bits that a handed-over output may have: its scale is 2 to the minus that.
OUTPUT_BITS: Final = range(-15, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A state of a program that begins with what another program left (clause 6.10).

    Attributes:
        program: whose state it is.
        state: its name, as `StateSpec.name`.
        source: the program that left it.
        value: a state of that program, or one of its outputs: a port, or "output" where there is
            one.
    """

    program: str
    state: str
    source: str
    value: str


def handed_over(codes: Int16Array, shift: int) -> Int16Array:
    """What a state takes over (clause 6.10).

    Args:
        codes: int16 [N] of a state or an output.
        shift: fraction bits that they have more than the state that takes them.

    Returns:
        int16 [N]: sat16(R(codes, shift)), and of a negative shift sat16(codes · 2^−shift).
    """
    wide = codes.astype(np.int64)
    if shift <= 0:
        wide <<= -shift
    elif shift == 1:
        wide = (wide + 1) >> 1
    else:
        wide = (wide + (1 << (shift - 1)) + 1 - 2 * (wide < -1)) >> shift
    return wide.clip(INT16_MIN, INT16_MAX).astype(np.int16)


def output_bits(output: OutputSpec, own: slice, name: str) -> int:
    """Fraction bits of outputs that are passed on.

    Args:
        output: of the program.
        own: which of its outputs.
        name: of the value, for messages.

    Raises:
        ModelError: their scale is not one power of two.
    """
    scales = set(output.scale[own].tolist())
    bits = [bits for bits in OUTPUT_BITS if scales == {2.0**-bits}]
    if not bits:
        raise ModelError(
            f"{name}: expected a power of 2 as the one scale of the values passed "
            f"on, got {np.sort(list(scales))[:3]}"
        )
    return bits[0]
