"""The quantizer against the float model: accuracy, invariants, refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgernn.errors import CalibrationError, OverflowRefused, QuantizationError
from edgernn.model.affine import Affine8, Affine16, Source
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import LSTM, Dense, SimpleRNN
from edgernn_export.calibration.ranges import RangeMethod, input_range
from edgernn_export.calibration.statistics import calibrate
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatLSTM, FloatModel
from edgernn_export.quantizer.layers import layer_names
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream

#: Lowest signal-to-quantization-noise ratio accepted per precision, in dB, with 5 dB of room
#: below what was measured; 8-bit weights bound both.
FLOOR_DB = {"w8a8": 22.0, "w8a16": 30.0}


def integer_run(model: IntegerModel, xs: FloatArray) -> FloatArray:
    interface = model.interface()
    q_ys, _ = Reference(model).run(interface.quantize(xs))
    return interface.dequantize(q_ys)


def float_run(model: FloatModel, xs: FloatArray) -> FloatArray:
    return run(model, xs[None])[0][0]


def sqnr_db(truth: FloatArray, other: FloatArray) -> float:
    signal = np.square(truth - truth.mean(axis=0)).mean()
    return float(10 * np.log10(signal / np.square(truth - other).mean()))


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("scales", ["auto", "common", "separate"])
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_follows_the_float_model(cell: str, scales: str, precision: str) -> None:
    model = float_model(cell)
    integer = quantize(model, stream(2000, 3), precision, operand_scales=scales, progress=False)
    xs = stream(500, 3, seed=2)
    assert sqnr_db(float_run(model, xs), integer_run(integer, xs)) > FLOOR_DB[precision]


@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_wider_operands_lose_less(cell: str) -> None:
    model, calibration = float_model(cell), stream(2000, 3)
    xs = stream(500, 3, seed=2)
    truth = float_run(model, xs)
    narrow, wide = (
        sqnr_db(truth, integer_run(quantize(model, calibration, p, progress=False), xs))
        for p in ("w8a8", "w8a16")
    )
    assert wide > narrow


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_dense_chain_stack_and_hard_sigmoid(precision: str) -> None:
    model = float_model(
        "gru_after",
        stack=3,
        gate="hard_sigmoid",
        dense=((12, "relu"), (9, "tanh"), (7, "sigmoid"), (6, "linear")),
    )
    integer = quantize(model, stream(2000, 3), precision, progress=False)
    assert [layer.kind for layer in integer.layers] == ["gru_after"] * 3 + ["dense"] * 5
    xs = stream(400, 3, seed=2)
    assert sqnr_db(float_run(model, xs), integer_run(integer, xs)) > 12.0


def test_common_scale_uses_one_product_and_separate_two() -> None:
    model, calibration = float_model("lstm"), stream(500, 3)
    for scales, sources in (("common", [Source.XH]), ("separate", [Source.X, Source.H])):
        integer = quantize(model, calibration, operand_scales=scales, progress=False)
        gates = integer.layers[0].affines["gates"]
        assert [term.source for term in gates.terms] == sources


def test_auto_scales_avoid_a_costly_common_scale() -> None:
    model = float_model("lstm")
    layer = model.layers[0]
    assert isinstance(layer, FloatLSTM)
    loud = dataclasses.replace(layer, kernel=layer.kernel * 10.0)
    model = dataclasses.replace(model, layers=(loud, *model.layers[1:]))
    gates = quantize(model, stream(500, 3), progress=False).layers[0].affines["gates"]
    assert [term.source for term in gates.terms] == [Source.X, Source.H]


@pytest.mark.filterwarnings("ignore::edgernn.LongMemoryWarning")  # a reading of 350 shuts gates
def test_per_channel_input_ranges_hold_the_calibration_data_with_headroom() -> None:
    xs = stream(800, 3) * [1.0, 100.0, 0.01] + [0.0, 350.0, -5.0]
    integer = quantize(float_model("gru_after"), xs, progress=False)
    codes = integer.interface().quantize(xs)
    assert codes.min(axis=0).tolist() == [-64] * 3
    assert codes.max(axis=0).tolist() == [64] * 3
    restored = codes * integer.input.scale + integer.input.offset
    assert np.all(np.abs(restored - xs) <= integer.input.scale * 0.5000001)


@pytest.mark.filterwarnings("ignore:calibration. expected every channel to vary")
def test_a_constant_channel_is_coded_exactly() -> None:
    xs = stream(300, 3)
    xs[:, 1] = 7.25
    integer = quantize(float_model("gru_after"), xs, progress=False)
    codes = integer.interface().quantize(xs)
    restored = codes * integer.input.scale + integer.input.offset
    assert np.allclose(restored[:, 1], 7.25, atol=1e-12)


@pytest.mark.filterwarnings("ignore:calibration. expected every channel to vary")
@pytest.mark.filterwarnings("ignore::edgernn.LongMemoryWarning")  # it never forgets
@pytest.mark.parametrize(("drive", "exponent"), [(0.2, 14), (4.0, 12), (24.0, 10)])
def test_cell_exponent_follows_the_observed_range(drive: float, exponent: int) -> None:
    """An integrating cell: forget and input gates open, c grows to a known size."""
    units = 2
    kernel = np.zeros((4 * units, 1))
    kernel[2 * units : 3 * units] = 3.0
    bias = np.repeat([20.0, 20.0, 0.0, 0.0], units)
    layer = FloatLSTM(
        name="lstm",
        kernel=kernel,
        recurrent=np.zeros((4 * units, units)),
        bias=bias,
        recurrent_activation="sigmoid",
    )
    model = dataclasses.replace(
        float_model("lstm", inputs=1, units=units, outputs=0), layers=(layer,)
    )
    xs = np.full((int(np.ceil(drive / np.tanh(3.0))), 1), min(drive, 1.0))
    integer = quantize(model, xs, state="16", progress=False)
    lstm = integer.layers[0]
    assert isinstance(lstm, LSTM)
    assert lstm.cell_exponent == exponent


def test_relu_state_beyond_its_range_is_reported() -> None:
    model = float_model("simple_rnn_relu", seed=3)
    integer = quantize(model, stream(400, 3) * 0.05, progress=False)
    assert isinstance(integer.layers[0], SimpleRNN)
    report = quantization_report(model, integer, stream(400, 3) * 50.0)
    hidden = next(t for t in report.tensors if t.name.endswith(".h"))
    assert hidden.clip_rate > 0.0
    assert max(report.input_clip_rate) > 0.1


def test_report_agrees_with_a_direct_comparison() -> None:
    model, xs = float_model("lstm"), stream(300, 3, seed=5)
    integer = quantize(model, stream(1000, 3), progress=False)
    report = quantization_report(model, integer, xs)
    direct = sqnr_db(float_run(model, xs), integer_run(integer, xs))
    output = next(t for t in report.tensors if t.name == "dense_0.out")
    assert output.sqnr_db == pytest.approx(direct, abs=0.3)
    assert "overflow proof: 2 affine maps safe" in report.table()
    assert '"steps": 300' in report.to_json()


def test_softmax_logits_share_one_scale_and_regression_outputs_do_not() -> None:
    calibration = stream(300, 3)
    logits = float_model("gru_after", final_activation="softmax", outputs=4)
    assert len(set(quantize(logits, calibration, progress=False).output.scale)) == 1
    plain = float_model("gru_after", outputs=4)
    assert len(set(quantize(plain, calibration, progress=False).output.scale)) == 4


def test_same_input_same_model_and_other_calibration_other_hash() -> None:
    model = float_model("gru_before")
    a = quantize(model, stream(300, 3), progress=False)
    b = quantize(model, stream(300, 3), progress=False)
    c = quantize(model, stream(300, 3, seed=9), progress=False)
    assert a == b
    assert a.sha256 == b.sha256 != c.sha256
    assert a.provenance.calibration_sha256 != c.provenance.calibration_sha256
    assert a.provenance.float_model_sha256 == model.sha256


@pytest.mark.filterwarnings("ignore::edgernn.SaturationWarning")
@pytest.mark.filterwarnings("ignore::edgernn.DepartureWarning")  # of a range for one outlier
def test_percentile_range_ignores_one_outlier() -> None:
    xs = stream(20_000, 3)
    xs[1234, 0] = 500.0
    spans = {
        method: 254 * float(quantize(float_model("gru_after"), xs, range_method=method,
                                     progress=False).input.scale[0])
        for method in ("minmax", "percentile")
    }  # fmt: skip
    assert spans["minmax"] > 500
    assert spans["percentile"] < 50


def test_mse_range_codes_with_less_error_than_minmax() -> None:
    xs = stream(4000, 3)
    stats = calibrate(float_model("gru_after"), [xs[None]], spread=True)[0, "x"]
    errors = {}
    for method in (RangeMethod.MINMAX, RangeMethod.MSE):
        low, high = input_range(stats, method, levels=7)
        scale, offset = (high - low) / 14, (high + low) / 2
        codes = np.clip(np.rint((xs - offset) / scale), -7, 7)
        errors[method] = np.square(codes * scale + offset - xs).mean()
    assert errors[RangeMethod.MSE] < 0.9 * errors[RangeMethod.MINMAX]


def test_calibration_carries_state_through_the_whole_stream() -> None:
    """A slow integrator reaches its range only when state is never reset."""
    model = float_model("lstm", inputs=1, units=4)
    long = stream(600, 1)
    whole = calibrate(model, [long[None]])[0, "c"].limit
    seen = np.zeros(0)
    state = None
    for t in range(600):
        _, state = run(model, long[None, t : t + 1], state)
        seen = np.append(seen, np.abs(state[0][1]).max())
    assert whole == pytest.approx(float(seen.max()))


def test_streams_of_many_shapes_give_the_same_statistics() -> None:
    model, xs = float_model("gru_after"), stream(400, 3)
    one = quantize(model, xs, progress=False)
    assert quantize(model, xs[None], progress=False) == one
    assert quantize(model, [xs], progress=False) == one
    pair = quantize(model, [xs, xs[:100]], progress=False)
    assert pair.input == one.input


@pytest.mark.parametrize(
    ("calibration", "text"),
    [
        (np.zeros((0, 3)), "expected non-empty"),
        (np.zeros((5, 2)), r"\[T, 3\]"),
        (np.full((5, 3), np.nan), "got 15 NaN or infinite"),
        ([["a", "b", "c"]], "expected numbers"),
    ],
)
def test_bad_calibration_is_refused(calibration: object, text: str) -> None:
    with pytest.raises(CalibrationError, match=text):
        quantize(float_model("lstm"), calibration, progress=False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"precision": "w2a8"}, "expected one of 'w8a8', 'w8a16', 'w4a8', 'w4a16', got 'w2a8'"),
        ({"precision": None}, "quantize precision: expected one of .*, got None"),
        ({"weight_bits": {"gru": 4}}, "weight_bits: expected names among .*, got 'gru'"),
        ({"weight_bits": 4}, "weight_bits: expected a mapping of layer names to 8 or 4, got 4"),
        ({"sparse": "yes"}, "sparse: expected one of 'auto', 'never', 'always', got 'yes'"),
        ({"sparse": True}, "sparse: expected one of 'auto', 'never', 'always', got True"),
        (
            {"precision": "w4a8", "sparse": "always"},
            "sparse: expected a layer with 8-bit weights .* Pass sparse='auto', or set",
        ),
        ({"range_method": "entropy"}, "expected one of 'minmax', 'percentile', 'mse'"),
        ({"operand_scales": "both"}, "expected one of 'auto', 'common', 'separate'"),
    ],
)
def test_unknown_choices_are_refused(options: dict[str, str], text: str) -> None:
    with pytest.raises(QuantizationError, match=text):
        quantize(float_model("lstm"), stream(50, 3), progress=False, **options)


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_a_row_that_could_overflow_is_refused_with_its_input(precision: str) -> None:
    model = float_model("simple_rnn", gain=1.0)
    layer = model.layers[0]
    huge = dataclasses.replace(layer, kernel=layer.kernel * 1e7)
    model = dataclasses.replace(model, layers=(huge, *model.layers[1:]))
    with pytest.raises(OverflowRefused, match=r"simple_rnn_0.gates.* row \d+ for operand codes"):
        quantize(model, stream(50, 3), precision, progress=False)


# Gates that stand fully open or closed, and sums of large parts that cancel.
@pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")
def test_hostile_weights_pick_a_safe_multiplier() -> None:
    for cell in FLOAT_CELLS:
        for precision in ("w8a8", "w8a16"):
            model = float_model(cell, gain=8.0, inputs=16)
            integer = quantize(model, stream(300, 16), precision, progress=False)
            for layer in integer.layers:
                for affine in layer.affines.values():
                    assert isinstance(affine, (Affine8, Affine16))


def test_layer_names_are_made_distinct_and_legal() -> None:
    a = float_model("lstm", stack=2)
    renamed = tuple(dataclasses.replace(layer, name="my layer/1") for layer in a.layers)
    assert layer_names(renamed) == ["my_layer_1", "my_layer_1_1", "my_layer_1_2"]


def test_last_dense_with_bounded_activation_has_unit_scale() -> None:
    model = float_model("lstm", outputs=0, dense=((2, "sigmoid"), (0, "linear")))
    integer = quantize(model, stream(300, 3), progress=False)
    assert isinstance(integer.layers[-1], Dense)
    assert integer.output.scale.tolist() == [2.0**-15] * 2


@pytest.mark.parametrize(
    ("progress", "terminal", "drawn"),
    [(None, False, False), (None, True, True), (True, False, True), (False, True, False)],
)
def test_a_bar_is_drawn_for_somebody_who_sees_it(progress, terminal, drawn, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    quantize(float_model("simple_rnn"), stream(2500, 3), progress=progress)
    assert ("calibrating" in capsys.readouterr().err) == drawn
