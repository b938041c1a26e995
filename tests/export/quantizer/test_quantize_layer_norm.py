"""Layer normalization, quantized: close to the float network, with room where it needs some."""

import numpy as np
import pytest

from edgernn.errors import CalibrationError, QuantizationError
from edgernn_export.float_model.model import FloatDense, FloatGRU, FloatLayerNorm, FloatModel
from edgernn_export.guards.saturation import saturations
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_export.quantizer.sensitivity import scan
from tests.export.quantizer.test_quantize_activations import decibel, streams

#: Least signal-to-noise ratio in dB of these random networks.
LEAST = {"w8a8": 20.0, "w8a16": 38.0}


def norm(name, units, *, gain=None, offset=None, epsilon=1e-3):
    rng = np.random.default_rng(len(name))
    return FloatLayerNorm(
        name=name,
        gain=rng.uniform(0.5, 1.5, units) if gain is None else np.array(gain),
        offset=rng.normal(0.0, 0.3, units) if offset is None else np.array(offset),
        epsilon=epsilon,
    )


def gru(name, inputs, units):
    rng = np.random.default_rng(units)
    return FloatGRU(
        name=name,
        kernel=rng.normal(0.0, inputs**-0.5, (3 * units, inputs)),
        recurrent=rng.normal(0.0, 0.5 * units**-0.5, (3 * units, units)),
        bias=rng.normal(0.0, 0.2, 3 * units),
        recurrent_bias=np.zeros(3 * units),
        reset_after=True,
        recurrent_activation="sigmoid",
    )


def dense(name, inputs, units, gain=1.0):
    kernel = gain * np.random.default_rng(inputs + units).normal(size=(units, inputs))
    return FloatDense(name=name, kernel=kernel, bias=np.zeros(units))


def network(*layers, inputs=3):
    outputs = layers[-1].units
    return FloatModel(
        name="net",
        layers=layers,
        input_names=tuple(f"x{i}" for i in range(inputs)),
        input_units=("",) * inputs,
        output_names=tuple(f"y{i}" for i in range(outputs)),
        output_units=("",) * outputs,
    )


def usual(last=True):
    layers = [dense("in", 3, 10), norm("before", 10), gru("gru", 10, 8), norm("behind", 8)]
    return network(*layers, *([dense("out", 8, 2)] * last))


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("last", [True, False])
def test_networks_are_close(precision, last):
    model = usual(last)
    found, integer = decibel(model, precision, streams())
    assert found > LEAST[precision]
    tensors = {
        tensor.name: tensor for tensor in quantization_report(model, integer, streams()).tensors
    }
    assert {"before.y", "behind.y"} <= set(tensors)
    assert all(tensors[name].sqnr_db > LEAST[precision] for name in ("before.y", "behind.y"))
    if not last:  # nothing but the output reads it: each unit has a scale
        assert np.ptp(integer.output.scale) > 0.0


@pytest.mark.parametrize("precision", LEAST)
def test_a_sum_of_large_parts_has_room(precision):
    """Gains and offsets that cancel: the result is small, its parts are not."""
    layers = [dense("in", 3, 2), norm("n", 2, gain=[4.0, 4.0], offset=[-4.0, 4.0], epsilon=1e-6)]
    model = network(*layers, gru("gru", 2, 4))
    xs = np.abs(streams()) * np.array([1.0, 0.2, 0.1])
    integer = quantize(model, xs, precision, progress=False)
    assert saturations(integer, [xs]) == ()


def test_what_a_row_reaches_at_most_bounds_its_scale():
    """Of two features, normalized ones are 1 and -1."""
    layers = [dense("in", 3, 2), norm("n", 2, gain=[1.0, 1.0], offset=[0.0, 0.0])]
    integer = quantize(network(*layers, gru("gru", 2, 4)), streams(), "w8a8", progress=False)
    assert 32767 * integer.layers[1].output_scale < 1.05


def test_sensitivity_takes_the_layers_without_weights():
    found, _ = scan(usual(), streams(steps=300), progress=False)
    assert [cost.layer for cost in found.layers] == ["in", "gru", "out"]


def test_an_epsilon_beyond_all_values_is_refused():
    model = network(dense("in", 3, 4, gain=1e-4), norm("n", 4, epsilon=10.0), gru("gru", 4, 4))
    with pytest.raises(CalibrationError, match=r"n: .* Use a smaller epsilon"):
        quantize(model, streams(), progress=False)


def test_silent_rows_are_named():
    still = FloatDense(name="still", kernel=np.zeros((4, 3)), bias=np.zeros(4))
    model = network(still, norm("n", 4, offset=[0.0] * 4), gru("gru", 4, 4))
    with pytest.raises(CalibrationError, match="expected values that change during calibration"):
        quantize(model, streams(), progress=False)


def test_the_input_itself_is_refused():
    model = network(norm("n", 3), gru("gru", 3, 4))
    with pytest.raises(QuantizationError, match="n: expected a layer before it"):
        quantize(model, streams(), progress=False)
