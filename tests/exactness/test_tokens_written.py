"""Files of models that read tokens give the reference's bits in every runtime (clause 8.3)."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import load_from_string

import edgernn
from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.errors import ReadingError
from edgernn.graph.lowering import lowered_model
from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeEmitter, NodeRows
from edgernn_export.writers.onnx.tables import Tables
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.support.models.grid import reference_stream
from tests.support.models.integer import random_codes
from tests.support.models.tokens import token_and_real_network, token_models
from tests.support.runtimes import RUNTIMES, require

STEPS = 300
#: Of the network too, whose two tokens and reals every runtime sees side by side.
TFLITE_STEPS = 900


def test_tflite(tmp_path):
    require(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(token_models(), tmp_path, TFLITE_STEPS) > 1_000_000


def test_onnx(tmp_path):
    steps = dict.fromkeys(OPTIMIZATIONS, STEPS) | {"disabled": 40}
    assert test_zero_lsb_onnx.compare(token_models(), tmp_path, steps) > 180_000


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_exported_files_stream_tokens(kind, precision, tmp_path):
    """The golden vector has tokens; sessions refuse what is none, and stay where they were."""
    model = token_and_real_network(precision)
    path = export(model, tmp_path, [kind])[kind]
    readings = np.random.default_rng(1).uniform(-3, 3, (20, 6))
    readings[:, [2, 4, 5]] = np.random.default_rng(2).integers(0, [300, 7, 5], (20, 3))
    with edgernn.load(model, "reference") as wanted, edgernn.load(path) as session:
        assert np.array_equal(session.run(readings), wanted.run(readings))
        before = session.state
        for channel, token in ((2, 300), (2, -1), (4, 2.5)):
            wrong = readings[0].copy()
            wrong[channel] = token
            with pytest.raises(ReadingError, match=f"'x{channel}': expected a token"):
                session.step(wrong)
        assert all(np.array_equal(session.state[name], q) for name, q in before.items())
        assert np.array_equal(session.step(readings[3]), wanted.step(readings[3]))


@pytest.mark.parametrize("precision", Precision)
def test_the_graph_of_a_whole_model_as_nodes(precision):
    """Operation by operation, look-ups and operands beside tokens among them."""
    onnx = pytest.importorskip("onnx.reference")
    model = token_and_real_network(precision)
    step = lowered_model(model)
    g = GraphBuilder("whole")
    x = NodeRows(g.cast(g.input("x", np.int16, [1, 6]), np.int32), 6)
    before = [g.cast(g.input(s.name, np.int16, [1, s.units]), np.int32) for s in model.states]
    (y,), after = NodeEmitter(g, Tables(g, precision))(step, [[x]], before)
    for number, name in enumerate((y, *after)):
        g.output(g.cast(name, np.int16), f"out{number}", np.int16, [1, "N"])
    evaluator = onnx.ReferenceEvaluator(load_from_string(g.to_bytes({})))
    q_xs = random_codes(model, 6)
    wanted = reference_stream(model, q_xs)
    state = {spec.name: np.zeros((1, spec.units), np.int16) for spec in model.states}
    for t in range(len(q_xs)):
        q_y, *new = evaluator.run(None, {"x": q_xs[t : t + 1], **state})
        state = dict(zip(state, new, strict=True))
        assert np.array_equal(q_y[0], wanted["y"][t])
