"""Cells and layers of any functions, quantized: close to the float network, and named where not."""

import numpy as np
import pytest

from edgernn.errors import CalibrationError, QuantizationError, RangeRefused
from edgernn_export.float_model.cell_plans import weight_shapes
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDense,
    FloatModel,
    FloatPointwise,
    FloatPReLU,
)
from edgernn_export.guards.saturation import saturations
from edgernn_export.quantizer.overflow_proof import prove
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference

pytestmark = pytest.mark.sampled(2)

KINDS = ("general_lstm", "general_gru_before", "general_gru_after", "general_rnn")
FUNCTIONS = ("relu", "silu", "softsign", "elu", "linear", "hard_tanh", "gelu", "softplus",
             "relu(max_value=2.0)")  # fmt: skip
#: Least signal-to-noise ratio in dB of these random networks.
LEAST = {"w8a8": 20.0, "w8a16": 40.0}


def float_cell(kind, function, gate="sigmoid", units=12, inputs=3, gain=0.5, seed=0):
    """A cell with random weights, whose state stays small."""
    rng = np.random.default_rng(seed)
    options = {"cell_function": function}
    if kind != "general_rnn":
        options["gate_function"] = gate
    weights = {
        name: rng.normal(0.0, gain / np.sqrt(shape[-1]), shape)
        for name, shape in weight_shapes(kind, inputs, units, options).items()
    }
    return FloatCell.of(kind, "cell", options, weights)


def network(*layers, inputs=3, seed=1):
    """A chain of layers, a linear Dense of 2 outputs behind them."""
    kernel = np.random.default_rng(seed).normal(size=(2, layers[-1].units))
    return FloatModel(
        name="net",
        layers=(*layers, FloatDense(name="out", kernel=kernel, bias=np.zeros(2))),
        input_names=tuple(f"x{i}" for i in range(inputs)),
        input_units=("",) * inputs,
        output_names=("y0", "y1"),
        output_units=("", ""),
    )


def streams(steps=500, inputs=3, seed=2):
    """Smooth random streams, [2, T, I]."""
    noise = np.random.default_rng(seed).normal(size=(2, steps + 8, inputs))
    return np.stack([noise[:, k : k + steps] for k in range(9)]).mean(axis=0) * 2.0


def decibel(model, precision, xs):
    """How far the integer model's answers are from the float one's, and the model."""
    integer = quantize(model, xs, precision, progress=False)
    interface, reference = integer.interface(), Reference(integer)
    truth = run(model, xs)[0]
    got = [interface.dequantize(reference.run(interface.quantize(x))[0]) for x in xs]
    noise = np.square(np.array(got) - truth).sum()
    return 10.0 * np.log10(np.square(truth).sum() / noise), integer


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("kind", KINDS)
def test_cells_of_all_functions_are_close(kind, precision):
    for function in FUNCTIONS:
        found, integer = decibel(network(float_cell(kind, function)), precision, streams())
        assert found > LEAST[precision], (function, found)
        assert all(proof.headroom_bits > 0 for proof in prove(integer))


@pytest.mark.parametrize("gate", ["hard_sigmoid_keras2", "hard_tanh", "softsign", "tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_gates_of_other_functions_are_close(kind, gate):
    cell = float_cell(kind, "tanh", gate, gain=0.3)
    found, integer = decibel(network(cell), "w8a16", streams())
    assert found > 34.0
    # One less a gate that may be -1 is 2, which 15 fraction bits do not hold.
    symmetric = gate in ("hard_tanh", "softsign", "tanh") and kind != "general_lstm"
    assert integer.layers[0].gate_exponent == 15 or symmetric or gate == "relu"


@pytest.mark.parametrize("factor", [3.0, 3.5, 4.0, 5.0])  # an octave, in which exponents change
def test_products_of_a_candidate_have_room(factor):
    xs = streams()
    cell = float_cell("general_gru_after", "silu")
    weights = {
        name: value * (factor if name == "n_x.x" else 1.0) for name, value in cell.by_name.items()
    }
    cell = FloatCell.of(cell.kind, cell.name, dict(cell.options), weights)
    assert saturations(quantize(network(cell), xs, "w8a16", progress=False), [xs]) == ()


def test_an_unbounded_state_has_the_room_that_calibration_asks_for():
    cell = float_cell("general_lstm", "relu")
    louder = np.repeat([1.0, 1.0, 40.0, 1.0], cell.units)[:, None]
    weights = {**cell.by_name, "gates.x": louder * cell.by_name["gates.x"]}
    weights["gates.h"] = 0.02 * weights["gates.h"]  # of a state 40 times as large
    large = FloatCell.of(cell.kind, "cell", dict(cell.options), weights)
    _, small = decibel(network(cell), "w8a8", streams())
    found, wide = decibel(network(large), "w8a8", streams())
    assert wide.layers[0].cell_exponent < small.layers[0].cell_exponent
    assert wide.layers[0].shown_exponent == wide.layers[0].cell_exponent
    assert found > 20.0


@pytest.mark.parametrize("precision", LEAST)
def test_layers_of_functions_are_close(precision):
    rng = np.random.default_rng(3)
    layers = [
        float_cell("general_rnn", "softsign", gain=1.5),
        FloatPointwise(name="silu", function="silu", units=12),
        FloatDense(name="dense", kernel=rng.normal(size=(8, 12)), bias=rng.normal(size=8)),
        FloatPReLU(name="prelu", slope=rng.uniform(-0.5, 1.5, size=8)),
        FloatDense(name="second", kernel=rng.normal(size=(5, 8)), bias=rng.normal(size=5)),
        FloatPointwise(name="leaky", function="relu(negative_slope=0.1)", units=5),
    ]
    found, integer = decibel(network(*layers), precision, streams())
    assert found > LEAST[precision]
    report = quantization_report(network(*layers), integer, streams(seed=5))
    assert [curve.name for curve in report.curves] == [
        "cell.cell_curve", "silu.curve", "leaky.curve"
    ]  # fmt: skip
    assert all(0.0 <= curve.error <= 8.0 for curve in report.curves)
    assert "table silu.curve: silu," in report.table()
    assert "prelu.y" in [tensor.name for tensor in report.tensors]


def test_a_slope_is_exact_to_the_bits_of_a_constant():
    """PReLU of values in codes: max(v, 0) + slope * min(v, 0), scaled, to 14 bits."""
    slope = np.array([0.25, -0.5, 1.0, 1.7, 0.0, 0.01])
    model = network(
        float_cell("general_rnn", "linear", units=6), FloatPReLU(name="prelu", slope=slope)
    )
    layer = quantize(model, streams(), "w8a16", progress=False).layers[1]
    codes = np.random.default_rng(0).integers(-32768, 32768, size=(1000, 6))
    scaled = [v.multiplier / 2.0**v.shift for v in (layer.negated, layer.positive, layer.negative)]
    assert (scaled[0] == -1.0).all()
    got = np.maximum(codes, 0) * scaled[1] + np.maximum(-codes, 0) * scaled[2]
    wanted = np.where(codes > 0, codes, slope * codes) * scaled[1]
    assert (np.abs(got - wanted) < 1.0 + 2.0**-14 * np.abs(codes) * scaled[1].max()).all()


def test_what_has_no_range_is_named():
    still = FloatDense(name="dense", kernel=np.zeros((4, 12)), bias=-np.ones(4))
    relu = FloatPointwise(name="flat", function="relu(threshold=3.0)", units=4)
    with pytest.raises(CalibrationError, match=r"flat: expected values that change"):
        quantize(network(float_cell("general_rnn", "tanh"), still, relu), streams(), progress=False)


def test_a_table_reads_values_of_one_scale():
    model = network(
        FloatPointwise(name="bent", function="silu", units=3), float_cell(KINDS[0], "tanh")
    )
    with pytest.raises(QuantizationError, match=r"bent: expected a layer before it"):
        quantize(model, streams() + 5.0, progress=False)
    with pytest.raises(QuantizationError, match=r"bent: expected values of one scale, got"):
        quantize(
            model, streams(), progress=False,
            input_range={"x0": (-1.0, 1.0), "x1": (-2.0, 2.0), "x2": (-3.0, 3.0)},
        )  # fmt: skip


def test_a_state_beyond_all_formats_is_refused_by_name():
    cell = float_cell("general_rnn", "linear", gain=2.2)
    with pytest.raises(RangeRefused, match=r"cell\.h: expected values within ±\d+ .*, got"):
        quantize(network(cell), streams(), "w8a8", progress=False)
