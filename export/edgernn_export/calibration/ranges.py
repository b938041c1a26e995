"""Range choice: minmax, percentile, MSE (Krishnamoorthi 2018; Nagel et al. 2021, section 3.1)."""

from __future__ import annotations

import enum
from typing import Literal

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.calibration.statistics import TensorStatistics

PERCENTILE = 99.99
_CANDIDATES = np.linspace(0.30, 1.0, 36)


RangeMethodName = Literal["minmax", "percentile", "mse"]


class RangeMethod(enum.Enum):
    """How a tensor's range is chosen from what calibration saw."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"


def input_range(
    stats: TensorStatistics, method: RangeMethod, levels: int
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end per channel for an input coded with ``levels`` steps each side.

    Returns:
        (low, high), float64 [I], low < high.
    """
    low, high = stats.low.copy(), stats.high.copy()
    if method is RangeMethod.PERCENTILE:
        low = np.percentile(stats.spread, 100.0 - PERCENTILE, axis=0)
        high = np.percentile(stats.spread, PERCENTILE, axis=0)
    elif method is RangeMethod.MSE:
        for channel in range(low.size):
            low[channel], high[channel] = _mse_range(
                stats.spread[:, channel], float(low[channel]), float(high[channel]), levels
            )
    flat = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    pad = np.where(flat, np.maximum(np.abs(high), 1.0) / 2, 0.0)
    return low - pad, high + pad


def _mse_range(values: FloatArray, low: float, high: float, levels: int) -> tuple[float, float]:
    """The shrunken range with the least mean squared coding error."""
    middle, half = (low + high) / 2, (high - low) / 2
    best, best_error = half, np.inf
    for share in _CANDIDATES:
        scale = half * share / levels
        if scale <= 0.0:
            continue
        codes = np.clip(np.rint((values - middle) / scale), -levels, levels)
        error = float(np.mean(np.square(codes * scale + middle - values)))
        if error < best_error:
            best, best_error = half * share, error
    return middle - best, middle + best


def limit(spread: FloatArray, exact: float, method: RangeMethod) -> float:
    """Symmetric limit of a tensor coded in 16 bits.

    MSE equals minmax here: with 16 bits, clipping costs more than it gains unless values are
    far outliers, which `percentile` handles.
    """
    if method is RangeMethod.PERCENTILE:
        return float(np.percentile(np.abs(spread), PERCENTILE))
    return exact


def exponent_for(limit_: float, allowed: range, high_code: int = 32767) -> int:
    """The finest exponent in ``allowed`` that holds ``limit_``; the coarsest if none does."""
    for exponent in sorted(allowed, reverse=True):
        if limit_ * 2.0**exponent <= high_code:
            return exponent
    return min(allowed)


def clip_rate(sample: FloatArray, exponent: int) -> float:
    """Share of sampled values outside the int16 format with this exponent."""
    scaled = np.abs(sample) * 2.0**exponent
    return float(np.mean(scaled > 32767.5))
