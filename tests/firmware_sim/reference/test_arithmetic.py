"""Section 1 of NUMERICS.md against definitions that share no code with it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn_firmware_sim.reference import arithmetic
from tests.exactness.twin import scalar

Wide = npt.NDArray[np.int64]
INT16 = np.arange(-32768, 32768, dtype=np.int64)
#: Far enough below 2^31 that no rounding constant leaves int32.
REACH = 2**30


def srdhm(a: Wide, b: int) -> Wide:
    """gemmlowp SaturatingRoundingDoublingHighMul for 0 <= b < 2^31: no saturation possible."""
    ab = a * b
    nudge = np.where(ab >= 0, 1 << 30, 1 - (1 << 30))
    total = ab + nudge
    # The definition divides as C does: towards zero.
    return np.sign(total) * (np.abs(total) >> 31)


def rounding_divide_by_pot(x: Wide, exponent: int) -> Wide:
    """gemmlowp RoundingDivideByPOT."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + (remainder > threshold)


def gemmlowp_double_rounding(p: Wide, k: int) -> Wide:
    """MultiplyByQuantizedMultiplier of p and 2^-k, whose multiplier is 2^30 and shift 1 - k."""
    return rounding_divide_by_pot(srdhm(p << max(1 - k, 0), 1 << 30), max(k - 1, 0))


def exact_half_up(p: Wide, k: int) -> Wide:
    """floor(p / 2^k + 1/2); doubles hold every such value below 2^52 exactly."""
    return np.floor(p.astype(np.float64) / 2.0**k + 0.5).astype(np.int64)


def wide_samples() -> Wide:
    """Random values up to 2^30 and everything around powers of two and their multiples of 3."""
    rng = np.random.default_rng(7)
    powers = np.array([m << e for e in range(29) for m in (1, 3) if m << e < REACH])
    near = np.concatenate([powers + d for d in range(-3, 4)])
    random = np.concatenate([rng.integers(-(2**b), 2**b, 20_000) for b in (8, 15, 20, 24, 30)])
    both = np.concatenate([near, -near, random])
    return np.unique(both[np.abs(both) < REACH])


def on_array(function: Callable[[int, int], int]) -> Callable[[Wide, int], Wide]:
    return lambda p, k: np.array([function(v, k) for v in p.tolist()])


def on_int32(
    function: Callable[[npt.NDArray[np.int32], int], npt.NDArray[np.int32]],
) -> Callable[[Wide, int], Wide]:
    def narrowed(p: Wide, k: int) -> Wide:
        result = function(p.astype(np.int32), k)
        assert result.dtype == np.int32
        return result.astype(np.int64)

    return narrowed


HALF_UP = pytest.mark.parametrize(
    "half_up", (on_array(scalar.half_up), on_int32(arithmetic.half_up)), ids=("twin", "reference")
)
PRODUCT = pytest.mark.parametrize(
    "rounded", (on_array(scalar.R), on_int32(arithmetic.round_product)), ids=("twin", "reference")
)


@PRODUCT
@pytest.mark.parametrize("k", range(9))
def test_r_is_gemmlowps_double_rounding_on_every_int16(rounded, k):
    assert np.array_equal(rounded(INT16, k), gemmlowp_double_rounding(INT16, k))


@PRODUCT
@pytest.mark.parametrize("k", (1, 2, 3, 8, 12, 15, 16, 17, 18, 19, 20, 28))
def test_r_is_gemmlowps_double_rounding_on_wide_values(rounded, k):
    samples = wide_samples()
    assert samples.size > 50_000
    assert np.array_equal(rounded(samples, k), gemmlowp_double_rounding(samples, k))


@HALF_UP
@pytest.mark.parametrize("k", range(1, 9))
def test_half_up_on_every_int16(half_up, k):
    assert np.array_equal(half_up(INT16, k), exact_half_up(INT16, k))


@HALF_UP
@pytest.mark.parametrize("k", (1, 2, 7, 11, 15, 20, 28))
def test_half_up_on_wide_values(half_up, k):
    samples = wide_samples()
    assert np.array_equal(half_up(samples, k), exact_half_up(samples, k))


def test_half_up_takes_one_shift_per_column():
    p = np.array([[-3, -3, -6], [5, 6, 100]], dtype=np.int32)
    k = np.array([1, 2, 3], dtype=np.int32)
    assert arithmetic.half_up(p, k).tolist() == [[-1, -1, -1], [3, 2, 13]]


def test_ties_by_hand():
    """Half up goes up on both sides of zero; R goes away from zero, except from -1/2 upwards."""
    assert [scalar.half_up(p, 1) for p in (-3, -1, 1, 3)] == [-1, 0, 1, 2]
    assert [scalar.R(p, 1) for p in (-3, -1, 1, 3)] == [-1, 0, 1, 2]
    assert [scalar.R(p, 2) for p in (-6, -2, 2, 6)] == [-2, -1, 1, 2]
    # The first rounding of 1 = 2 * 1/2 makes a tie of what was a quarter.
    assert scalar.R(1, 2) == 1
    assert scalar.R(-1, 2) == 0


@HALF_UP
@PRODUCT
@pytest.mark.parametrize("s", (1, 2, 6, 11, 16))
def test_r_of_a_shifted_value_is_half_up(half_up, rounded, s):
    """R(4u + 2, s + 2) = half_up(u, s): writers that only have R reach half_up this way."""
    samples = wide_samples()
    u = np.concatenate([INT16, samples[np.abs(samples) < 2**28]])
    assert np.array_equal(rounded(4 * u + 2, s + 2), half_up(u, s))


@given(u=st.integers(-(2**60), 2**60), s=st.integers(1, 40))
def test_r_of_a_shifted_value_is_half_up_at_any_width(u, s):
    assert scalar.R(4 * u + 2, s + 2) == scalar.half_up(u, s)


@given(p=st.integers(-(2**80), 2**80), k=st.integers(0, 60))
def test_half_up_is_the_floor_of_one_half_more(p, k):
    assert scalar.half_up(p, k) == floor(Fraction(p, 2**k) + Fraction(1, 2))


@given(p=st.integers(-REACH, REACH), q=st.integers(-REACH, REACH), k=st.integers(0, 30))
@settings(max_examples=300)
def test_roundings_never_decrease(p, q, k):
    low, high = sorted((p, q))
    assert scalar.R(low, k) <= scalar.R(high, k)
    assert scalar.half_up(low, k) <= scalar.half_up(high, k)


@pytest.mark.parametrize("k", (3, 4, 8, 15, 22))
def test_one_more_than_a_multiple_of_four_rounds_alike_everywhere(k):
    """Clause 5.4: five rounding rules found in runtimes agree when acc mod 4 = 1 and k >= 3."""
    samples = wide_samples()
    acc = samples[np.abs(samples) < 2**28] * 4 + 1
    expected = exact_half_up(acc, k)
    real = acc / 2.0**k
    away = np.sign(real) * np.floor(np.abs(real) + 0.5)
    assert np.array_equal(np.rint(real), expected)
    assert np.array_equal(away, expected)
    assert np.array_equal(gemmlowp_double_rounding(acc, k), expected)
    assert np.array_equal(exact_half_up(exact_half_up(acc, 1), k - 1), expected)
    assert np.array_equal(exact_half_up(exact_half_up(acc, 2), k - 2), expected)


@pytest.mark.parametrize(("bits", "name"), ((16, "sat16"), (8, "sat8")))
def test_saturation(bits, name):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    codes = np.arange(3 * low, 3 * high, dtype=np.int32)
    expected = [low if v < low else high if v > high else v for v in codes.tolist()]
    assert getattr(arithmetic, name)(codes).tolist() == expected
    assert [getattr(scalar, name)(v) for v in codes.tolist()] == expected


def test_saturation_at_the_ends_of_int32():
    ends = np.array([-(2**31), 2**31 - 1], dtype=np.int32)
    assert arithmetic.sat16(ends).tolist() == [-32768, 32767]
    assert arithmetic.sat8(ends).tolist() == [-128, 127]


def test_hypotenuses_of_every_leg():
    """Clause 7.10 for each int16 leg with others, against the squares of halves."""
    rng = np.random.default_rng(6)
    others = [np.zeros_like(INT16), INT16, INT16[::-1], rng.permutation(INT16), INT16 // 181]
    for other in others:
        a, b = INT16.astype(np.int32), other.astype(np.int32)
        got = arithmetic.sat16(arithmetic.hypotenuse(a, b)).astype(np.int64)
        squares = INT16**2 + other**2
        # y is the nearest integer if the root is between y - 1/2 and y + 1/2, all doubled.
        inside = (2 * got - 1) ** 2 < 4 * squares
        inside |= (got == 0) & (squares == 0)
        assert (inside & (4 * squares < (2 * got + 1) ** 2) | (got == 32767)).all()
        assert ((got == 32767) == (4 * squares > (2 * 32767 - 1) ** 2)).all()
        twin = [
            scalar.sat16(scalar.hypotenuse(v, w))
            for v, w in zip(a[::7].tolist(), b[::7].tolist(), strict=True)
        ]
        assert got[::7].tolist() == twin
