"""States that no format holds are refused; what saturates in calibration is said."""

from __future__ import annotations

import dataclasses
import re
import warnings
from typing import Any

import numpy as np
import pytest

from edgernn.cells.general.leaky_rnn import LeakyRNN
from edgernn.errors import QuantizationError, RangeRefused, SaturationWarning
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatGRU, FloatLayer, FloatModel
from edgernn_export.guards.saturation import PIECE_STEPS, pieces, saturations
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream
from tests.support.models.remembering import counter, network, reader, relu_average

PRECISIONS = ("w8a8", "w8a16")
#: An average of pressures this much larger leaves every format.
LARGE = float(1 << 16)
COUNT = np.r_[np.ones(400), -np.ones(800), np.ones(400)][:, None]


def pressure(swing: float = 200.0) -> FloatArray:
    """Air pressure in Pa."""
    return 101325.0 + swing * np.sin(np.arange(2000) / 50)[:, None]


def answers(model: FloatModel, xs: FloatArray, precision: str) -> tuple[FloatArray, FloatArray]:
    """Of the float network and of the integers."""
    integer = quantize(model, xs, precision, progress=False)
    interface = integer.interface()
    given = interface.dequantize(Reference(integer).run(interface.quantize(xs))[0])
    return run(model, xs[None])[0][0], given


@pytest.mark.parametrize("precision", [*PRECISIONS, "w4a8", "w4a16"])
def test_a_relu_state_beyond_every_format_is_refused(precision: str) -> None:
    text = r"average: expected a relu state of at most \d+ .* got 6\.\d+e\+09 in calibration"
    with pytest.raises(RangeRefused, match=text):
        quantize(network(relu_average(scale=LARGE)), pressure(), precision, progress=False)


@pytest.mark.filterwarnings("ignore:calibration. expected every channel to vary")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_cell_beyond_every_format_is_refused(precision: str) -> None:
    with pytest.raises(RangeRefused, match=r"lstm: expected a cell .* ±32767, got 35463\."):
        quantize(counter(), np.ones((40_000, 1)), precision, state="16", progress=False)


def test_all_states_are_refused_at_once_and_as_a_quantization_error() -> None:
    first = relu_average(scale=LARGE)
    second = dataclasses.replace(relu_average(), name="average_2")
    with pytest.raises(QuantizationError) as caught:
        quantize(network(first, second), pressure(), progress=False)
    assert isinstance(caught.value, RangeRefused)
    assert [reason.split(":")[0] for reason in caught.value.reasons] == ["average", "average_2"]
    assert all(reason in str(caught.value) for reason in caught.value.reasons)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("last", [False, True])
def test_the_cure_of_a_relu_state_keeps_the_function(last: bool, precision: str) -> None:
    """Divide kernel and bias, multiply where the state is read, or in a Dense added for it."""
    layers: tuple[FloatLayer, ...] = (relu_average(scale=LARGE),)
    if not last:
        layers = (*layers, reader(0.25))
    xs = pressure(swing=60_000.0)
    with pytest.raises(RangeRefused, match=r"Divide its kernel and bias by (\d+)") as caught:
        quantize(network(*layers), xs, precision, progress=False)
    factor = int(str(caught.value).split("bias by ")[1].split()[0])
    cured = network(relu_average(scale=LARGE / factor), reader(factor if last else 0.25 * factor))
    before = run(network(*layers), xs[None])[0][0]
    truth, given = answers(cured, xs, precision)
    assert np.allclose(truth, before, rtol=1e-12)
    assert np.abs(given - truth).max() < {"w8a8": 0.03, "w8a16": 0.003}[precision] * truth.max()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_the_coarsest_formats_hold_is_quantized(precision: str) -> None:
    xs = pressure(swing=3000.0) / 101325.0
    size = 15_000.0
    truth, given = answers(network(relu_average(scale=size)), xs, precision)
    assert truth.max() > 0.9 * size
    assert np.abs(given - truth).max() < 0.02 * truth.max()
    short = COUNT[:31] if precision == "w8a8" else COUNT[:30]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it counts for longer than it can, were it let
        truth, given = answers(counter(), short, precision)
    assert np.abs(given - truth).max() < 0.1


# ---------------------------------------------------------------- saturation


def found(model: FloatModel, xs: FloatArray, precision: str, **options: Any) -> list[str]:
    """What `quantize` warns of, as text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quantize(model, xs, precision, progress=False, **options)
    saturated = [w for w in caught if issubclass(w.category, SaturationWarning)]
    assert all(w.filename == __file__ for w in saturated)
    return [str(w.message) for w in saturated]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_output_that_a_percentile_cuts_is_said(precision: str) -> None:
    xs = stream(20_000, 1)
    xs[100, 0] = 500.0  # within the part of the stream that is looked at
    model, wide = network(relu_average(), reader(0.25)), {"input_range": [(-600.0, 600.0)]}
    texts = found(model, xs, precision, range_method="percentile", **wide)
    # A w8a8 output holds four times what the percentile saw.
    cut = ["average.gates"] if precision == "w8a8" else ["average.gates", "reader.out"]
    assert [t.split(":")[0] for t in texts] == cut
    assert all(re.search(r"got 0\.0\d% saturated\. Use range_method='minmax'", t) for t in texts)
    assert found(model, xs, precision, **wide) == []


def test_products_that_cancel_beyond_their_sum_are_said_and_the_cures_work() -> None:
    """In `w8a16` each of two products saturates before they are added (clause 5.3)."""
    model = float_model("simple_rnn", inputs=1, units=2, outputs=0)
    # The second unit is tanh(60 x - 120 h), h = tanh(x / 2) of the step before.
    layer = dataclasses.replace(
        model.layers[0],
        kernel=np.array([[0.5], [60.0]]),
        recurrent=np.array([[0.0, 0.0], [-120.0, 0.0]]),
        bias=np.zeros(2),
    )
    model = dataclasses.replace(model, layers=(layer,))
    xs = 0.7 * np.sin(np.arange(800) / 200)[:, None]
    separate = found(model, xs, "w8a16", operand_scales="separate")
    assert [t.split(":")[0] for t in separate] == ["simple_rnn_0.gates"]
    assert "Use operand_scales='common' or precision w8a8" in separate[0]
    assert found(model, xs, "w8a16", operand_scales="common") == []
    assert found(model, xs, "w8a8", operand_scales="separate") == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_candidate_whose_parts_cancel_is_said(precision: str) -> None:
    """a and r*d of clause 7.7 are two pre-activations, each within ±32."""
    model = float_model("gru_after", inputs=1, units=1, outputs=0)
    layer = model.layers[0]
    assert isinstance(layer, FloatGRU)
    # r is open: n = tanh(80 x - 80 h + 0.5), and h follows x at once.
    layer = dataclasses.replace(
        layer,
        kernel=np.array([[0.0], [0.0], [80.0]]),
        recurrent=np.array([[0.0], [0.0], [-80.0]]),
        bias=np.array([-3.0, 12.0, 0.5]),
        recurrent_bias=np.zeros(3),
    )
    xs = 0.95 * np.sin(np.arange(600) / 200)[:, None]
    texts = found(dataclasses.replace(model, layers=(layer,)), xs, precision)
    assert [t.split(":")[0] for t in texts] == ["gru_after_0.n"]
    assert "Train it with reset_after=False." in texts[0]


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru_after", "gru_before"])
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_gates_deep_in_their_flat_parts_are_no_alarm(cell: str, gate: str) -> None:
    model = float_model(cell, gate=gate)
    first = model.layers[0]
    loud = dataclasses.replace(first, kernel=first.kernel * 60.0, recurrent=first.recurrent * 0.1)
    model = dataclasses.replace(model, layers=(loud, *model.layers[1:]))
    xs = stream(400, 3) * 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        integer = quantize(model, xs, progress=False)
    assert saturations(integer, [xs[None]]) == ()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_wide_relu_state_that_stays_at_0_is_no_alarm(precision: str) -> None:
    model = float_model("simple_rnn_relu")
    first = model.layers[0]
    low = dataclasses.replace(first, bias=first.bias - np.array([6.0, *np.zeros(first.units - 1)]))
    model = dataclasses.replace(model, layers=(low, *model.layers[1:]))
    xs = stream(400, 3)
    integer = quantize(
        model, xs, precision, input_range=[(-40.0, 40.0)] * 3, state="32", progress=False
    )
    assert isinstance(integer.layers[0], LeakyRNN)
    assert saturations(integer, [xs[None]]) == ()
    assert "simple_rnn_relu_0.gates" in [s.tensor for s in saturations(integer, [10 * xs[None]])]


def test_the_part_looked_at_is_bounded_and_spread() -> None:
    one = np.arange(100_000.0)[None, :, None]
    (cut,) = pieces([one], products=1000)
    assert cut.shape[1:] == (PIECE_STEPS, 1)
    assert cut.size <= 1 << 13
    assert cut[0, 0, 0] == 0.0
    assert cut[-1, -1, 0] > 99_000
    windows = np.arange(60_000.0).reshape(1000, 60, 1)
    (cut,) = pieces([windows], products=1000)
    assert cut.shape == ((1 << 13) // 60, 60, 1)
    assert (cut[0, 0, 0], cut[-1, -1, 0]) == (0.0, 59_999.0)
    many = [np.zeros((1, 10 + i, 1)) for i in range(50)]
    assert [c.shape for c in pieces(many, 1000)] == [(1, 59 - i, 1) for i in range(4)]
    (cut,) = pieces([windows], products=10_000_000, windows=True)
    assert cut.shape == (1, 60, 1)
    (cut,) = pieces([one], products=10_000_000)
    assert cut.shape == (1, 26, 1)
    # A model that answers every 100 readings is looked at over as many answers.
    (cut,) = pieces([one], products=10_000_000, every=100)
    assert cut.shape == (1, 2600, 1)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_ordinary_networks_saturate_nothing(cell: str, precision: str) -> None:
    for seed in range(3):
        model = float_model(cell, seed=seed, stack=2)
        assert found(model, stream(600, 3, seed=seed), precision) == []
