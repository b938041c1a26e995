"""Streams of codes that reach every corner of a model, the same on every machine."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn_firmware_sim.reference.reference import Reference

GOLDEN_STEPS: Final = 8
_GOLDEN_SEED: Final = 20_240_229


def probe_codes(model: IntegerModel, steps: int, seed: int) -> OperandArray:
    """Pseudo-random operand codes [T, I] over the whole range of the model input.

    Amplitudes alternate between full, a quarter and a sixteenth of the range, so that a stream
    both saturates gates and moves through their slopes.

    Args:
        model: whose precision and width count.
        steps: number of readings T.
        seed: same seed, same codes, whatever the NumPy version.
    """
    p = model.precision
    low, high = p.input_low // p.input_step, p.input_high // p.input_step
    # Raw words: NumPy guarantees a bit generator's stream, not a distribution's.
    words = np.random.PCG64(seed).random_raw(steps * model.input.width)
    codes = (words % np.uint64(high - low + 1)).astype(np.int64).reshape(steps, -1) + low
    reduction = np.array([0, 0, 0, 2, 2, 4])[np.arange(steps) % 6]
    probe: OperandArray = ((codes >> reduction[:, None]) * p.input_step).astype(p.operand_dtype)
    return probe


def golden_vector(model: IntegerModel) -> Golden:
    """The short stream stored in every exported file, with the reference's outputs."""
    q_x = probe_codes(model, GOLDEN_STEPS, _GOLDEN_SEED)
    q_y, _ = Reference(model).run(q_x)
    return Golden(q_x=q_x, q_y=q_y)
