"""Quantization-aware training: Keras models whose forward pass is the integer model's.

    from edgernn_export.qat import integer_model, qat_model

    model = qat_model("model.keras", calibration=streams, precision="w8a8")
    model.compile("adam", "mse")
    model.fit(x, y, epochs=5)
    integer_model(model).save("model.edgernn")

Importing this package loads NumPy only; Keras and TensorFlow are loaded with the first call.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

from edgernn.formats import Precision
from edgernn.model import IntegerModel

__all__ = ["integer_model", "qat_model"]
