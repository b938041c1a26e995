"""Networks with their integer models, and recordings to evaluate them on."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Window
from edgernn_export import quantize
from edgernn_export.float_model.model import FloatDense, FloatModel
from tests.support.models.float import float_model, stream


def forecaster(
    window: Window | None = None, *, cell: str = "gru_after", outputs: int = 1, inputs: int = 2
) -> tuple[FloatModel, IntegerModel]:
    """A network of quantities, calibrated on a stream of its own."""
    network = float_model(cell, inputs=inputs, units=8, outputs=outputs, seed=3)
    if window is not None:
        network = dataclasses.replace(network, steps=window.steps, return_sequences=False)
    return network, integer(network, window)


def classifier(window: Window | None = None) -> tuple[FloatModel, IntegerModel]:
    """A network of three classes that ends in a softmax."""
    network = float_model("lstm", inputs=2, units=8, outputs=3, seed=5, final_activation="softmax")
    if window is not None:
        network = dataclasses.replace(network, steps=window.steps, return_sequences=False)
    network = dataclasses.replace(network, output_names=("rest", "walk", "run"))
    return network, integer(network, window)


def detector() -> tuple[FloatModel, IntegerModel]:
    """A network of one sigmoid output around its threshold."""
    network = float_model("lstm", inputs=2, units=8, outputs=1, seed=7)
    head = network.layers[-1]
    last = FloatDense(name="head", kernel=4 * head.kernel, bias=0 * head.bias, activation="sigmoid")
    network = dataclasses.replace(network, layers=(*network.layers[:-1], last))
    return network, integer(network, None)


def integer(network: FloatModel, window: Window | None) -> IntegerModel:
    model = quantize(network, stream(2000, network.inputs, seed=11), progress=False)
    return dataclasses.replace(model, window=window)


def readings(steps: int, seed: int = 2, inputs: int = 2) -> np.ndarray:
    """A stream within the calibrated range."""
    return 0.6 * stream(steps, inputs, seed=seed)
