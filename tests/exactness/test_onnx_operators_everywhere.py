"""Recurrent operators of ONNX with all attributes, and loops: one answer everywhere, 0 LSB."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

from edgernn.errors import EdgeRnnWarning
from edgernn_export.float_model.float_run import run as float_run
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.exactness.twin.cells import Twin
from tests.exactness.twin_comparison import compare
from tests.support.models.grid import reference_stream
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_codes
from tests.support.models.onnx_loops import (
    gru_step,
    loop_file,
    lstm_step,
    scan_file,
    sequences_of_matlab,
)
from tests.support.models.onnx_recurrent import OPERATORS, of_operator
from tests.support.native.models_everywhere import assert_host_bits, assert_native_bits
from tests.support.runtimes import RUNTIMES
from tests.support.runtimes import require as require_runtimes

#: Cells in loops, by what they are, and layers in the layout of MATLAB.
LOOPS = {
    "GRU in a Loop": lambda draw: loop_file(gru_step(draw, units=6)),
    "LSTM in a Scan": lambda draw: scan_file(lstm_step(draw, units=6), streams=1),
    "layers as of MATLAB": lambda draw: sequences_of_matlab(draw, units=6),
}
#: One of each cell, of each function that ONNX alone has, and of each way to fold one.
CHOSEN = (
    "ScaledTanh RNN",
    "clipped RNN",
    "clipped coupled LSTM",
    "LSTM of three functions",
    "coupled LSTM of hard gates with peepholes",
    "clipped GRU after",
    "affine GRU before",
    "begun LSTM with peepholes",
    "begun GRU",
    *LOOPS,
)
STEPS, STREAMS = 100, 20
XS = np.random.default_rng(7).normal(size=(30, 60, 3)).astype(np.float64)


@functools.cache
def quantized(name, precision="w8a8"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeRnnWarning)  # last states left out; kinds of streams
        draw = np.random.default_rng(4)
        network = read_onnx(LOOPS[name](draw) if name in LOOPS else of_operator(name, 3, 6))
        return network, quantize(network, XS, precision, progress=False)


def models(names, precisions):
    return {
        f"{name.replace(' ', '_')}-{precision}": quantized(name, precision)[1]
        for name in names
        for precision in precisions
    }


ALL = pytest.mark.parametrize(
    ("names", "precisions"),
    [
        pytest.param(CHOSEN, ("w8a8",), id="chosen"),
        pytest.param(
            (*OPERATORS, *LOOPS), ("w8a8", "w8a16", "w4a8"), id="all", marks=pytest.mark.long
        ),
    ],
)


@ALL
def test_the_twin(names, precisions):
    for index, model in enumerate(models(names, precisions).values()):
        assert compare(model, streams=2, steps=STEPS, seed=index)[0] >= 2 * STEPS * 12


@ALL
def test_states_begin_alike(names, precisions):
    """Streams from the first reading: the twin, and the model that a file holds."""
    begun = 0
    for model in models(names, precisions).values():
        codes = random_codes(model, 20)
        ys, _ = Twin(model).run(codes.tolist())
        wanted = reference_stream(model, codes)
        np.testing.assert_array_equal(ys, wanted["y"])
        begun += any(spec.start for spec in model.states)
    assert begun >= 2


@ALL
def test_tflite(names, precisions, tmp_path):
    require_runtimes(*RUNTIMES)
    made = models(names, precisions)
    assert test_zero_lsb_tflite.compare(made, tmp_path, STEPS) >= len(made) * STEPS * 12


@ALL
def test_onnx(names, precisions, tmp_path):
    made = models(names, precisions)
    compared = test_zero_lsb_onnx.compare(made, tmp_path, {"all": STEPS, "disabled": 5})
    assert compared >= len(made) * STEPS * 12


@ALL
def test_native(names, precisions):
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    assert_native_bits(models(names, precisions), STEPS)


@ALL
def test_c_on_the_host(names, precisions, tmp_path):
    assert_host_bits(models(names, precisions), tmp_path, STEPS, STREAMS)


@ALL
def test_they_are_as_good_as_the_float_network(names, precisions):
    """On fresh streams: w8a16 within 2 % of what the float answers vary, w8a8 within 6 %."""
    xs = np.random.default_rng(8).normal(size=(10, 60, 3))
    for name in names:
        for precision in set(precisions) - {"w4a8"}:
            network, model = quantized(name, precision)
            wanted = float_run(network, xs)[0]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", EdgeRnnWarning)
                got = answers(model, xs)
            error = np.sqrt(np.mean((got - wanted) ** 2)) / wanted.std()
            assert error < {"w8a8": 0.06, "w8a16": 0.02}[precision], (name, precision)


def answers(model, xs):
    """Real outputs of the reference for streams [B, T, I]."""
    import edgernn

    found = []
    for stream in xs:
        with edgernn.load(model, backend="reference") as session:
            found.append(session.run(stream))
    return np.stack(found)


@pytest.mark.long
@pytest.mark.parametrize("name", ["begun LSTM", "begun LSTM with peepholes", "clipped LSTM"])
def test_on_a_core(name, tmp_path):
    model = quantized(name)[1]
    codes = probe_codes(model, 30, seed=5)
    files = write_c(model, golden_vector(model))
    result = emulate(model, files, core_named("cortex-m4"), codes, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
