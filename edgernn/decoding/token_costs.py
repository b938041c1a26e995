"""Integer costs and weights of tokens, from the scores of a model (NUMERICS.md 13.1 to 13.9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.backends.rows import Int64Array
from edgernn.errors import DecodingError
from edgernn.model.formats import FloatArray, Int16Array

#: Units of costs per bit.
UNITS_PER_BIT: Final = 4096
#: Temperatures are multiples of 1/1000.
TEMPERATURE_STEPS: Final = 1000
MAX_TEMPERATURE_STEPS: Final = 100_000
#: Distances beyond 30 bits are all the same, and have the weight 0.
FARTHEST: Final = 30 * UNITS_PER_BIT
_MOST_SHIFT: Final = 29
#: Clause 13.4: 2^(30 - j/64). Clause 13.8: 2^15 log2(1 + j/64).
_POWERS: Final[Int64Array] = np.floor(2.0 ** (30 - np.arange(65) / 64) + 0.5).astype(np.int64)
_LOGARITHMS: Final[Int64Array] = np.floor(2.0**15 * np.log2(1 + np.arange(65) / 64) + 0.5).astype(
    np.int64
)


@dataclass(frozen=True, slots=True)
class Multiplier:
    """What makes distances of scores: ``value * 2**-shift`` units of cost per code."""

    value: int
    shift: int


def score_multiplier(scale: float) -> Multiplier:
    """Clause 13.1: a and b of the greatest scale of the scores, in nats per code."""
    exact = Fraction(UNITS_PER_BIT * scale / math.log(2))
    shift = 20 - math.floor(math.log2(exact))
    value = round(exact * Fraction(2) ** shift)
    if value == 1 << 21:
        value, shift = 1 << 20, shift - 1
    return Multiplier(value, shift)


def score_factors(scales: FloatArray) -> Int64Array | None:
    """Clause 13.1: f of output scales [V]; None where all are equal."""
    if np.all(scales == scales[0]):
        return None
    factors: Int64Array = np.rint(scales / scales.max() * 2**14).astype(np.int64)
    return factors


def common_scores(outputs: Int16Array, factors: Int64Array | None) -> Int16Array:
    """Clause 13.1: scores [V] of one scale, from output codes."""
    if factors is None:
        return outputs
    return ((outputs * factors + (1 << 13)) >> 14).astype(np.int16)


def at_temperature(of: Multiplier, steps: int) -> Multiplier:
    """Clause 13.2: m and s for a temperature of ``steps`` / 1000.

    Raises:
        DecodingError: the temperature is too low or too high for scores of this scale.
    """
    fine, shift = divmod(TEMPERATURE_STEPS * of.value, steps), of.shift
    quotient, rest = fine
    while quotient < 1 << 14:
        rest *= 2
        quotient, rest, shift = 2 * quotient + (rest >= steps), rest % steps, shift + 1
    while quotient >= 1 << 15:
        quotient, shift = quotient >> 1, shift - 1
    found = Multiplier((quotient + 1) >> 1, shift - 1)
    if not 0 <= found.shift <= _MOST_SHIFT:
        fault, cure = ("high", "Lower it")
        if found.shift < 0:
            fault, cure = ("low", "Use greedy decoding (--temperature 0)")
        raise DecodingError(
            f"decoding temperature: expected one that fits the scores of the model, got "
            f"{steps / TEMPERATURE_STEPS:g}, which is too {fault}. {cure}."
        )
    return found


def distances(scores: Int16Array, multiplier: Multiplier) -> Int64Array:
    """Clause 13.3: how far each score [V] is below the greatest, in units."""
    wide = scores.astype(np.int64)
    below = wide.max() - wide
    half = (1 << multiplier.shift) >> 1
    x: Int64Array = np.minimum((below * multiplier.value + half) >> multiplier.shift, FARTHEST)
    return x


def weights(x: Int64Array) -> Int64Array:
    """Clause 13.4: 2^30 times the probability relative to that of the likeliest token."""
    octave, j, t = x >> 12, (x >> 6) & 63, x & 63
    fine = _POWERS[j] - ((t * (_POWERS[j] - _POWERS[j + 1]) + 32) >> 6)
    return np.where(octave < 30, fine >> np.minimum(octave, 30), 0)


def candidates(scores: Int16Array, top_k: int) -> npt.NDArray[np.bool_]:
    """Clause 13.5: which tokens may be drawn."""
    if not 1 <= top_k < scores.size:
        return np.ones(scores.size, dtype=np.bool_)
    chosen = np.zeros(scores.size, dtype=np.bool_)
    chosen[np.argsort(-scores.astype(np.int64), kind="stable")[:top_k]] = True
    return chosen


def logarithm(v: int) -> int:
    """Clause 13.8: 4096 log2(v), v >= 1."""
    e = v.bit_length() - 1
    mantissa = v << (30 - e) if e <= 30 else v >> (e - 30)
    u, t = (mantissa >> 24) - 64, (mantissa >> 9) & 32767
    low, high = int(_LOGARITHMS[u]), int(_LOGARITHMS[u + 1])
    return UNITS_PER_BIT * e + (((low << 15) + t * (high - low) + (1 << 17)) >> 18)


def token_costs(scores: Int16Array, multiplier: Multiplier) -> Int64Array:
    """Clause 13.9: minus the logarithm of the probability of each token [V], in 1/4096 bit.

    Args:
        scores: int16 [V].
        multiplier: that of the scores (clause 13.1).
    """
    x = distances(scores, at_temperature(multiplier, TEMPERATURE_STEPS))
    return x + (logarithm(int(weights(x).sum())) - FARTHEST)


def temperature_steps(temperature: Any) -> int:
    """A temperature in steps of 1/1000.

    Raises:
        DecodingError: it is no number of 0.001 to 100.
    """
    valid = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    steps = round(temperature * TEMPERATURE_STEPS) if valid and math.isfinite(temperature) else 0
    if not 1 <= steps <= MAX_TEMPERATURE_STEPS:
        raise DecodingError(
            f"decoding temperature: expected a number from 0.001 to 100, got {temperature!r:.40}. "
            "For the likeliest token, use greedy decoding (--temperature 0)."
        )
    return steps
