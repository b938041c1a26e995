"""Every attribute of recurrent operators of ONNX: float networks answer as ONNX Runtime does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from edgernn.errors import QuantizationError, StreamKindWarning, UnsupportedModelError
from edgernn_export.float_model.float_run import run
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.onnx_recurrent import (
    OPERATORS,
    matrices,
    of_operator,
    one_operator,
    runtime_answer,
)

pytest.importorskip("onnxruntime")
INPUTS, UNITS = 3, 5
XS = np.random.default_rng(3).normal(size=(20, 20, INPUTS)).astype(np.float32)


def read(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamKindWarning)  # of last states, which are left out
        return read_onnx(model)


def close(got, wanted):
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    model = of_operator(name, INPUTS, UNITS)
    close(run(read(model), XS.astype(np.float64))[0], runtime_answer(model, XS))


@pytest.mark.parametrize("operator", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("begun", [False, True])
def test_directions(operator, direction, begun):
    directions = 1 + (direction == "bidirectional")
    arrays = matrices(operator, INPUTS, UNITS, directions=directions, begun=begun)
    functions = {"RNN": ["Tanh", "Relu"], "GRU": None, "LSTM": None}[operator]
    given = {"activations": functions} if functions and len(arrays["W"]) == 2 else {}
    model = one_operator(operator, arrays, direction=direction, clip=0.9, **given)
    close(read(model).run(XS.astype(np.float64)), runtime_answer(model, XS))


def test_first_states_beyond_their_format_are_refused():
    arrays = matrices("LSTM", INPUTS, UNITS, begun=True)
    arrays["h"][0, 0, 2] = 1.25
    with pytest.raises(
        QuantizationError, match=r"rnn\.h: expected to begin within ±1, .* got 1\.25"
    ):
        quantize(read(one_operator("LSTM", arrays)), XS.astype(np.float64), progress=False)


def test_first_states_that_differ_between_streams_are_refused():
    arrays = matrices("GRU", INPUTS, UNITS, begun=True)
    arrays["h"] = np.concatenate([arrays["h"], -arrays["h"]], axis=1)
    with pytest.raises(
        UnsupportedModelError, match="the same initial state for all streams, got 2"
    ):
        read(one_operator("GRU", arrays))


def test_cells_that_keras_lacks_may_have_their_states_as_inputs():
    model = of_operator("clipped LSTM", INPUTS, UNITS, states=True)
    with pytest.warns(StreamKindWarning, match="'one': the network has its states as inputs"):
        found = read_onnx(model)
    assert [layer.kind for layer in found.layers] == ["three_function_lstm"]
    assert found.stateful
    close(run(found, XS.astype(np.float64))[0], runtime_answer(model, XS))
