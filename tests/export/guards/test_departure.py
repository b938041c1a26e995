"""Integer models that stray from their network on their own calibration are said to."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from edgernn.errors import DepartureWarning
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel, FloatSimpleRNN
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream


def average(keep: float, activation: str = "relu") -> FloatModel:
    """One unit that keeps this share of its state from step to step."""
    layer = FloatSimpleRNN(
        name="average",
        kernel=np.array([[1.0 - keep]]),
        recurrent=np.array([[keep]]),
        bias=np.zeros(1),
        activation=activation,
    )
    texts = {"input_names": ("x",), "input_units": ("",)}
    outputs = {"output_names": ("y",), "output_units": ("",)}
    return FloatModel(name="slow", layers=(layer,), **texts, **outputs)


def readings() -> FloatArray:
    noise = np.random.default_rng(0).normal(size=6000)
    return np.abs(np.sin(np.arange(6000) / 300) * 0.5 + noise * 0.5)[:, None]


@pytest.mark.parametrize(
    ("keep", "activation", "precision"),
    [(0.99, "relu", "w8a8"), (0.999, "relu", "w8a8"), (0.999, "relu", "w8a16"),
     (0.99, "tanh", "w8a8"), (0.999, "tanh", "w8a8")],
)  # fmt: skip
def test_a_slow_average_is_said(keep, activation, precision):
    model, xs = average(keep, activation), readings()
    with pytest.warns(DepartureWarning, match=r"slow: .* differently .* by \d+%") as caught:
        integer = quantize(model, xs, precision, progress=False)
    said = float(str(caught[0].message).split(" by ")[1].split("%")[0]) / 100
    ys = run(model, xs[None, :512])[0][0]
    q_ys, _ = Reference(integer).run(integer.interface().quantize(xs[:512]))
    got = integer.interface().dequantize(q_ys)
    assert said > 0.32
    assert np.sqrt(np.mean(np.square(got - ys)) / np.var(ys)) > 0.2


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_ordinary_networks_do_not_stray(cell, precision):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DepartureWarning)
        for seed in range(4):
            quantize(float_model(cell, seed=seed), stream(600, 3, seed), precision, progress=False)
        quantize(average(0.5), readings(), precision, progress=False)
