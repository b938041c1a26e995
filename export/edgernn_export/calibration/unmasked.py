"""Streams without their masked readings: what a network with a mask takes as steps (clause 6.13).

A masked reading does not change the state, so that a stream without it has the same states. Nothing
behind calibration needs to know of masks then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgernn.errors import CalibrationError
from edgernn.model.border.masks import equal_to_mask
from edgernn.model.formats import BoolArray, FloatArray
from edgernn_export.calibration.statistics import Calibration
from edgernn_export.calibration.streams import merged
from edgernn_export.float_model.float_run import masked_output
from edgernn_export.float_model.model import FloatModel


def unmasked(x: FloatArray, mask: float | None) -> BoolArray:
    """Which readings [..., I] are steps, bool [...].

    Args:
        x: in physical units.
        mask: of the network (`FloatModel.mask`).
    """
    steps: BoolArray = ~equal_to_mask(x, mask)
    return steps


def without_masked(
    blocks: Sequence[FloatArray], mask: float | None, owner: str = "calibration"
) -> list[FloatArray]:
    """The same streams, or windows, without their masked readings; empty ones are left out.

    Args:
        blocks: [B, T, I], from `as_streams` or `as_windows`.
        mask: of the network.
        owner: what the streams are, for messages.

    Returns:
        Blocks [B, T, I]; streams of one length share a block.

    Raises:
        CalibrationError: all readings are masked.
    """
    if mask is None:
        return list(blocks)
    steps = [unmasked(block, mask) for block in blocks]
    if all(which.all() for which in steps):
        return list(blocks)
    streams = [
        stream[there][None]
        for block, which in zip(blocks, steps, strict=True)
        for stream, there in zip(block, which, strict=True)
        if there.any()
    ]
    if not streams:
        raise CalibrationError(
            f"{owner}: expected readings that are not masked, got only readings of {mask:g}. "
            "Calibrate with real readings."
        )
    return merged(streams)


def hold_masked(model: FloatModel, statistics: Calibration) -> None:
    """Let the ranges of layers behind all states hold the output before the first step.

    Args:
        model: a float model with a mask.
        statistics: changed.
    """

    def observe(layer: int, name: str, tensor: FloatArray) -> None:
        seen = statistics.get((layer, name))
        if seen is not None:
            values = tensor.reshape(-1, tensor.shape[-1])
            low, high = values.min(axis=0), values.max(axis=0)
            statistics[layer, name] = replace(
                seen, low=np.minimum(seen.low, low), high=np.maximum(seen.high, high)
            )

    masked_output(model, observe)
