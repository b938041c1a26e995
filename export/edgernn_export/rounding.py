"""Rounding of weights to few bits that minimises the error of the product, not of the weights.

Columns are rounded one after another; the error each leaves is spread over the columns still to
come, weighted by the covariance of the operands (Frantar et al. 2023, GPTQ; Hassibi & Stork 1993).
The mean error that is left is taken out of the bias (Nagel et al. 2019).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgernn.formats import WEIGHT_MAX, FloatArray, Int8Array

#: Share of the mean variance added to the diagonal; operands that never move stay roundable.
_DAMPING: Final = 0.01


def covariance(sample: FloatArray) -> FloatArray:
    """Damped covariance [N, N] of operand codes [S, N]."""
    centred = sample - sample.mean(axis=0)
    matrix: FloatArray = centred.T @ centred / len(sample)
    matrix[np.diag_indices_from(matrix)] += _DAMPING * float(np.mean(np.diag(matrix))) + 1e-9
    return matrix


def round_to_nearest(gain: FloatArray, step: FloatArray, largest: int = WEIGHT_MAX) -> Int8Array:
    """Weights in [-largest, largest] of real gains for steps of a broadcastable shape."""
    weights: Int8Array = np.clip(np.rint(gain / step), -largest, largest).astype(np.int8)
    return weights


def round_with_feedback(
    gain: FloatArray, step: FloatArray, cov: FloatArray, largest: int = WEIGHT_MAX
) -> Int8Array:
    """Weights [R, N] of real gains [R, N] with the least expected error of the product.

    Rows for which plain rounding happens to be better keep it. A gain of 0 (a pruned weight) stays
    0.

    Args:
        gain: output codes per operand code.
        step: output codes per weight unit, [R, N].
        cov: covariance [N, N] of the operand codes.
        largest: magnitude of a weight.
    """
    order = np.argsort(-np.diag(cov), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(cov[np.ix_(order, order)])).T
    wanted = gain[:, order].copy()
    steps = step[:, order]
    present = wanted != 0
    weights = np.empty(gain.shape, dtype=np.int8)
    for j in range(len(order)):
        weights[:, j] = round_to_nearest(wanted[:, j], steps[:, j], largest) * present[:, j]
        left = (wanted[:, j] - weights[:, j] * steps[:, j]) / upper[j, j]
        wanted[:, j + 1 :] -= np.outer(left, upper[j, j + 1 :])
    restored = np.empty_like(weights)
    restored[:, order] = weights
    plain = round_to_nearest(gain, step, largest)
    better = expected_error(restored, gain, step, cov) <= expected_error(plain, gain, step, cov)
    return np.where(better[:, None], restored, plain)


def expected_error(
    weights: Int8Array, gain: FloatArray, step: FloatArray, cov: FloatArray
) -> FloatArray:
    """Variance of the product's error per row."""
    error = weights * step - gain
    variance: FloatArray = np.einsum("rn,nm,rm->r", error, cov, error, optimize=True)
    return variance
