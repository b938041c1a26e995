"""From a real affine map to integer rows: NUMERICS.md sections 4 and 5.

A row's weight step is a multiplier and a shift chosen *first*; weights are then rounded to it, so
the multiplier itself is exact and the only error is that of the weights of 8 or 4 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgernn.affine import (
    ACCUMULATOR_LIMIT_W8A16,
    Affine8,
    Affine16,
    CodeRange,
    Source,
    Term8,
    Term16,
)
from edgernn.formats import WEIGHT_MAX, FloatArray, Int32Array
from edgernn_export.proof import refuse8, refuse16
from edgernn_export.rounding import (
    covariance,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTerm:
    """A matrix product in output codes: ``gain[r, j]`` output codes per code of operand j.

    Attributes:
        source: operand source.
        gain: float64 [R, N].
        sample: float64 [S, N], operand codes seen in calibration; row s of all terms of an affine
            map is one moment in time.
        weight_max: largest magnitude of a weight; the same for all terms of a map.
    """

    source: Source
    gain: FloatArray
    sample: FloatArray
    weight_max: int = WEIGHT_MAX

    @property
    def mean_square(self) -> FloatArray:
        """Mean squared operand code [N]."""
        power: FloatArray = np.mean(np.square(self.sample), axis=0)
        return power


def _weight_steps(term: RealTerm) -> FloatArray:
    """Per row, the step (output codes per weight unit) with the least expected output error."""
    full: FloatArray = np.maximum(np.max(np.abs(term.gain), axis=1) / term.weight_max, 1e-300)
    best: FloatArray = full.copy()
    best_error = np.full(full.shape, np.inf)
    power = term.mean_square + 1e-12
    for share in _STEP_SHARES[term.weight_max]:
        step = full * share
        weights = round_to_nearest(term.gain, step[:, None], term.weight_max)
        error = np.square(weights * step[:, None] - term.gain) @ power
        better = error < best_error
        best = np.where(better, step, best)
        best_error = np.where(better, error, best_error)
    return best


def _round_terms(
    terms: list[RealTerm], steps: list[FloatArray], *, feedback: bool
) -> tuple[list[npt.NDArray[np.int8]], FloatArray]:
    """Weights of all terms for given steps per row, and the mean error they leave [R]."""
    gain = np.concatenate([t.gain for t in terms], axis=1)
    sample = np.concatenate([t.sample for t in terms], axis=1)
    step = np.concatenate(
        [np.broadcast_to(s[:, None], t.gain.shape) for t, s in zip(terms, steps, strict=True)],
        axis=1,
    )
    if feedback:
        weights = round_with_feedback(gain, step, covariance(sample), terms[0].weight_max)
    else:
        weights = round_to_nearest(gain, step, terms[0].weight_max)
    mean_error: FloatArray = (weights * step - gain) @ sample.mean(axis=0)
    cuts = np.cumsum([t.gain.shape[1] for t in terms])[:-1]
    return np.split(weights, cuts, axis=1), mean_error


def _affine8(
    terms: list[RealTerm], wanted: list[FloatArray], bias: FloatArray, shift: int, *, feedback: bool
) -> Affine8:
    """A `w8a8` affine map with a given shift (clause 4.3) and wanted steps per row."""
    # At most 2 % below the wanted step: a multiplier of few bits must not clip weights.
    multipliers = [
        np.clip(np.ceil(0.98 * step * 2.0**shift), 1, 2**28).astype(np.int32) for step in wanted
    ]
    exact: list[FloatArray] = [m / 2.0**shift for m in multipliers]
    weights, mean_error = _round_terms(terms, exact, feedback=feedback)
    scaled = np.clip(np.rint((bias - mean_error) * 2.0**shift), -(2**30), 2**30)
    return Affine8(
        terms=tuple(
            Term8(source=t.source, weights=w, multiplier=m)
            for t, w, m in zip(terms, weights, multipliers, strict=True)
        ),
        bias=scaled.astype(np.int32),
        shift=shift,
    )


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
    steps = {name: [_weight_steps(t) for t in terms] for name, (terms, _) in maps.items()}
    made: dict[str, Affine8] = {}
    for shift in range(_MAX_SHIFT8, 0, -1):
        # Plain rounding finds the shift; feedback, which takes longer, is tried from there on.
        for feedback in (False, True):
            made = {
                name: _affine8(terms, steps[name], bias, shift, feedback=feedback)
                for name, (terms, bias) in maps.items()
            }
            if any(affine.unsafe_rows(ranges).size for affine in made.values()):
                break
        else:
            return made
    for name, affine in made.items():
        refuse8(f"{owner}.{name}", affine, ranges)
    raise AssertionError("an unsafe map was refused above")


def affine16(owner: str, terms: list[RealTerm], bias: FloatArray, ranges: Ranges) -> Affine16:
    """Quantize to a `w8a16` affine map; the bias goes to the first term.

    Rows that could overflow get a coarser step until they cannot.

    Raises:
        OverflowRefused: no allowed step keeps a row's accumulator within 32 bits.
    """
    offsets = [bias if index == 0 else np.zeros_like(bias) for index in range(len(terms))]
    # A row of tiny weights gets a step that still holds its bias in 28 bits.
    steps: list[FloatArray] = [
        np.maximum(_weight_steps(t), np.maximum(np.abs(b) * 2.0**-28, 2.0**-30))
        for t, b in zip(terms, offsets, strict=True)
    ]
    for feedback in (True,) * 6 + (False,) * 6:
        made = _affine16(terms, steps, offsets, feedback=feedback)
        unsafe = [t.worst(ranges[t.source]) >= ACCUMULATOR_LIMIT_W8A16 for t in made.terms]
        coarse = [step > _COARSEST_STEP16 for step in steps]
        if not np.any(unsafe) and not np.any(coarse):
            return made
        if np.any(coarse):
            break
        steps = [np.where(u, s * 2.0, s) for u, s in zip(unsafe, steps, strict=True)]
    for term, step, bad in zip(made.terms, steps, np.logical_or(unsafe, coarse), strict=True):
        if bad.any():
            refuse16(
                f"{owner} (source {term.source.value})",
                term,
                step,
                ranges[term.source],
                terms[0].weight_max,
            )
    raise AssertionError("an unsafe term was refused above")


def _affine16(
    terms: list[RealTerm], wanted: list[FloatArray], offsets: list[FloatArray], *, feedback: bool
) -> Affine16:
    """A `w8a16` affine map with steps per row as close to the wanted ones as clause 5.2 allows."""
    scales = [_multiplier_and_shift(step) for step in wanted]
    exact: list[FloatArray] = [m * 2.0**-15 * np.exp2(-k.astype(np.float64)) for m, k in scales]
    weights, mean_error = _round_terms(terms, exact, feedback=feedback)
    made = []
    for index, (term, (multiplier, shift)) in enumerate(zip(terms, scales, strict=True)):
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


def common_is_harmless(x: RealTerm, h: RealTerm, allowed_db: float, quantum: int) -> bool:
    """Whether one step per row for [x; h] raises the expected noise by at most ``allowed_db``.

    The noise is that of the rounded weights and that of the operands, which are multiples of
    ``quantum`` and so carry quantum**2/12 each.
    """
    operands = float(np.sum(np.square(x.gain)) + np.sum(np.square(h.gain))) * quantum**2 / 12.0
    separate = operands + _weight_noise([x, h])
    common = operands + _weight_noise([join(x, h)])
    return common <= separate * float(10.0 ** (allowed_db / 10.0))


def _weight_noise(terms: list[RealTerm]) -> float:
    """Expected variance that rounding the weights causes, summed over all rows."""
    gain = np.concatenate([t.gain for t in terms], axis=1)
    cov = covariance(np.concatenate([t.sample for t in terms], axis=1))
    step = np.concatenate(
        [np.broadcast_to(_weight_steps(t)[:, None], t.gain.shape) for t in terms], axis=1
    )
    weights = round_with_feedback(gain, step, cov, terms[0].weight_max)
    return float(np.sum(expected_error(weights, gain, step, cov)))


def join(x: RealTerm, h: RealTerm) -> RealTerm:
    """The product over the concatenation [x; h]."""
    return RealTerm(
        source=Source.XH,
        gain=np.concatenate((x.gain, h.gain), axis=1),
        sample=np.concatenate((x.sample, h.sample), axis=1),
        weight_max=x.weight_max,
    )
