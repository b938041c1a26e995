"""Files that other exporters wrote, and our own float files, are read and compared."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgernn.errors import StreamKindWarning
from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatLayerNorm,
    FloatLSTM,
    FloatModel,
    FloatSimpleRNN,
)
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.onnx_files import reference_outputs, runtime_outputs

GOLDEN = Path(__file__).parents[2] / "golden" / "onnx"


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.onnx")))
def test_files_of_other_exporters(name):
    path = GOLDEN / name
    graph = onnx.load(path).graph
    given = graph.input[0]
    shape = given.type.tensor_type.shape.dim
    sizes = [size.dim_value or (2 if place == 0 else 7) for place, size in enumerate(shape)]
    draw = np.random.default_rng(5)
    xs = draw.normal(size=sizes).astype(np.float32)
    if given.type.tensor_type.elem_type == TensorProto.INT32:
        xs = draw.integers(0, 10, size=sizes).astype(np.int32)
    found = read_onnx(path)
    wide = xs.astype(np.float64) if xs.ndim == 3 else xs[..., None].astype(np.float64)
    got = found.run(wide) if hasattr(found, "programs") else answers(found, wide)
    got = got if hasattr(found, "programs") else with_softmax(found, got)
    # ONNX's reference evaluator puts the rows of a Loop one behind another, not side by side.
    loops = any(node.op_type == "Loop" for node in graph.node)
    evaluators = (runtime_outputs,) if loops else (runtime_outputs, reference_outputs)
    for outputs in evaluators:
        (want,) = outputs(path.read_bytes(), {given.name: xs})
        last = got[:, -1] if got.ndim > want.ndim else got
        np.testing.assert_allclose(last, want, atol=1e-5)


def _layers(rng):
    def weights(*shape):
        return rng.normal(size=shape).astype(np.float32).astype(np.float64)

    gru = FloatGRU(
        name="gru", kernel=weights(12, 6), recurrent=weights(12, 4), bias=weights(12),
        recurrent_bias=weights(12), use_bias=True, reset_after=True,
        recurrent_activation="sigmoid",
    )  # fmt: skip
    lstm = FloatLSTM(
        name="lstm", kernel=weights(16, 4), recurrent=weights(16, 4), bias=weights(16),
        use_bias=True, recurrent_activation="hard_sigmoid",
    )  # fmt: skip
    simple = FloatSimpleRNN(
        name="rnn", kernel=weights(4, 4), recurrent=weights(4, 4), bias=weights(4), use_bias=True,
        activation="relu",
    )  # fmt: skip
    first = FloatDense(
        name="in", kernel=weights(6, 5), bias=weights(6), use_bias=True, activation="relu"
    )
    last = FloatDense(
        name="out", kernel=weights(3, 4), bias=weights(3), use_bias=True, activation="linear"
    )
    norm = FloatLayerNorm(
        name="norm", gain=weights(4), offset=weights(4), epsilon=float(np.float32(1e-3))
    )
    return [first, gru, norm, lstm, simple, last]


@pytest.mark.parametrize("softmax", [True, False])
def test_our_float_files_come_back_bit_for_bit(softmax):
    model = FloatModel(
        name="network",
        layers=tuple(_layers(np.random.default_rng(2))),
        input_names=tuple(f"x{index}" for index in range(5)),
        input_units=("",) * 5,
        output_names=("y0", "y1", "y2"),
        output_units=("",) * 3,
        final_activation="softmax" if softmax else "linear",
        return_sequences=True,
        stateful=True,
        steps=None,
    )
    content = write_onnx_float(model)
    with pytest.warns(StreamKindWarning):
        found = read_onnx(content)
    assert found.sha256 == model.sha256
    for one, other in zip(found.layers, model.layers, strict=True):
        for part in ("kernel", "recurrent", "bias", "recurrent_bias", "gain", "offset"):
            assert np.array_equal(getattr(one, part, 0), getattr(other, part, 0))
