"""The quantizer at the edges: outputs that hardly move, useless or diverging streams, odd options.

Whatever it is given it either makes a model that is proven safe, or says what is wrong.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import CalibrationError, OverflowRefused, QuantizationError, ShapeError
from edgernn_export.calibration.statistics import calibrate
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.overflow_proof import prove
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream

PRECISIONS = ("w8a8", "w8a16")
NARROW_TAIL = ((4, "relu"), (1, "tanh"), (3, "sigmoid"), (2, "relu"))
REPOSITORY = Path(__file__).parents[3]


def last_layer(model: FloatModel, **changes: Any) -> FloatModel:
    """The model with other values in its last layer."""
    last = dataclasses.replace(model.layers[-1], **changes)
    return dataclasses.replace(model, layers=(*model.layers[:-1], last))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_a_narrow_dense_tail_is_quantized_not_refused(cell: str, precision: str) -> None:
    """Its outputs move by less than an operand code could: the scale stays safe instead."""
    model, xs = float_model(cell, dense=NARROW_TAIL), stream(600, 3)
    integer = quantize(model, xs, precision, progress=False)
    assert all(proof.headroom_bits > 0 for proof in prove(integer))
    interface = integer.interface()
    q_ys, _ = Reference(integer).run(interface.quantize(xs))
    truth = run(model, xs[None])[0][0]
    assert np.abs(interface.dequantize(q_ys) - truth).max() < 0.05 * np.abs(truth).max()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_one_or_two_calibration_steps_are_enough_to_be_safe(
    cell: str, steps: int, precision: str
) -> None:
    integer = quantize(float_model(cell), stream(600, 3)[5 : 5 + steps], precision, progress=False)
    assert all(proof.headroom_bits > 0 for proof in prove(integer))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e-300, 1e-310])
def test_weights_without_effect_are_quantized(size: float, precision: str) -> None:
    model = float_model("gru_before")
    faint = dataclasses.replace(
        model,
        layers=tuple(dataclasses.replace(x, kernel=x.kernel * size) for x in model.layers),
    )
    integer = quantize(faint, stream(100, 3), precision, progress=False)
    assert all(proof.headroom_bits > 0 for proof in prove(integer))


@pytest.mark.filterwarnings("ignore:calibration. expected every channel to vary")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_output_that_is_always_zero_is_refused(precision: str) -> None:
    model = float_model("simple_rnn")
    silent = dataclasses.replace(
        model, layers=tuple(dataclasses.replace(x, bias=x.bias * 0.0) for x in model.layers)
    )
    with pytest.raises(CalibrationError, match=r"dense_0: .* got zero at every step \(unit 0\)"):
        quantize(silent, np.zeros((50, 3)), precision, progress=False)
    cut = last_layer(silent, kernel=silent.layers[-1].kernel * 0.0)
    assert quantize(cut, np.zeros((50, 3)), precision, progress=False).output.width == 2


def test_a_diverging_float_model_is_refused_by_layer_and_tensor() -> None:
    model = float_model("simple_rnn_relu")
    first = model.layers[0]
    loud = dataclasses.replace(first, kernel=first.kernel * 1e200)
    diverging = dataclasses.replace(model, layers=(loud, *model.layers[1:]))
    with pytest.raises(CalibrationError, match=r"_0\.h: expected finite values .* diverges"):
        quantize(diverging, stream(50, 3) * 1e200, progress=False)


@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_calibration_keeps_no_tensor_the_quantizer_does_not_read(cell: str) -> None:
    kept = {name for _, name in calibrate(float_model(cell), [stream(20, 3)[None]])}
    assert {"x", "h_in", "h", "y"} <= kept <= {"x", "h_in", "r*h", "keep", "h", "c", "y"}


def test_same_bytes_in_other_processes_with_other_threads_and_hash_seeds() -> None:
    """BLAS sums in another order with another number of threads."""
    program = (
        "import dataclasses, numpy as np\n"
        "from tests.support.models.float import float_model, stream\n"
        "from edgernn_export.quantizer.quantizer import quantize\n"
        "model = float_model('lstm', inputs=64, units=256, dense=((8, 'relu'),), outputs=4)\n"
        # The helper's orthogonal matrices themselves depend on the number of threads.
        "plain = np.random.default_rng(0).normal(size=(1024, 256)) / 16\n"
        "first = dataclasses.replace(model.layers[0], recurrent=plain)\n"
        "model = dataclasses.replace(model, layers=(first, *model.layers[1:]))\n"
        "print(quantize(model, stream(300, 64), progress=False).sha256)\n"
    )
    made = set()
    for setting in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
        path = os.pathsep.join([str(REPOSITORY), *sys.path])
        environment = os.environ | dict.fromkeys(names, setting) | {"PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        made.add(done.stdout)
    assert len(made) == 1
    scale = quantize(float_model("lstm"), stream(300, 3), progress=False).output.scale
    assert np.array_equal(scale, scale.astype(np.float32))


def test_the_worst_unit_of_a_report_is_one_that_moves() -> None:
    model = float_model("gru_after", outputs=3)
    kernel = np.array(model.layers[-1].kernel)
    kernel[1] = 0.0
    still = last_layer(model, kernel=kernel, bias=np.array([0.1, 0.3, -0.2]))
    integer = quantize(still, stream(500, 3), progress=False)
    output = quantization_report(still, integer, stream(300, 3, seed=4)).tensors[-1]
    assert output.worst_unit != 1
    assert 10.0 < output.worst_unit_sqnr_db < output.sqnr_db + 0.5


def test_noise_without_signal_is_minus_infinity_and_null_in_json() -> None:
    model = float_model("lstm")
    integer = quantize(model, stream(500, 3), progress=False)
    report = quantization_report(model, integer, stream(500, 3)[7:8])
    assert report.tensors[-1].sqnr_db == -np.inf
    assert '"sqnr_db": null' in report.to_json()


def test_a_row_too_steep_for_w8a16_names_the_code_it_would_reach() -> None:
    model = float_model("simple_rnn")
    first = model.layers[0]
    steep = dataclasses.replace(first, kernel=first.kernel * 1e4)
    model = dataclasses.replace(model, layers=(steep, *model.layers[1:]))
    with pytest.raises(OverflowRefused, match=r"127 steps of 2\^-3 .* output code -?\d"):
        quantize(model, stream(50, 3), "w8a16", progress=False)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"common_loss_db": float("nan")}, QuantizationError, "finite number >= 0, got nan"),
        ({"common_loss_db": -1.0}, QuantizationError, "finite number >= 0, got -1.0"),
        ({"common_loss_db": "1"}, QuantizationError, "finite number >= 0, got '1'"),
        ({"seeds": {"training": 1}}, QuantizationError, "pairs of .* got 'training'"),
        ({"seeds": [("training", 1.5)]}, QuantizationError, r"got \('training', 1.5\)"),
        ({"input_names": "abc"}, ShapeError, "input_names: expected 3 strings, got 'abc'"),
    ],
)
def test_odd_options_are_refused(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        quantize(float_model("lstm"), stream(50, 3), progress=False, **options)


def test_complex_streams_are_refused() -> None:
    with pytest.raises(CalibrationError, match="expected numbers, got complex128 values"):
        quantize(float_model("lstm"), stream(50, 3) + 1j, progress=False)
