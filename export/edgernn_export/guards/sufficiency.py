"""Whether calibration tells enough about the readings to come."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn.errors import CalibrationWarning
from edgernn.model.formats import FloatArray
from edgernn.records.columns import listed

#: Readings from which on more of the same kind gain little. On stationary streams of 3 channels,
#: SimpleRNN, LSTM and GRU layers of 16 units (8 seeds, minmax ranges with their headroom) lose 10
#: to 19 dB of output SQNR in the median with 20 readings against what they have with 5,000, up to
#: 28 dB in the worst case; with 100 readings up to 6 and 16 dB, with 200 up to 0.5 and 6 dB.
ENOUGH_READINGS: Final = 200


def _readings(block: FloatArray) -> int:
    """Readings in streams [B, T, I]; windows that follow one another share all but one."""
    count, steps, _ = block.shape
    if count > 1 and steps > 1 and np.array_equal(block[1:, :-1], block[:-1, 1:]):
        return steps + count - 1
    return count * steps


def warn_of_little(
    blocks: Sequence[FloatArray],
    names: Sequence[str],
    *,
    chain: bool = True,
    given: Sequence[object] = (),
) -> None:
    """Warn of few readings, and of channels that never change.

    Args:
        blocks: calibration streams, [B, T, I] each.
        names: channel names I.
        chain: whether the network is one, so that structured pruning takes it.
        given: ranges of the channels that do not depend on calibration, None where it decides.

    Warns:
        CalibrationWarning: one for either.
    """
    readings = sum(_readings(block) for block in blocks)
    if readings < ENOUGH_READINGS:
        warnings.warn(
            f"calibration: expected at least {ENOUGH_READINGS} readings, got {readings}. "
            "Ranges from so few readings are too narrow, and later readings will be clipped. "
            "Calibrate with more readings.",
            CalibrationWarning,
            stacklevel=3,
        )
    low = np.min([block.min(axis=(0, 1)) for block in blocks], axis=0)
    high = np.max([block.max(axis=(0, 1)) for block in blocks], axis=0)
    constant = [
        f"{name} always {value:g}"
        for name, value, same, known in zip(
            names, low, low == high, given or (None,) * len(names), strict=True
        )
        if same and known is None
    ]
    if constant and readings > 1:
        cure = "Calibrate with streams in which these channels vary"
        if chain:
            cure += "; to remove channels that never vary, run: edgernn prune --inputs"
        else:
            cure += ", or train without channels that never vary."
        warnings.warn(
            f"calibration: expected every channel to vary, got {listed(constant)}. Their range "
            f"is unknown, and other values will be clipped. {cure}",
            CalibrationWarning,
            stacklevel=3,
        )
