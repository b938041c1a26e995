"""From a real affine map to integer rows: NUMERICS.md sections 4 and 5.

A row's weight step is a multiplier and a shift chosen *first*; weights are then rounded to it, so
the multiplier itself is exact and the only error is that of the weights of 8 or 4 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import (
    ACCUMULATOR_LIMIT_W8A16,
    Affine8,
    Affine16,
    CodeRange,
    Source,
    Term8,
    Term16,
)
from edgernn.model.formats import WEIGHT_MAX, FloatArray, Int32Array
from edgernn_export.quantizer.overflow_proof import refuse8, refuse16
from edgernn_export.quantizer.weights.rounding import (
    Moments,
    expected_error,
    round_to_nearest,
    round_with_feedback,
)

Ranges = dict[Source, tuple[CodeRange, ...]]
_MAX_SHIFT8 = 28
#: Largest step of clause 5.2: multiplier 32767, shift 3.
_COARSEST_STEP16 = 32767 / 32768 * 2.0**-3
#: Weight steps tried below the one that clips nothing, as shares of it, by largest weight. Of few
#: large steps it pays to clip some weights.
_STEP_SHARES = {WEIGHT_MAX: np.linspace(0.80, 1.0, 21), 7: np.linspace(0.40, 1.0, 61)}


#: Gains looked at together; they stay in a cache.
_BLOCK_VALUES: Final = 1 << 14


@dataclass(frozen=True, kw_only=True, eq=False)
class RealTerm:
    """A matrix product in output codes: ``gain[r, j]`` output codes per code of operand j.

    Attributes:
        source: operand source.
        gain: float64 [R, N].
        power: float64 [N], mean squared operand code.
        weight_max: largest magnitude of a weight.
    """

    source: Source
    gain: FloatArray
    power: FloatArray
    weight_max: int = WEIGHT_MAX

    @cached_property
    def steps(self) -> FloatArray:
        """Per row, the step (output codes per weight unit) with the least expected output error."""
        largest = np.max(np.abs(self.gain), axis=1)
        full: FloatArray = np.maximum(largest / self.weight_max, 1e-300)
        best: FloatArray = full.copy()
        best_error = np.full(full.shape, np.inf)
        block = max(1, _BLOCK_VALUES // self.gain.shape[1])
        for first in range(0, len(full), block):
            rows = slice(first, first + block)
            for share in _STEP_SHARES[self.weight_max]:
                step = full[rows] * share
                error = self._mean_square_error(rows, step[:, None])
                better = error < best_error[rows]
                best[rows] = np.where(better, step, best[rows])
                best_error[rows] = np.where(better, error, best_error[rows])
        return best

    def _mean_square_error(self, rows: slice, step: FloatArray) -> FloatArray:
        """Of the product, with weights rounded to the nearest step."""
        gain = self.gain[rows]
        error = gain / step
        np.rint(error, out=error)
        np.minimum(error, self.weight_max, out=error)
        np.maximum(error, -self.weight_max, out=error)
        error *= step
        error -= gain
        np.square(error, out=error)
        mean: FloatArray = error @ (self.power + 1e-12)
        return mean


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealMap:
    """A real affine map in output codes.

    Attributes:
        terms: its products.
        moments: how the operands of all products vary, in the order of their columns.
        bias: float64 [R].
    """

    terms: tuple[RealTerm, ...]
    moments: Moments
    bias: FloatArray


def _round_terms(
    real: RealMap, steps: Sequence[FloatArray], *, feedback: bool
) -> tuple[list[npt.NDArray[np.int8]], FloatArray]:
    """Weights of all terms for given steps per row, and the mean error they leave [R]."""
    gain, step = _stacked(real.terms, steps)
    largest = _largest(real.terms)
    if feedback:
        weights = round_with_feedback(gain, step, real.moments, largest)
    else:
        weights = round_to_nearest(gain, step, largest)
    mean_error: FloatArray = (weights * step - gain) @ real.moments.mean
    cuts = np.cumsum([t.gain.shape[1] for t in real.terms])[:-1]
    return np.split(weights, cuts, axis=1), mean_error


def _largest(terms: Sequence[RealTerm]) -> npt.NDArray[np.int_]:
    """The largest magnitude of a weight for the columns of all terms, [N]."""
    return np.repeat([t.weight_max for t in terms], [t.gain.shape[1] for t in terms])


def _stacked(
    terms: Sequence[RealTerm], steps: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Gains and steps of the columns of all terms, [R, N] each."""
    gain = np.concatenate([t.gain for t in terms], axis=1)
    step = np.concatenate(
        [np.broadcast_to(s[:, None], t.gain.shape) for t, s in zip(terms, steps, strict=True)],
        axis=1,
    )
    return gain, step


def _affine8(real: RealMap, shift: int, *, feedback: bool) -> Affine8:
    """A `w8a8` affine map with a given shift (clause 4.3)."""
    # At most 2 % below the wanted step: a multiplier of few bits must not clip weights.
    multipliers = [
        np.clip(np.ceil(0.98 * term.steps * 2.0**shift), 1, 2**28).astype(np.int32)
        for term in real.terms
    ]
    exact: list[FloatArray] = [m / 2.0**shift for m in multipliers]
    weights, mean_error = _round_terms(real, exact, feedback=feedback)
    scaled = np.clip(np.rint((real.bias - mean_error) * 2.0**shift), -(2**30), 2**30)
    return Affine8(
        terms=tuple(
            Term8(source=t.source, weights=w, multiplier=m)
            for t, w, m in zip(real.terms, weights, multipliers, strict=True)
        ),
        bias=scaled.astype(np.int32),
        shift=shift,
    )


def affines8(owner: str, maps: Mapping[str, RealMap], ranges: Ranges) -> dict[str, Affine8]:
    """Quantize the maps of one layer with the largest shared shift that is proven safe.

    Args:
        owner: layer name, for messages.
        maps: the real maps by name.
        ranges: bounds of the operand codes.

    Raises:
        OverflowRefused: not even the smallest shift is safe; names a row and an input.
    """
    made: dict[str, Affine8] = {}
    for shift in range(_MAX_SHIFT8, 0, -1):
        # Plain rounding finds the shift; feedback, which takes longer, is tried from there on.
        for feedback in (False, True):
            made = {name: _affine8(real, shift, feedback=feedback) for name, real in maps.items()}
            if any(affine.unsafe_rows(ranges).size for affine in made.values()):
                break
        else:
            return made
    for name, affine in made.items():
        refuse8(f"{owner}.{name}", affine, ranges)
    raise AssertionError("an unsafe map was refused above")


def affine16(owner: str, real: RealMap, ranges: Ranges) -> Affine16:
    """Quantize to a `w8a16` affine map; the bias goes to the first term.

    Rows that could overflow get a coarser step until they cannot.

    Raises:
        OverflowRefused: no allowed step keeps a row's accumulator within 32 bits.
    """
    terms, rows = real.terms, len(real.bias)
    offsets = [real.bias if index == 0 else np.zeros(rows) for index in range(len(terms))]
    # A row of tiny weights gets a step that still holds its bias in 28 bits.
    steps: list[FloatArray] = [
        np.maximum(t.steps, np.maximum(np.abs(b) * 2.0**-28, 2.0**-30))
        for t, b in zip(terms, offsets, strict=True)
    ]
    for feedback in (True,) * 6 + (False,) * 6:
        made = _affine16(real, steps, offsets, feedback=feedback)
        unsafe = [t.worst(ranges[t.source]) >= ACCUMULATOR_LIMIT_W8A16 for t in made.terms]
        coarse = [step > _COARSEST_STEP16 for step in steps]
        if not np.any(unsafe) and not np.any(coarse):
            return made
        if np.any(coarse):
            break
        steps = [np.where(u, s * 2.0, s) for u, s in zip(unsafe, steps, strict=True)]
    largest = [term.weight_max for term in terms]
    for term, step, bad, max_weight in zip(
        made.terms, steps, np.logical_or(unsafe, coarse), largest, strict=True
    ):
        if bad.any():
            refuse16(
                f"{owner} (source {term.source.value})",
                term,
                step,
                ranges[term.source],
                max_weight,
            )
    raise AssertionError("an unsafe term was refused above")


def _affine16(
    real: RealMap, wanted: list[FloatArray], offsets: list[FloatArray], *, feedback: bool
) -> Affine16:
    """A `w8a16` affine map with steps per row as close to the wanted ones as clause 5.2 allows."""
    scales = [_multiplier_and_shift(step) for step in wanted]
    exact: list[FloatArray] = [m * 2.0**-15 * np.exp2(-k.astype(np.float64)) for m, k in scales]
    weights, mean_error = _round_terms(real, exact, feedback=feedback)
    made = []
    for index, (term, (multiplier, shift)) in enumerate(zip(real.terms, scales, strict=True)):
        offset = offsets[index] - (mean_error if index == 0 else 0.0)
        code = np.clip(offset / exact[index], -(2.0**30), 2.0**30)
        made.append(
            Term16(
                source=term.source,
                weights=weights[index],
                bias=(4 * np.rint((code - 1) / 4) + 1).astype(np.int32),
                shift=shift,
                multiplier=multiplier,
            )
        )
    return Affine16(terms=tuple(made))


def _multiplier_and_shift(step: FloatArray) -> tuple[Int32Array, Int32Array]:
    """Multiplier m and shift k of clause 5.2 with m * 2**-15 * 2**-k close to ``step``."""
    fraction, exponent = np.frexp(step)
    shift = np.clip(-exponent, 3, 30)
    multiplier = np.rint(np.ldexp(fraction, exponent + shift) * 32768.0)
    return np.clip(multiplier, 1, 32767).astype(np.int32), shift.astype(np.int32)


def common_is_harmless(
    separate: Sequence[RealTerm],
    common: RealTerm,
    moments: Moments,
    allowed_db: float,
    quantum: int,
) -> bool:
    """Whether one step per row for all terms raises the expected noise by at most ``allowed_db``.

    The noise is that of the rounded weights and that of the operands, which are multiples of
    ``quantum`` and so contribute quantum**2/12 each.
    """
    operands = _operand_noise(separate, quantum)
    allowed = (operands + _weight_noise(separate, moments)) * float(10.0 ** (allowed_db / 10.0))
    return operands + _weight_noise([common], moments) <= allowed


def expected_noise(affine: Affine8 | Affine16, real: RealMap, quantum: int) -> float:
    """The same noise of an integer map, summed over all rows, against the real map it is of."""
    if isinstance(affine, Affine8):
        steps: list[FloatArray] = [t.multiplier / 2.0**affine.shift for t in affine.terms]
    else:
        steps = [t.multiplier * np.exp2(-15.0 - t.shift) for t in affine.terms]
    gain, step = _stacked(real.terms, steps)
    weights = np.concatenate([t.weights for t in affine.terms], axis=1)
    rounded = expected_error(weights, gain, step, real.moments.covariance)
    return _operand_noise(real.terms, quantum) + float(np.sum(rounded))


def _operand_noise(terms: Sequence[RealTerm], quantum: int) -> float:
    """Variance of operands that are multiples of ``quantum``, summed over all rows."""
    return sum(float(np.sum(np.square(t.gain))) for t in terms) * quantum**2 / 12.0


def _weight_noise(terms: Sequence[RealTerm], moments: Moments) -> float:
    """Expected variance that rounding the weights causes, summed over all rows."""
    gain, step = _stacked(terms, [term.steps for term in terms])
    weights = round_with_feedback(gain, step, moments, _largest(terms))
    return float(np.sum(expected_error(weights, gain, step, moments.covariance)))


def join(x: RealTerm, h: RealTerm) -> RealTerm:
    """The product over the concatenation [x; h], whose weights have the same bits."""
    return RealTerm(
        source=Source.XH,
        gain=np.concatenate((x.gain, h.gain), axis=1),
        power=np.concatenate((x.power, h.power)),
        weight_max=x.weight_max,
    )
