"""The acceptance matrix: every cell and precision, trained, random and hostile, and a stack."""

from __future__ import annotations

import warnings
from pathlib import Path

from edgernn.errors import SaturationWarning
from edgernn.model.integer_model import IntegerModel
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import float_model, stream

CELLS = ("simple_rnn", "lstm", "gru_after", "gru_before")
PRECISIONS = ("w8a8", "w8a16")
TRAINED = Path(__file__).resolve().parents[2] / "golden" / "trained"
#: Weight gain of a hostile network: gates saturate most of the time.
HOSTILE_GAIN = 8.0


def quantized(cell: str, precision: str, *, gain: float = 1.0, stack: int = 1) -> IntegerModel:
    """A random float network through calibration and quantizer."""
    model = float_model(cell, units=16, stack=stack, gain=gain, seed=CELLS.index(cell))
    with warnings.catch_warnings():
        # A hostile network is chaotic: the kernels of BLAS decide where it goes in calibration,
        # and so whether it saturates there.
        warnings.simplefilter("ignore", SaturationWarning)
        return quantize(model, stream(500, 3), precision, progress=False)


def matrix() -> dict[str, IntegerModel]:
    """Name -> model: 4 cells x 2 precisions x 3 kinds, and 3-layer stacks."""
    models = {}
    for precision in PRECISIONS:
        for cell in CELLS:
            name = f"{cell}-{precision}"
            models[f"{name}-trained"] = IntegerModel.load(TRAINED / f"{name}.edgernn")
            models[f"{name}-random"] = quantized(cell, precision)
            models[f"{name}-hostile"] = quantized(cell, precision, gain=HOSTILE_GAIN)
        models[f"stack-{precision}-trained"] = IntegerModel.load(
            TRAINED / f"stack-{precision}.edgernn"
        )
        models[f"stack-{precision}-hostile"] = quantized(
            "lstm", precision, gain=HOSTILE_GAIN, stack=3
        )
    return models
