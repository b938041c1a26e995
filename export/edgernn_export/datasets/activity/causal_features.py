"""Features of streams that need no reading from the future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgernn.model.formats import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Streams of features and what they are.

    Attributes:
        x: float64 [B, T, I].
        names: of the I features.
        units: of the I features.
        step_ms: time between two steps.
    """

    x: FloatArray
    names: tuple[str, ...]
    units: tuple[str, ...]
    step_ms: float


def block_means(x: FloatArray, steps: int) -> FloatArray:
    """Means of blocks of ``steps`` readings, known when the block is over.

    Args:
        x: float64 [B, T, I]; the rest of T at the end is dropped.
        steps: readings per block.

    Returns:
        float64 [B, T // steps, I].
    """
    means: FloatArray = _blocks(x, steps).mean(axis=2)
    return means


def block_deviations(x: FloatArray, steps: int, floor: float) -> FloatArray:
    """Logarithms of how much the readings of a block vary, known when the block is over.

    Small movements differ by powers of ten, which a linear scale of 8 bits would not show.

    Args:
        x: float64 [B, T, I]; the rest of T at the end is dropped.
        steps: readings per block.
        floor: added to every deviation, in the unit of ``x``; it hides what is smaller.

    Returns:
        log10(standard deviation + floor), float64 [B, T // steps, I].
    """
    logarithms: FloatArray = np.log10(_blocks(x, steps).std(axis=2) + floor)
    return logarithms


def running_deviations(x: FloatArray, steps: int, floor: float) -> FloatArray:
    """Logarithms of how much all readings so far vary, at the end of every block.

    Args:
        x: float64 [B, T, I]; the rest of T at the end is dropped.
        steps: readings per block.
        floor: as for `block_deviations`.

    Returns:
        log10(standard deviation since the start of the stream + floor), float64 [B, T // steps, I].
    """
    blocks = _blocks(x, steps)
    inside, means = blocks.var(axis=2), blocks.mean(axis=2)
    so_far = [slice(end) for end in range(1, blocks.shape[1] + 1)]
    # The variance of blocks together: the mean of their variances, the variance of their means.
    variance = [inside[:, s].mean(axis=1) + means[:, s].var(axis=1) for s in so_far]
    logarithms: FloatArray = np.log10(np.sqrt(np.stack(variance, axis=1)) + floor)
    return logarithms


def _blocks(x: FloatArray, steps: int) -> FloatArray:
    batch, length, width = x.shape
    count = length // steps
    return x[:, : count * steps].reshape(batch, count, steps, width)
