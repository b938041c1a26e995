"""Layer normalization in ONNX files, and the means, roots and quotients that it is written with."""

import numpy as np
import pytest
from onnx import helper

from edgernn.errors import UnsupportedModelError
from edgernn_export.onnx_reader.reader import read_onnx
from tests.export.onnx_reader.test_onnx_networks import XS, after_dense, check, recurrent, weights
from tests.support.models.onnx_files import model_of

NORMALIZED = [
    ({}, [6], [6]), ({"axis": 2, "epsilon": 0.2}, [6], None), ({"axis": -1}, [1, 6], [6]),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "scale", "offset"), NORMALIZED)
def test_layer_normalization(attributes, scale, offset):
    more = {"scale": weights(*scale) + 1}
    inputs = ["c", "scale"]
    if offset:
        more["offset"] = weights(*offset)
        inputs.append("offset")
    node = helper.make_node("LayerNormalization", inputs, ["d"], **attributes)
    found = check(after_dense([node], more, opset=17), XS)
    assert [layer.kind for layer in found.layers] == ["dense", "layer_norm", "gru"]


def test_a_mean_whose_axis_is_left_out():
    nodes = [
        helper.make_node("ReduceMean", ["c", "two"], ["m"], keepdims=0),
        helper.make_node("Unsqueeze", ["m", "two"], ["n"]),
        helper.make_node("Sub", ["c", "n"], ["d"]),
    ]
    check(after_dense(nodes, {"two": np.array([2])}), XS)


WRONG = {
    "of steps": (
        helper.make_node("LayerNormalization", ["c", "scale"], ["d"], axis=1),
        "expected the features of a step normalized together, got the time axis and the features",
    ),
    "a mean of all": (
        helper.make_node("ReduceMean", ["c"], ["d"]),
        "the mean of all steps, or of features, got one over the batch axis",
    ),
    "a division": (helper.make_node("Reciprocal", ["c"], ["d"]), "have no division"),
    "a root": (helper.make_node("Sqrt", ["c"], ["d"]), "the root of a sum of two squares"),
    "other parameters": (
        helper.make_node("LayerNormalization", ["c", "long"], ["d"]),
        "weights for the 6 features of its input, got for 7",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_normalizations_that_a_stream_has_not(name):
    node, text = WRONG[name]
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["xt", "W", "R", "B"], ["f"], hidden_size=6),
        helper.make_node("Squeeze", ["f", "one"], ["g"]),
        helper.make_node("Transpose", ["g"], ["c"], perm=[1, 0, 2]),
        node,
        helper.make_node("Identity", ["d"], ["y"]),
    ]
    more = {"scale": weights(7, 6), "one": np.array([1]), "long": weights(7)}
    data = model_of(nodes, {"x": ["b", 7, 5]}, ["y"], more | recurrent("GRU", 5, 6), opset=18)
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    assert any(text in reason for reason in caught.value.reasons)
