"""Networks from TFLite files: one answer everywhere, 0 LSB."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

from edgernn.errors import EdgeRnnWarning
from edgernn_export.float_model.float_run import run as float_run
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.tflite_reader import read_tflite
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.exactness.twin_comparison import compare
from tests.support.models.tflite_files import packed
from tests.support.models.tflite_networks import looped_tables, streamed_tables
from tests.support.native.models_everywhere import assert_host_bits, assert_native_bits
from tests.support.runtimes import RUNTIMES
from tests.support.runtimes import require as require_runtimes

NETWORKS = {"fused": (streamed_tables, 2), "loop": (looped_tables, 3)}
STEPS, STREAMS = 60, 5


@functools.cache
def quantized(name):
    tables, inputs = NETWORKS[name]
    network = read_tflite(packed(tables()))
    xs = np.random.default_rng(7).normal(size=(30, 60, inputs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeRnnWarning)  # windows of 5 steps as endless streams
        return network, quantize(network, xs, progress=False)


def models():
    return {name: quantized(name)[1] for name in NETWORKS}


def test_the_twin():
    for index, model in enumerate(models().values()):
        assert compare(model, streams=2, steps=STEPS, seed=index)[0] >= 2 * STEPS


def test_tflite(tmp_path):
    require_runtimes(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(models(), tmp_path, STEPS) >= 2 * STEPS


def test_onnx(tmp_path):
    modes = {"all": STEPS, "disabled": 5}
    assert test_zero_lsb_onnx.compare(models(), tmp_path, modes) >= 2 * STEPS


def test_native():
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    assert_native_bits(models(), STEPS)


def test_c_on_the_host(tmp_path):
    assert_host_bits(models(), tmp_path, STEPS, STREAMS)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_as_good_as_the_float_network(name):
    import edgernn

    network, model = quantized(name)
    xs = np.random.default_rng(8).normal(size=(60, NETWORKS[name][1]))
    wanted = float_run(network, xs[None])[0][0]
    with warnings.catch_warnings(), edgernn.load(model, backend="reference") as session:
        warnings.simplefilter("ignore", EdgeRnnWarning)
        got = session.run(xs)
    assert np.sqrt(np.mean((got - wanted) ** 2)) / wanted.std() < 0.06
