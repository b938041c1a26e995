"""Normalization (clause 7.11): the same integers everywhere, close to those of real numbers."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import pytest

from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.errors import ModelError
from edgernn.graph.intervals import intervals
from edgernn.model.scales import MAX_NORMALIZED, NormalizationConstants
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeEmitter, NodeRows
from edgernn_export.writers.onnx.tables import Tables
from edgernn_export.writers.tflite.graph import Graph
from edgernn_export.writers.tflite.interpreter import OperatorEmitter
from edgernn_firmware_sim.reference.normalization import inverse_root_table
from tests.exactness.twin import normalization as twin
from tests.exactness.twin import scalar
from tests.support.models.normalized_rows import KINDS, WIDTHS, constants, graph, normalized, rows
from tests.support.runtimes import RESOLVERS, RUNTIMES, require, run_python

#: NodeRows of each sort by width: about as many values everywhere, and enough where rows are short.
COUNTS: Final = {1: 20, 2: 200, 24: 400, 64: 250, 128: 130, 256: 70}
EVERY: Final = pytest.mark.parametrize("width", WIDTHS)


def test_the_table_is_that_of_the_clause():
    table = inverse_root_table()
    assert table.tolist() == [twin.I[u] for u in range(64, 257)]
    beside = [abs(twin.real_entry(u) % 1 - scalar.Decimal("0.5")) for u in range(64, 256)]
    assert min(beside) > scalar.Decimal("0.001")
    assert (int(table.max()), int(table.min())) == (32768, 16384)


def test_constants_are_those_of_the_clause():
    for width in range(1, MAX_NORMALIZED + 1):
        for kind, (scale, epsilon) in enumerate(KINDS):
            made = constants(width, kind)
            assert (made.least_bits, made.epsilon.tolist()) == twin.constants(width, scale, epsilon)
        most, square_bits, root_bits = twin._bits_of(width)
        assert (made.most_bits, made.square_bits, made.root_bits) == (most, square_bits, root_bits)
        assert made.gain == twin.gain(width) < 1 << 15
        assert made.shift == 19 - square_bits - root_bits >= 4


def test_reference_equals_twin():
    meter, compared = scalar.Metered(), 0
    for width in WIDTHS:
        for kind in range(len(KINDS)):
            made, x = constants(width, kind), rows(width, 8, seed=kind)
            got = normalized(made, x)
            for row, result in zip(x.tolist(), got.tolist(), strict=True):
                epsilon = made.epsilon.tolist()
                assert result == twin.normalized(row, made.least_bits, epsilon, meter)
            compared += x.size
    assert compared > 100_000
    assert meter.widest < 2**31
    assert meter.events["tie_half_up"] > 100


@EVERY
@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_results_are_as_close_to_real_ones_as_the_clause_says(width, kind):
    scale, epsilon = KINDS[kind]
    made, count = constants(width, kind), max(30, 12_000 // width)
    x = rows(width, count)
    d = x - x.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(d).mean(axis=1, keepdims=True) + epsilon / scale**2)
    real = 2048 * np.divide(d, deviation, out=np.zeros_like(d), where=deviation > 0)
    error = np.abs(normalized(made, x) - real.clip(-32768, 32767))
    bound = 1.5 + np.abs(real) * (np.sqrt(width) * 2.0**-made.square_bits + 2.0**-12)
    assert (error <= bound).all()
    assert np.sqrt(np.square(error[:count]).mean()) <= 0.5  # the normal rows


def test_the_largest_result_saturates():
    """One unit of 256 far from the others is 15.97 deviations away, near the end of Q4.11."""
    made = constants(256, 4)
    x = np.zeros((1, 256), np.int16)
    x[0, 7] = 20_000
    assert normalized(made, x)[0, 7] > 32_600
    x[0, 7] = -20_000
    assert normalized(made, x)[0, 7] < -32_600
    assert intervals(graph(made))["layer.y"] == (-32768, 32767)


def test_tflite(tmp_path):
    require(*RUNTIMES)
    wanted, compared = {}, Counter[str]()
    for width in WIDTHS:
        made, x = constants(width, 0), rows(width, COUNTS[width])
        name = f"norm-{width}"
        file = Graph(name)
        q_x = file.tensor("x", width, "int16", 2.0**-10)
        (y,), _ = OperatorEmitter(file, graph(made).precision, 1.0)(graph(made), [(q_x,)], ())
        (tmp_path / f"{name}.tflite").write_bytes(file.finish({"x": q_x}, {"y": y}, b"{}"))
        np.save(tmp_path / f"{name}.npy", x)
        wanted[name] = normalized(made, x)
    for runtime in RUNTIMES:
        run_python("-m", "tests.exactness.normalization_worker", str(tmp_path), runtime)
        for name, result in wanted.items():
            for resolver in RESOLVERS:
                got = np.load(tmp_path / f"{name}.{runtime}.{resolver}.npy")
                assert np.array_equal(got, result), (name, runtime, resolver)
                compared[runtime] += got.size
    assert min(compared.values()) > 1_000_000


@EVERY
def test_onnx(width):
    import onnxruntime

    made, x = constants(width, 1), rows(width, COUNTS[width])
    g = GraphBuilder("norm")
    codes = g.cast(g.input("x", np.int16, [1, width]), np.int32)
    (y,), _ = NodeEmitter(g, Tables(g, graph(made).precision))(
        graph(made), [[NodeRows(codes, width)]], []
    )
    g.output(g.cast(y, np.int16), "y", np.int16, [1, width])
    content = g.to_bytes({})
    wanted = normalized(made, x)
    for name, level in OPTIMIZATIONS.items():
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        got = np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])
        assert np.array_equal(got, wanted), name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, r"expected 1..256 elements, got 0"),
        ({"width": 257}, r"expected 1..256 elements, got 257"),
        ({"epsilon": np.ones(0, np.int32)}, r"expected 1..18 numbers for 2 elements, got 0"),
        ({"epsilon": np.ones(19, np.int32)}, r"expected 1..18 numbers for 2 elements, got 19"),
        ({"epsilon": np.zeros(3, np.int32)}, "expected values in"),
        ({"epsilon": np.full(3, (1 << 29) + 1, np.int32)}, "expected values in"),
        ({"epsilon": np.array([3, 4], np.int32)}, "expected numbers in non-increasing order"),
        ({"epsilon": np.ones(3)}, "expected 1-d int32"),
    ],
)
def test_constants_that_break_the_clause_are_refused(fields, message):
    good = {"width": 2, "epsilon": np.array([4, 1], np.int32)}
    assert NormalizationConstants(**good) == NormalizationConstants(**good)
    with pytest.raises(ModelError, match=message):
        NormalizationConstants(**{**good, **fields})


def test_layers_without_an_integer_form_are_refused():
    with pytest.raises(ModelError, match=r"expected 1\.\.256 elements, got 300"):
        NormalizationConstants.of(300, 1e-3, 1e-3)
    with pytest.raises(ModelError, match="codes of scale 1e-12 can outweigh, got 1000"):
        NormalizationConstants.of(16, 1e-12, 1e3)
