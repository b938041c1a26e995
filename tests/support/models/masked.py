"""Random integer models with a mask, and streams of which readings are masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.model.formats import FloatArray, OperandArray, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Window
from tests.exactness.twin.masked import first_output, mask_row
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.networks import merge_chain
from tests.support.models.tokens import token_chain


def with_mask(model: IntegerModel, mask: float) -> IntegerModel:
    """The same model with a mask; what it puts out first is that of the twin."""
    return replace(
        model,
        name=f"{model.name}-masked",
        input=replace(model.input, mask=mask),
        output=replace(model.output, masked=tuple(first_output(model))),
    )


def masked_models() -> dict[str, IntegerModel]:
    """Every cell in one of the precisions, tokens, a network and windows."""
    made = {}
    for number, cell in enumerate(CELLS):
        precision = [*Precision][number % 2]
        model = random_model(cell, precision, seed=number, stack=1 + number % 2)
        made[f"{cell}-{precision.value}"] = with_mask(model, [-1.0, 0.0, 1e9][number % 3])
    made["tokens"] = with_mask(token_chain(rows=9, columns=3), 0.0)
    made["merges"] = with_mask(merge_chain(Precision.W8A16), 0.5)
    for window in (Window(steps=4), Window(steps=3, hop=2)):
        model = replace(random_model("lstm", seed=5), window=window)
        made[f"window-{window.steps}-{window.hop}"] = with_mask(model, -1.0)
    made["window-tokens"] = with_mask(token_chain(rows=5, window=Window(steps=3)), 0.0)
    return made


def masked_codes(model: IntegerModel, steps: int, seed: int = 1) -> OperandArray:
    """Codes [T, I] masked at the beginning, at the end, in the middle and here and there."""
    codes = random_codes(model, steps, seed).copy()
    masked = np.random.default_rng(seed).random(steps) < 0.3
    masked[:3] = masked[-4:] = masked[steps // 2 : steps // 2 + 5] = True
    codes[masked] = mask_row(model)
    return codes


def masked_readings(model: IntegerModel, steps: int, seed: int = 1) -> FloatArray:
    """Readings [T, I], some of them masked."""
    codes = masked_codes(model, steps, seed)
    masked = (codes == np.array(mask_row(model))).all(axis=1)
    x = model.input.offset + codes * model.input.scale
    x[masked] = model.input.mask
    return x
