"""From a real affine map to integer rows: NUMERICS.md sections 4 and 5.

A row's weight step is a multiplier and a shift chosen *first*; weights are then rounded to it, so
the multiplier itself is exact and the only error is that of the 8-bit weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgernn.affine import Affine8, Affine16, CodeRange, Source, Term8, Term16
from edgernn.formats import WEIGHT_MAX, FloatArray
from edgernn_export.proof import refuse8, refuse16

Ranges = dict[Source, tuple[CodeRange, ...]]
_MAX_SHIFT8 = 28
#: Weight steps tried below the one that clips nothing, as shares of it.
_STEP_SHARES = np.linspace(0.80, 1.0, 21)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTerm:
    """A matrix product in output codes: ``gain[r, j]`` output codes per code of operand j.

    Attributes:
        source: operand source.
        gain: float64 [R, N].
        mean_square: float64 [N], mean squared operand code, weighs the weights' errors.
        mean: float64 [N], mean operand code; the weights' mean error is taken out of the bias
            (Nagel et al. 2019, bias correction).
    """

    source: Source
    gain: FloatArray
    mean_square: FloatArray
    mean: FloatArray

    def mean_error(self, weights: npt.NDArray[np.int8], step: FloatArray) -> FloatArray:
        """Mean output error [R] that rounded weights cause, in output codes."""
        error: FloatArray = (weights * step[:, None] - self.gain) @ self.mean
        return error


def _weight_steps(term: RealTerm) -> FloatArray:
    """Per row, the step (output codes per weight unit) with the least expected output error."""
    full: FloatArray = np.maximum(np.max(np.abs(term.gain), axis=1) / WEIGHT_MAX, 1e-300)
    best: FloatArray = full.copy()
    best_error = np.full(full.shape, np.inf)
    for share in _STEP_SHARES:
        step = full * share
        weights = np.clip(np.rint(term.gain / step[:, None]), -WEIGHT_MAX, WEIGHT_MAX)
        error = np.square(weights * step[:, None] - term.gain) @ (term.mean_square + 1e-12)
        better = error < best_error
        best = np.where(better, step, best)
        best_error = np.where(better, error, best_error)
    return best


def _round_weights(gain: FloatArray, step: FloatArray) -> npt.NDArray[np.int8]:
    return np.clip(np.rint(gain / step[:, None]), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)


def _affine8(prepared: list[tuple[RealTerm, FloatArray]], bias: FloatArray, shift: int) -> Affine8:
    """A `w8a8` affine map with a given shift (clause 4.3) and wanted steps per row."""
    terms = []
    for term, step in prepared:
        # At most 2 % below the wanted step: a multiplier of few bits must not clip weights.
        multiplier = np.clip(np.ceil(0.98 * step * 2.0**shift), 1, 2**28).astype(np.int32)
        exact = multiplier / 2.0**shift
        weights = _round_weights(term.gain, exact)
        bias = bias - term.mean_error(weights, exact)
        terms.append(Term8(source=term.source, weights=weights, multiplier=multiplier))
    scaled = np.clip(np.rint(bias * 2.0**shift), -(2**30), 2**30)
    return Affine8(terms=tuple(terms), bias=scaled.astype(np.int32), shift=shift)


def affines8(
    owner: str, maps: dict[str, tuple[list[RealTerm], FloatArray]], ranges: Ranges
) -> dict[str, Affine8]:
    """Quantize the maps of one layer with the largest shared shift that is proven safe.

    Args:
        owner: layer name, for messages.
        maps: per map its real products and its bias, float64 [R] in output codes.
        ranges: bounds of the operand codes.

    Raises:
        OverflowRefused: not even the smallest shift is safe; names a row and an input.
    """
    prepared = {n: ([(t, _weight_steps(t)) for t in ts], b) for n, (ts, b) in maps.items()}
    made: dict[str, Affine8] = {}
    for shift in range(_MAX_SHIFT8, 0, -1):
        made = {name: _affine8(terms, bias, shift) for name, (terms, bias) in prepared.items()}
        if not any(affine.unsafe_rows(ranges).size for affine in made.values()):
            return made
    for name, affine in made.items():
        refuse8(f"{owner}.{name}", affine, ranges)
    raise AssertionError("an unsafe map was refused above")


def affine16(owner: str, terms: list[RealTerm], bias: FloatArray, ranges: Ranges) -> Affine16:
    """Quantize to a `w8a16` affine map; the bias goes to the first term.

    Raises:
        OverflowRefused: no allowed step keeps a row's accumulator within 32 bits.
    """
    made = []
    for index, term in enumerate(terms):
        offset = bias if index == 0 else np.zeros_like(bias)
        made.append(_term16(owner, term, offset, ranges[term.source]))
    return Affine16(terms=tuple(made))


def _term16(owner: str, term: RealTerm, bias: FloatArray, ranges: tuple[CodeRange, ...]) -> Term16:
    """One term; rows that could overflow get a coarser step until they cannot."""
    # A row of tiny weights gets a step that still holds its bias in 28 bits.
    step = np.maximum(_weight_steps(term), np.maximum(np.abs(bias) * 2.0**-28, 2.0**-30))
    for _ in range(12):
        made = _term16_with_step(term, bias, step)
        unsafe = made.worst(ranges) >= 1 << 31
        too_coarse = step > 32767 / 32768 * 2.0**-3
        if not unsafe.any() and not too_coarse.any():
            return made
        if too_coarse.any():
            break
        step = np.where(unsafe, step * 2.0, step)
    refuse16(f"{owner} (source {term.source.value})", made, step, ranges)
    raise AssertionError("an unsafe term was refused above")


def _term16_with_step(term: RealTerm, bias: FloatArray, step: FloatArray) -> Term16:
    """Clause 5.2 with step = multiplier * 2**-15 * 2**-shift as close to ``step`` as it gets."""
    fraction, exponent = np.frexp(step)
    shift = np.clip(-exponent, 3, 30)
    multiplier = np.rint(np.ldexp(fraction, exponent + shift) * 32768.0)
    multiplier = np.clip(multiplier, 1, 32767).astype(np.int32)
    exact = multiplier * 2.0**-15 * np.exp2(-shift.astype(np.float64))
    weights = _round_weights(term.gain, exact)
    code = np.clip((bias - term.mean_error(weights, exact)) / exact, -(2.0**30), 2.0**30)
    return Term16(
        source=term.source,
        weights=weights,
        bias=(4 * np.rint((code - 1) / 4) + 1).astype(np.int32),
        shift=shift.astype(np.int32),
        multiplier=multiplier,
    )


def common_is_harmless(x: RealTerm, h: RealTerm, allowed_db: float) -> bool:
    """Whether one step per row for [x; h] raises the weights' error by at most ``allowed_db``.

    Expected error power of rounding weights to a step is step**2/12 per unit of operand energy.
    """
    step_x = np.max(np.abs(x.gain), axis=1)
    step_h = np.max(np.abs(h.gain), axis=1)
    both = np.maximum(step_x, step_h)
    energy_x, energy_h = float(x.mean_square.sum()), float(h.mean_square.sum())
    separate = np.sum(step_x**2 * energy_x + step_h**2 * energy_h)
    common = np.sum(both**2 * (energy_x + energy_h))
    return bool(common <= separate * 10.0 ** (allowed_db / 10.0))


def join(x: RealTerm, h: RealTerm) -> RealTerm:
    """The product over the concatenation [x; h]."""
    return RealTerm(
        source=Source.XH,
        gain=np.concatenate((x.gain, h.gain), axis=1),
        mean_square=np.concatenate((x.mean_square, h.mean_square)),
        mean=np.concatenate((x.mean, h.mean)),
    )
