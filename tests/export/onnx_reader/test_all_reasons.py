"""All reasons at once: what comes behind a refused operator is looked at, too."""

import numpy as np
import pytest
import torch
from onnx import helper
from torch import nn

from edgernn.errors import UnsupportedModelError
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.onnx_files import model_of

rng = np.random.default_rng(8)
WEIGHTS = {
    "W": (rng.normal(size=(1, 12, 3)) / 2).astype(np.float32),
    "R": (rng.normal(size=(1, 12, 4)) / 2).astype(np.float32),
    "scale": np.ones(3, np.float32), "features": np.array([-1]),
    "two": np.array(2.0, np.float32), "small": np.array(1e-5, np.float32),
    "kernel": np.ones((4, 4, 3), np.float32),
}  # fmt: skip


def node(kind, read, given, **attributes):
    return helper.make_node(kind, read.split(), given.split(), name=given, **attributes)


def owners(*nodes, weights=None):
    data = model_of(list(nodes), {"x": ["t", "b", 3]}, ["z"], WEIGHTS | (weights or {}))
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    return [reason.split(": expected")[0] for reason in caught.value.reasons]


def test_recurrent_operators_and_unknown_ones_behind_a_refused_one():
    found = owners(
        node("InstanceNormalization", "x scale scale", "a"),
        node("GRU", "a W R", "b", hidden_size=4, activations=["Softplus", "Unheard"]),
        node("Det", "b", "c"),
        node("Relu", "c", "d"),
        node("TopK", "d two", "z e"),
    )
    assert [one.split("'")[1] for one in found] == ["a", "b", "c", "z e"]


def test_a_convolution_behind_a_refused_operator():
    found = owners(
        node("GRU", "x W R", "Y", hidden_size=4),
        node("Squeeze", "Y one", "y"),
        node("Round", "y", "r"),
        node("Transpose", "r", "turned", perm=[1, 2, 0]),
        node("Conv", "turned kernel", "z", pads=[1, 1]),
        weights={"one": np.array([1])},
    )
    assert [one.split("'")[1] for one in found] == ["r", "z"]


def test_what_only_follows_from_a_refused_operator_is_not_told():
    found = owners(
        node("Cos", "x", "turned"),
        node("Sub", "x turned", "rest"),
        node("Pow", "rest two", "square"),
        node("ReduceMean", "square features", "variance"),
        node("Add", "variance small", "sum"),
        node("Sqrt", "sum", "root"),
        node("Div", "turned root", "normal"),
        node("GRU", "normal W R", "z", hidden_size=4),
    )
    assert [one.split("'")[1] for one in found] == ["turned"]


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.RMSNorm(3)
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.after = nn.Conv1d(4, 2, 3, padding=1)

    def forward(self, x):
        y, _ = self.rnn(self.norm(x))
        return self.after(torch.cumsum(y, 1).transpose(1, 2))


def test_modules_behind_a_refused_one():
    with pytest.raises(UnsupportedModelError) as caught:
        read_torch(Several().eval(), torch.zeros(2, 9, 3))
    names = [reason.split("'")[1] for reason in caught.value.reasons]
    assert names == ["norm", "cumsum", "after"]
