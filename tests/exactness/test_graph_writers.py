"""Layers written operation by operation give the reference's bits, known to the product or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.onnx import writer as onnx_writer
from edgernn_export.writers.tflite import cells as tflite_cells
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.support.models.grid import reference_stream, special
from tests.support.models.integer import random_codes
from tests.support.models.networks import networks
from tests.support.models.own_cell import own_models, register, twin_stream, wide_models
from tests.support.runtimes import RUNTIMES, require

Models = Callable[[], dict[str, IntegerModel]]


def some_networks() -> dict[str, IntegerModel]:
    """Cells that read several parts, with a joint operand and with separate ones."""
    chosen = ("two-inputs", "network-1", "network-2")
    return {name: model for name, model in networks().items() if name.startswith(chosen)}


WRITTEN = pytest.mark.parametrize(
    "models",
    [special, own_models, wide_models, some_networks],
    ids=["special", "own", "wide", "networks"],
)
STEPS = 100


@WRITTEN
def test_tflite(models: Models, tmp_path, monkeypatch):
    require(*RUNTIMES)
    register(monkeypatch)
    monkeypatch.setattr(tflite_cells, "EMIT", {})
    assert test_zero_lsb_tflite.compare(models(), tmp_path, STEPS) > 30_000


@WRITTEN
def test_onnx(models: Models, tmp_path, monkeypatch):
    register(monkeypatch)
    monkeypatch.setattr(onnx_writer, "RECURRENT", {})
    steps = dict.fromkeys(OPTIMIZATIONS, STEPS) | {"disabled": STEPS // 5}
    assert test_zero_lsb_onnx.compare(models(), tmp_path, steps) > 15_000


def test_the_reference_runs_a_cell_of_ones_own(monkeypatch):
    register(monkeypatch)
    saturated = set()
    for name, model in own_models().items():
        codes = random_codes(model, 400)
        found = reference_stream(model, codes)
        first = model.layers[0].states
        hs, cs = (found[spec.name].tolist() for spec in first)
        assert list(zip(hs, cs, strict=True)) == twin_stream(model, codes), name
        recorder = Recorder()
        Reference(model, recorder).run(codes)
        saturated |= {n.partition(".")[2] for n, e in recorder.tensors.items() if e.saturated}
    assert saturated >= {"c*c", "z_i", "z_o"}
