"""Units of a relu that never fire in calibration do not make the scale of the others coarse."""

import numpy as np
import pytest

from edgernn.errors import CalibrationWarning
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatDense, FloatModel
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_model, stream


def network(steep, bias):
    """A hidden Dense whose unit 2 has such weights and bias, before an LSTM and a Dense."""
    rng = np.random.default_rng(8)
    kernel = rng.normal(size=(6, 3)) / 3
    kernel[2] = steep
    offsets = rng.normal(size=6) / 5
    offsets[2] = bias
    first = FloatDense(name="first", kernel=np.eye(3) / 3, bias=np.zeros(3))
    hidden = FloatDense(name="hidden", kernel=kernel, bias=offsets, activation="relu")
    base = float_model("lstm", inputs=6, units=4, dense=((2, "linear"),), seed=2)
    layers = (first, hidden, *base.layers)
    names = ("x0", "x1", "x2")
    return FloatModel(
        name="silent", layers=layers, input_names=names, input_units=("",) * 3,
        output_names=("y0", "y1"), output_units=("",) * 2,
    )  # fmt: skip


def noise(model, integer, xs):
    codes = integer.interface().quantize(xs)
    ys, _ = run(model, xs[None])
    got = Reference(integer).run(codes)[0] * integer.output.scale
    return float(np.sqrt(np.mean(np.square(got - ys[0]))) / np.std(ys[0]))


XS = stream(600, 3)


def test_a_steep_unit_that_never_fires_is_left_out_and_told():
    model = network(steep=400.0, bias=-4000.0)
    with pytest.warns(CalibrationWarning, match=r"1 of 6 that never do .* \(2\)"):
        integer = quantize(model, XS, "w8a16")
    weights = integer.layers[1].out.terms[0].weights
    assert not weights[2].any()
    assert all(weights[row].any() for row in (0, 1, 3, 4, 5))
    # As near as without this unit.
    plain = network(steep=0.0, bias=0.0)
    assert noise(model, integer, XS) < 1.1 * noise(plain, quantize(plain, XS, "w8a16"), XS) + 1e-4


@pytest.mark.filterwarnings("error")
def test_a_unit_that_fires_or_is_not_steep_is_kept():
    for steep, bias in ((0.5, -30.0), (4.0, -1.0)):
        model = network(steep, bias)
        integer = quantize(model, XS, "w8a16")
        assert integer.layers[1].out.terms[0].weights[2].any()
