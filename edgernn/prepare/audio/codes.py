"""Levels of a front end as input codes of a model (NUMERICS.md clause 11.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DeclarationError
from edgernn.prepare.audio.log_mel import LogMel, Reals
from edgernn.prepare.audio.tables import make_tables

#: Limits of clause 11.10: of multipliers without and with MFCC, of biases, of shifts.
_MOST_MULTIPLIER: Final = (1 << 13) - 1
_MOST_MFCC_MULTIPLIER: Final = (1 << 10) - 1
_MOST_BIAS: Final = (1 << 28) - 1
_MOST_SHIFT: Final = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCode:
    """code = half_up(multiplier * level + bias, shift), then the limits of the precision.

    Attributes:
        multiplier: at most 2^13 - 1 in size; for MFCC 2^10 - 1.
        bias: at most 2^28 - 1 in size.
        shift: 1 to 28.
    """

    multiplier: int
    bias: int
    shift: int


def level_codes(of: LogMel, scale: Reals, offset: Reals, *, wide: bool) -> tuple[LevelCode, ...]:
    """The constants of every channel.

    Args:
        of: the front end.
        scale: of the model's input, float64 [width].
        offset: of the model's input, float64 [width].
        wide: codes are those of `w8a16`.

    Raises:
        DeclarationError: another number of channels, or a channel whose codes are too fine.
    """
    if len(scale) != of.width:
        raise DeclarationError(
            [
                f"log-mel: expected a model with {of.width} inputs, one for each feature, got "
                f"{len(scale)}."
            ]
        )
    tables = make_tables(of)
    most = _MOST_MFCC_MULTIPLIER if of.coefficients else _MOST_MULTIPLIER
    codes = []
    for channel, name in enumerate(of.outputs):
        gain, start = Fraction(float(tables.gain[channel])), Fraction(float(tables.bias[channel]))
        step = Fraction(float(scale[channel])) * (4 if wide else 1)
        start -= Fraction(float(offset[channel]))
        codes.append(_level_code(name, gain / step, start / step, most))
    return tuple(codes)


def _level_code(name: str, slope: Fraction, start: Fraction, most: int) -> LevelCode:
    for shift in range(_MOST_SHIFT, 0, -1):
        multiplier, bias = round(slope * 2**shift), round(start * 2**shift)
        if abs(multiplier) <= most and abs(bias) <= _MOST_BIAS:
            return LevelCode(multiplier=multiplier, bias=bias, shift=shift)
    raise DeclarationError(
        [
            f"log-mel: expected codes of at least 1/{most // 2} level, got {float(1 / slope):.3g} "
            f"levels per code (input {name!r:.60}). Calibrate on recordings that are not silent."
        ]
    )


def codes_of_levels(
    levels: npt.NDArray[Any], constants: Sequence[LevelCode], *, wide: bool
) -> npt.NDArray[np.int16]:
    """Clause 11.10.

    Args:
        levels: int32 [T, width], of `FrontEnd.levels`.
        constants: of `level_codes`.
        wide: codes are those of `w8a16`.

    Returns:
        int16 [T, width]; of `w8a8` codes within int8.
    """
    multiplier, bias, shift = np.array(
        [(c.multiplier, c.bias, c.shift) for c in constants], np.int64
    ).T
    u = (levels * multiplier + bias + (np.int64(1) << (shift - 1))) >> shift
    codes = 4 * np.clip(u, -8191, 8191) if wide else np.clip(u, -128, 127)
    stored: npt.NDArray[np.int16] = codes.astype(np.int16)
    return stored
