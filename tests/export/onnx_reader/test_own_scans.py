"""Registered cells in our own float ONNX files come back; what only claims to be one does not."""

import json
import warnings
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgernn.errors import StreamKindWarning, UnsupportedModelError
from edgernn_export.float_model.model import FloatCell
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.registered import ALL_CELLS, float_network


def in_single_precision(model):
    """The model that a file of float32 holds, stateful and of all steps as files are."""
    layers = [
        FloatCell.of(one.kind, one.name, dict(one.options),
                     {k: v.astype(np.float32).astype(np.float64) for k, v in one.by_name.items()})
        if isinstance(one, FloatCell)
        else replace(one, kernel=one.kernel.astype(np.float32).astype(np.float64), bias=[0.5, 0.25])
        for one in model.layers
    ]  # fmt: skip
    return replace(model, layers=tuple(layers), stateful=True)


@pytest.mark.parametrize("kind", ALL_CELLS)
def test_registered_cells_come_back_bit_for_bit(kind):
    model = in_single_precision(float_network(kind, units=4))
    with pytest.warns(StreamKindWarning):
        found = read_onnx(write_onnx_float(model))
    assert found.sha256 == model.sha256
    for one, other in zip(found.layers[:2], model.layers[:2], strict=True):
        assert (one.kind, one.options, one.units) == (kind, other.options, other.units)
        for name, values in other.by_name.items():
            np.testing.assert_array_equal(one.by_name[name], values)


def _body(model):
    return next(
        attribute.g
        for node in model.graph.node
        for attribute in node.attribute
        if node.op_type == "Scan" and attribute.g.node
    )


def _other_function(model):
    next(node for node in _body(model).node if node.op_type == "Tanh").op_type = "Sigmoid"


def _other_input(model):
    node = next(node for node in _body(model).node if node.op_type == "Mul")
    node.input[0], node.input[1] = node.input[1], node.input[1]


def _other_number(model):
    """1 - z becomes 2 - z."""
    for tensor in model.graph.initializer:
        if numpy_helper.to_array(tensor).shape == ():
            tensor.CopyFrom(numpy_helper.from_array(np.float32(2.0), tensor.name))


def _other_cell(model):
    _body(model).doc_string = _body(model).doc_string.replace("minimal_gru", "min_gru")


def _told(**changed):
    def change(model):
        told = json.loads(_body(model).doc_string) | changed
        _body(model).doc_string = json.dumps(told)

    return change


def _nothing_told(model):
    _body(model).doc_string = ""


@pytest.mark.parametrize(
    "changed",
    [
        _other_function, _other_input, _other_number, _other_cell, _nothing_told,
        _told(units=2**40), _told(units="many"), _told(options=[1]), _told(cell="gru"),
    ],
)  # fmt: skip
def test_what_only_claims_to_be_a_cell_is_refused(changed):
    model = onnx.load_model_from_string(write_onnx_float(float_network("minimal_gru", units=4)))
    changed(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamKindWarning)
        with pytest.raises(UnsupportedModelError) as caught:
            read_onnx(model)
    assert "(Scan): expected a body that is one step of a SimpleRNN, GRU or LSTM" in str(
        caught.value
    )
