"""0 LSB over 4,000-step streams: every cell, precision and kind of weights, every runtime.

Outputs and all states of every step are compared with the reference. One run over all runtimes
compares more than 10**7 values; each test asserts its own share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend
from edgernn.backends.onnx import OPTIMIZATIONS, open_onnx
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.file_formats import probe_codes
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_export.writers.tflite.writer import write_tflite
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.grid import reference_stream
from tests.support.models.matrix import CELLS, PRECISIONS, matrix
from tests.support.native.programs import all_isas, require_native
from tests.support.runtimes import RESOLVERS, RUNTIMES, Stream, require, run_files

#: Streams of 10,000 steps are those of `make test-long` (test_zero_lsb_tflite.py and others).
STEPS = 4_000
#: Without optimization ONNX Runtime computes the tables anew in every step, which takes 30 times as
#: long: it gets the first part of the streams.
UNOPTIMIZED_STEPS = 300
#: Compared values of one configuration: outputs and states of 28 models.
SHARE = 2_400_000


@pytest.fixture(scope="module")
def models() -> dict[str, IntegerModel]:
    return matrix()


@pytest.fixture(scope="module")
def expected(models: dict[str, IntegerModel]) -> dict[str, Stream]:
    return {n: reference_stream(m, probe_codes(m, STEPS, seed=5)) for n, m in models.items()}


def differing(stream: Stream, wanted: Stream) -> tuple[int, int]:
    """Compared and differing values of one stream."""
    assert stream.keys() == wanted.keys()
    compared = sum(v.size for v in wanted.values())
    return compared, sum(int(np.count_nonzero(stream[k] != wanted[k])) for k in wanted)


def test_the_matrix_is_complete_and_hostile_models_saturate() -> None:
    models = matrix()
    assert len(models) == len(CELLS) * len(PRECISIONS) * 3 + 2 * len(PRECISIONS)
    for name, model in models.items():
        recorder = Recorder()
        Reference(model, recorder).run(probe_codes(model, 300, seed=5))
        h = recorder.tensors[f"{model.layers[0].name}.h"]
        assert h.low < 0 < h.high, name
        if "hostile" in name:
            assert h.high > 32_000, name
            assert h.low < -32_000, name


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tflite_gives_the_reference_bits(
    runtime: str,
    models: dict[str, IntegerModel],
    expected: dict[str, Stream],
    tmp_path: Path,
) -> None:
    require(runtime)
    for name, model in models.items():
        (tmp_path / f"{name}.tflite").write_bytes(write_tflite(model))
        np.savez(tmp_path / f"{name}.npz", q_xs=probe_codes(model, STEPS, seed=5))
    results = run_files(tmp_path, runtime, timeout=1500)
    assert len(results) == len(models) * len(RESOLVERS)
    total, wrong = 0, {}
    for (name, resolver), stream in results.items():
        compared, bad = differing(stream, expected[name])
        total += compared
        if bad:
            wrong[name, resolver] = bad
    assert wrong == {}
    assert total >= SHARE * len(RESOLVERS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimization",
    [
        pytest.param(level, marks=[pytest.mark.long] * (level in ("basic", "extended")))
        for level in OPTIMIZATIONS
    ],
)
def test_onnxruntime_gives_the_reference_bits(
    optimization: str,
    models: dict[str, IntegerModel],
    expected: dict[str, Stream],
    tmp_path: Path,
) -> None:
    steps = UNOPTIMIZED_STEPS if optimization == "disabled" else STEPS
    total, wrong = 0, {}
    for name, model in models.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(write_onnx_exact(model))
        backend = open_onnx(path, optimization)
        q_xs = probe_codes(model, STEPS, seed=5)[:steps]
        stream: Stream = {s.name: np.empty((steps, s.units), np.int16) for s in model.states}
        stream["y"] = np.empty((steps, model.output.width), np.int16)
        state = model.interface().initial_state()
        for t, q_x in enumerate(q_xs):
            stream["y"][t], state = backend.step(q_x, state)
            for spec, vector in zip(model.states, state, strict=True):
                stream[spec.name][t] = vector
        backend.close()
        compared, bad = differing(stream, {n: q[:steps] for n, q in expected[name].items()})
        total += compared
        if bad:
            wrong[name] = bad
    assert wrong == {}
    assert total * STEPS >= SHARE * steps


@pytest.mark.slow
@pytest.mark.parametrize("isa", all_isas())
def test_native_gives_the_reference_bits(
    isa: str, models: dict[str, IntegerModel], expected: dict[str, Stream]
) -> None:
    require_native()
    total, wrong = 0, {}
    for name, model in models.items():
        opened = NativeBackend(model, isa).new_stream()
        stream: Stream = {s.name: np.empty((STEPS, s.units), np.int16) for s in model.states}
        stream["y"] = np.empty((STEPS, model.output.width), np.int16)
        for t, q_x in enumerate(probe_codes(model, STEPS, seed=5)):
            stream["y"][t] = opened.advance_one(q_x)
            for spec, vector in zip(model.states, opened.state, strict=True):
                stream[spec.name][t] = vector
        compared, bad = differing(stream, expected[name])
        total += compared
        if bad:
            wrong[name] = bad
    assert wrong == {}
    assert total >= SHARE
