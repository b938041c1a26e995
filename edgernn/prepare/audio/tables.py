"""The integer tables of a log-mel front end (NUMERICS.md clauses 11.2, 11.6 to 11.8 and 11.11).

Floating point is used here alone, once per front end.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.prepare.audio.log_mel import (
    LOGARITHMS,
    LogMel,
    Reals,
    bin_positions,
    dct_rows,
    float_window,
    reference_octaves,
)

Whole = npt.NDArray[np.int64]

#: Block exponents p of clause 11.3: 0 to 13.
EXPONENTS: Final = 14
#: The level of full scale, and levels per octave (clause 11.8).
FULL_SCALE_LEVEL: Final = 16384
OCTAVE: Final = 1024
#: By how much clause 11.11 shifts its sums.
SUM_SHIFT: Final = 13
#: Clause 11.8: intervals of the logarithm's table.
_INTERVALS: Final = 32
#: What keeps the sum of every window within clause 11.2.
_WINDOW_SCALE: Final = {"hann": 1.0, "hamming": 0.92, "rectangular": 0.5}
_MOST_FLOOR: Final = 1 << 44
#: Bits of the floor (clause 11.7).
_FLOOR_BITS: Final = 24
#: Moves ties away from where floating point could decide them.
_NUDGE: Final = 2.0**-20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrontEndTables:
    """Constants of one front end; F = 2n is the transform length, K the bins that count.

    Attributes:
        window: 0 to 32767, int64 [frame].
        twiddles: c and s of the last stage, int64 [n / 2, 2]; its first row is not used.
        first_bin: K0.
        split: C and S, int64 [K, 2].
        rising: ρ, 0 to 256, int64 [K].
        segments: first bin, from K0, of each segment and the end, int64 [bands + 2].
        floors: FH and FL, int64 [14, 2].
        logarithm: Λ, int64 [33].
        exponents: E, int64 [14].
        emphasis: α of clause 11.12; 0 for none.
        cosines: Δ, int64 [coefficients, bands]; no rows without MFCC.
        gain: physical units per level, or per sum of clause 11.11, float64 [width].
        bias: physical value of a level, or a sum, of 0, float64 [width].
    """

    window: Whole
    twiddles: Whole
    first_bin: int
    split: Whole
    rising: Whole
    segments: Whole
    floors: Whole
    logarithm: Whole
    exponents: Whole
    emphasis: int
    cosines: Whole
    gain: Reals
    bias: Reals


def nearest(values: npt.ArrayLike) -> Whole:
    """Clause 11.2: floor(v + 1/2 + 2^-20)."""
    rounded: Whole = np.floor(np.asarray(values, np.float64) + (0.5 + _NUDGE)).astype(np.int64)
    return rounded


@functools.cache
def make_tables(of: LogMel) -> FrontEndTables:
    """The tables of a front end."""
    half = of.transform // 2
    window = nearest(32767 * _WINDOW_SCALE[of.window] * float_window(of))
    bins, edges = bin_positions(of)
    inside = (bins > edges[0]) & (bins < edges[-1])
    inside[[0, half]] = False
    chosen = np.flatnonzero(inside)
    segment = np.searchsorted(edges, bins[chosen], side="right") - 1
    rising = (bins[chosen] - edges[segment]) / (edges[segment + 1] - edges[segment])
    full_scale = (2.0 * int(window.sum()) / half) ** 2
    turns = np.arange(half // 2) / half
    gain, bias, cosines = _units(of)
    return FrontEndTables(
        window=window,
        twiddles=_rotations(32768, 2.0 * turns),
        first_bin=int(chosen[0]),
        split=_rotations(16384, 2.0 * chosen / of.transform),
        rising=nearest(256 * rising),
        segments=np.searchsorted(segment, np.arange(of.bands + 2)).astype(np.int64),
        floors=_floors(of.floor_db, full_scale),
        logarithm=nearest(32768 * np.log2(1.0 + np.arange(_INTERVALS + 1) / _INTERVALS)),
        exponents=FULL_SCALE_LEVEL
        - 2 * OCTAVE * (np.arange(EXPONENTS) - 1)
        - nearest(OCTAVE * math.log2(256.0 * full_scale)),
        emphasis=int(nearest(32768 * of.pre_emphasis)),
        cosines=cosines,
        gain=gain,
        bias=bias,
    )


def _rotations(size: int, half_turns: Reals) -> Whole:
    """Cosine and negative sine of angles in half turns, times a size."""
    angle = np.pi * half_turns
    return np.stack([nearest(size * np.cos(angle)), nearest(-size * np.sin(angle))], axis=1)


def _floors(floor_db: float, full_scale: float) -> Whole:
    """Clause 11.7."""
    power = 10.0 ** (floor_db / 10.0) * full_scale * 256.0
    shift = math.floor(math.log2(power)) + 1 - _FLOOR_BITS
    mantissa = int(nearest(math.ldexp(power, -shift)))
    rows = []
    for p in range(EXPONENTS):
        left = shift + 2 * (p - 1)
        whole = mantissa << left if left >= 0 else (mantissa + (1 << (-left - 1))) >> -left
        rows.append(divmod(min(whole, _MOST_FLOOR), 1 << 15))
    return np.array(rows, dtype=np.int64)


def _units(of: LogMel) -> tuple[Reals, Reals, Whole]:
    """What levels and sums of clause 11.11 mean, and the factors Δ."""
    per_octave = LOGARITHMS[of.log]
    octaves = reference_octaves(of) - FULL_SCALE_LEVEL / OCTAVE
    if not of.coefficients:
        per_level = np.full(of.bands, per_octave / OCTAVE)
        return per_level, per_octave * octaves, np.empty((0, of.bands), np.int64)
    rows = dct_rows(of)
    most = np.abs(rows).max(axis=1)
    cosines = nearest(1023 * rows / most[:, None])
    for row in range(1, of.coefficients):
        cosines[row] = _balanced(cosines[row], 1023 * rows[row] / most[row])
    return (
        most / 1023 * (1 << SUM_SHIFT) * per_octave / OCTAVE,
        per_octave * (rows @ octaves),
        cosines,
    )


def _balanced(integers: Whole, wanted: Reals) -> Whole:
    """Moves as few integers as possible by 1, so that their sum is 0: those nearest to a tie."""
    over = int(integers.sum())
    room = (integers - wanted) * (1 if over > 0 else -1)
    order = np.argsort(-np.round(room, 6), kind="stable")[: abs(over)]
    moved = integers.copy()
    moved[order] -= 1 if over > 0 else -1
    return moved
