"""Modules of PyTorch, quantized: one answer everywhere, 0 LSB."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.torch_reader.reader import read_torch
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.exactness.twin_comparison import compare
from tests.support.models.torch_modules import (
    INPUTS,
    LOOPS,
    LearnedStart,
    Normalized,
    Recurrent,
    Residual,
)
from tests.support.native.models_everywhere import assert_host_bits, assert_native_bits
from tests.support.runtimes import RUNTIMES
from tests.support.runtimes import require as require_runtimes

#: Small models keep 8 bits where 4 would make the file larger.
pytestmark = pytest.mark.filterwarnings("ignore::edgernn.errors.WeightBitsWarning")

MODULES = {
    f"{kind} {layers}": functools.partial(Recurrent, kind, layers, batch_first=True)
    for kind in ("LSTM", "GRU", "RNN")
    for layers in (1, 2, 3)
} | {
    "projected LSTM": functools.partial(Recurrent, "LSTM", 2, proj_size=2, batch_first=True),
    "GRU without bias": functools.partial(Recurrent, "GRU", bias=False, batch_first=True),
    "residual": Residual,
    "learned start": LearnedStart,
    "normalized": Normalized,
    **LOOPS,
}
CHOSEN = ("LSTM 2", "normalized", "reset before")
STEPS, STREAMS = 100, 20
XS = np.random.default_rng(7).normal(size=(30, 60, INPUTS))


@functools.cache
def quantized(name, precision):
    torch.manual_seed(3)
    network = read_torch(MODULES[name](), torch.zeros(2, 4, INPUTS))
    return quantize(network, XS, precision, stream="endless", progress=False)


def models(names, precisions):
    plain = {name: name.replace(" ", "_").replace(",", "") for name in names}
    return {f"{plain[n]}-{p}": quantized(n, p) for n in names for p in precisions}


ALL = pytest.mark.parametrize(
    ("names", "precisions"),
    [
        pytest.param(CHOSEN, ("w8a8",), id="chosen"),
        pytest.param(tuple(MODULES), ("w8a8", "w8a16", "w4a8"), id="all", marks=pytest.mark.long),
    ],
)


@ALL
def test_the_twin(names, precisions):
    for index, model in enumerate(models(names, precisions).values()):
        assert compare(model, streams=2, steps=STEPS, seed=index)[0] >= 2 * STEPS * 5


@ALL
def test_tflite(names, precisions, tmp_path):
    require_runtimes(*RUNTIMES)
    made = models(names, precisions)
    assert test_zero_lsb_tflite.compare(made, tmp_path, STEPS) >= len(made) * STEPS * 5


@ALL
def test_onnx(names, precisions, tmp_path):
    made = models(names, precisions)
    compared = test_zero_lsb_onnx.compare(made, tmp_path, {"all": STEPS, "disabled": 5})
    assert compared >= len(made) * STEPS * 5


@ALL
def test_native(names, precisions):
    assert_native_bits(models(names, precisions), STEPS)


@ALL
def test_c_on_the_host(names, precisions, tmp_path):
    assert_host_bits(models(names, precisions), tmp_path, STEPS, STREAMS)
