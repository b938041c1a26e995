"""Features of streams that need no reading from the future."""

from __future__ import annotations

from dataclasses import dataclass

from edgernn.formats import FloatArray


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
        x: float64 [B, T, I]; what is left of T at the end is dropped.
        steps: readings per block.

    Returns:
        float64 [B, T // steps, I].
    """
    batch, length, width = x.shape
    blocks = length // steps
    means: FloatArray = x[:, : blocks * steps].reshape(batch, blocks, steps, width).mean(axis=2)
    return means
