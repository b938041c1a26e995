"""The report over many stretches: the figures of one comparison of all steps, in little memory."""

from __future__ import annotations

import tracemalloc

import keras
import numpy as np
import pytest

from edgernn_export.float_model import float_run
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import FLOAT_CELLS, float_model, stream


@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_noise_and_signal_are_those_of_all_steps(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output is the state of the one layer; streams of two lengths, two of them at once."""
    model = float_model(cell, outputs=0, units=5)
    streams = [stream(200, 3, seed) + 0.5 * (seed - 4) for seed in (3, 4, 5)]
    streams.append(stream(90, 3, seed=6) - 1.0)
    integer = quantize(model, streams, progress=False)
    interface = integer.interface()
    truth = np.concatenate([float_run.run(model, xs[None])[0][0] for xs in streams])
    codes = [Reference(integer).run(interface.quantize(xs))[0] for xs in streams]
    got = interface.dequantize(np.concatenate(codes))
    signal = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    noise = np.square(truth - got).sum(axis=0)
    per_unit = 10.0 * np.log10(signal / noise)

    monkeypatch.setattr(float_run, "_STRETCH_VALUES", 7 * 2 * float_run.widest(model))
    monkeypatch.setattr(float_run, "_BATCH_VALUES", 2 * float_run.widest(model))
    report = quantization_report(model, integer, streams)
    (hidden,) = (t for t in report.tensors if t.name.endswith(".h"))
    assert hidden.sqnr_db == pytest.approx(10.0 * np.log10(signal.sum() / noise.sum()), abs=1e-6)
    assert hidden.worst_unit == np.argmin(per_unit)
    assert hidden.worst_unit_sqnr_db == pytest.approx(per_unit.min(), abs=1e-6)
    assert report.steps == 690


def test_memory_does_not_grow_with_the_length_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_run, "_STRETCH_VALUES", 1 << 15)
    model = float_model("gru_after", inputs=2, units=64)
    integer = quantize(model, stream(200, 2), progress=False)
    quantization_report(model, integer, stream(20, 2))  # what is made once
    peaks = []
    for steps in (60, 240):
        streams = np.resize([0.0, 1.0, 0.5], (32, steps, 2))
        tracemalloc.start()
        quantization_report(model, integer, streams)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    copies = 6 * streams.nbytes
    assert peaks[1] < 1.1 * peaks[0] + copies


@pytest.mark.parametrize(("steps", "compared"), [(16, 2 * 7), (None, 2 * 149)])
def test_rows_in_front_of_pooling_are_compared_one_by_one(steps: int | None, compared: int) -> None:
    """Rows in another order would have less signal than noise; the first answer is to reading 4."""
    keras.utils.set_random_seed(2)
    network = keras.Sequential([
        keras.Input((steps, 2)),
        keras.layers.Conv1D(4, 3, activation="tanh", name="conv"),
        keras.layers.MaxPooling1D(2, name="pool"),
        keras.layers.GRU(5, return_sequences=steps is None, name="gru"),
        keras.layers.Dense(2, name="head"),
    ])  # fmt: skip
    xs = np.random.default_rng(4).normal(size=(2, steps or 300, 2))
    integer = quantize(network, np.tile(xs, (20, 1, 1)), progress=False)
    report = quantization_report(read_keras(network), integer, xs)
    named = {tensor.name: tensor for tensor in report.tensors}
    assert list(named) == ["conv.out", "gru.h", "head.out", "output"]
    assert min(tensor.sqnr_db for tensor in report.tensors) > 20.0
    assert report.steps == compared
