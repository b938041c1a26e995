"""Rounding of weights to few bits that minimizes the error of the product, not of the weights.

Columns are rounded one after another; the error each leaves is spread over the columns still to
come, weighted by the covariance of the operands (Frantar et al. 2023, GPTQ; Hassibi & Stork 1993).
The mean error that is left is taken out of the bias (Nagel et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import WEIGHT_MAX, FloatArray, Int8Array

#: Share of the mean variance added to the diagonal; operands that never move stay roundable.
_DAMPING: Final = 0.01
#: Rows of a sample looked at together.
_BLOCK_ROWS: Final = 1 << 12
#: Columns whose errors reach the columns after them in one matrix product.
_BLOCK: Final = 64


@dataclass(frozen=True, kw_only=True)
class Moments:
    """How the N operands of a product vary.

    Attributes:
        mean: mean operand code [N].
        variation: covariance [N, N] of the operand codes.
    """

    mean: FloatArray
    variation: FloatArray

    @staticmethod
    def of(samples: Sequence[npt.NDArray[Any]]) -> Moments:
        """Moments of samples [S, N_k] side by side; row s of all is one moment in time.

        Codes are integers, and so are their sums less a whole number: float64 adds them exactly,
        in any order, and the moments do not depend on the number of threads.
        """
        rows = len(samples[0])
        centre = np.rint(np.concatenate([s.sum(axis=0, dtype=np.float64) for s in samples]) / rows)
        total, second = np.zeros(len(centre)), np.zeros((len(centre), len(centre)))
        for first in range(0, rows, _BLOCK_ROWS):
            block = np.concatenate([s[first : first + _BLOCK_ROWS] for s in samples], axis=1)
            centred = block - centre
            total += centred.sum(axis=0)
            second += centred.T @ centred
        offset = total / rows
        return Moments(mean=centre + offset, variation=second / rows - np.outer(offset, offset))

    @cached_property
    def covariance(self) -> FloatArray:
        """The covariance, damped."""
        matrix = self.variation.copy()
        diagonal = np.diag(matrix)
        matrix[np.diag_indices_from(matrix)] += _DAMPING * float(np.mean(diagonal)) + 1e-9
        return matrix

    @cached_property
    def feedback(self) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """The order in which columns are rounded, and how their errors spread, [N, N]."""
        cov = self.covariance
        order = np.argsort(-np.diag(cov), kind="stable")
        return order, np.linalg.cholesky(np.linalg.inv(cov[np.ix_(order, order)])).T


def round_to_nearest(
    gain: FloatArray, step: FloatArray, largest: npt.ArrayLike = WEIGHT_MAX
) -> Int8Array:
    """Weights in [-largest, largest] of real gains for steps of a broadcastable shape.

    A largest magnitude may be given for each column.
    """
    largest = np.asarray(largest)
    weights: Int8Array = np.clip(np.rint(gain / step), -largest, largest).astype(np.int8)
    return weights


def round_with_feedback(
    gain: FloatArray,
    step: FloatArray,
    moments: Moments,
    largest: npt.ArrayLike = WEIGHT_MAX,
) -> Int8Array:
    """Weights [R, N] of real gains [R, N] with the least expected error of the product.

    Rows for which plain rounding happens to be better keep it. A gain of 0 (a pruned weight) stays
    0.

    Args:
        gain: output codes per operand code.
        step: output codes per weight unit, [R, N].
        moments: those of the N operands.
        largest: magnitude of a weight, one for all or [N].
    """
    order, upper = moments.feedback
    wanted, steps = gain.T[order], step.T[order]
    limits = np.broadcast_to(largest, len(order))[order]
    present = wanted != 0
    weights = np.empty(wanted.shape, dtype=np.int8)
    for first in range(0, len(order), _BLOCK):
        last = min(first + _BLOCK, len(order))
        left = np.empty((last - first, len(gain)))
        for j, error in enumerate(left, first):
            weights[j] = round_to_nearest(wanted[j], steps[j], limits[j]) * present[j]
            np.divide(wanted[j] - weights[j] * steps[j], upper[j, j], out=error)
            wanted[j + 1 : last] -= np.outer(upper[j, j + 1 : last], error)
        wanted[last:] -= upper[first:last, last:].T @ left
    restored = np.empty(gain.shape, dtype=np.int8)
    restored[:, order] = weights.T
    plain = round_to_nearest(gain, step, largest)
    cov = moments.covariance
    better = expected_error(restored, gain, step, cov) <= expected_error(plain, gain, step, cov)
    return np.where(better[:, None], restored, plain)


def expected_error(
    weights: Int8Array, gain: FloatArray, step: FloatArray, cov: FloatArray
) -> FloatArray:
    """Variance of the product's error per row."""
    error = weights * step - gain
    variance: FloatArray = np.einsum("rn,rn->r", error @ cov, error)
    return variance
