"""Pooling over all steps of a window, as ONNX files and modules of PyTorch have it."""

import numpy as np
import pytest
import torch
from onnx import helper
from torch import nn

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.float_run import answers
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.onnx_files import model_of, runtime_outputs

rng = np.random.default_rng(8)
XS = rng.normal(size=(4, 9, 3))
WEIGHTS = {
    "W": (rng.normal(size=(1, 12, 3)) / 2).astype(np.float32),
    "R": (rng.normal(size=(1, 12, 4)) / 2).astype(np.float32),
    "k": rng.normal(size=(4, 2)).astype(np.float32),
    "single": rng.normal(size=(1, 2)).astype(np.float32),
    "axis": np.array([1]),
    "steps": np.array([0]),
    "features": np.array([2]),
    "last": np.array([2]),
}


def pooled(*nodes, steps=9, kernel="k"):
    """A GRU whose steps are y [T, B, 4], and what makes z of them."""
    first = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["xt", "W", "R"], ["Y"], hidden_size=4),
        helper.make_node("Squeeze", ["Y", "axis"], ["y"]),
    ]
    last = [helper.make_node("MatMul", ["p", kernel], ["z"])]
    given = {"x": ["b", steps, 3]}
    return model_of([*first, *nodes, *last], given, ["z"], WEIGHTS)


def reduced(kind, *read, **attributes):
    return helper.make_node(kind, ["y", *read], ["p"], **attributes)


def globally(kind):
    """The same over (batch, features, steps)."""
    return [
        helper.make_node("Transpose", ["y"], ["turned"], perm=[1, 2, 0]),
        helper.make_node(kind, ["turned"], ["one"]),
        helper.make_node("Squeeze", ["one", "last"], ["p"]),
    ]


@pytest.mark.parametrize(
    "nodes",
    [
        [reduced("ReduceMean", "steps", keepdims=0)],
        [reduced("ReduceMax", "steps", keepdims=0)],
        [reduced("ReduceSum", "steps", keepdims=0)],
        [reduced("ReduceMean", "steps")],
        globally("GlobalAveragePool"),
        globally("GlobalMaxPool"),
    ],
    ids=["mean", "max", "sum", "kept", "average pool", "max pool"],
)
def test_operators_over_all_steps(nodes):
    data = pooled(*nodes)
    found = read_onnx(data)
    want = runtime_outputs(data, {"x": XS.astype(np.float32)})[0].reshape(4, 2)
    assert found.window.steps == 9
    np.testing.assert_allclose(answers(found, XS)[:, -1], want, atol=1e-5)


def refused(data):
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    (reason,) = caught.value.reasons
    return reason


def test_windows_need_a_length():
    data = pooled(reduced("ReduceMean", "steps", keepdims=0), steps="t")
    assert "expected windows of a fixed number of steps, got any number." in refused(data)
    found = read_onnx(data, input_shapes={"x": (None, 9, 3)})
    want = runtime_outputs(data, {"x": XS.astype(np.float32)})[0]
    np.testing.assert_allclose(answers(found, XS)[:, -1], want, atol=1e-5)


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum"])
def test_means_and_sums_of_features(kind):
    data = pooled(reduced(kind, "features"), steps="t", kernel="single")
    want = runtime_outputs(data, {"x": XS.astype(np.float32)})[0].swapaxes(0, 1)
    np.testing.assert_allclose(answers(read_onnx(data), XS), want, atol=1e-5)


def test_the_largest_of_features_is_refused():
    reason = refused(pooled(reduced("ReduceMax", "features")))
    assert reason.startswith(
        "node 'p' (ReduceMax): expected the largest of all steps, got one over the features axis."
    )


class Pooled(nn.Module):
    """A GRU, a pooling of its steps, and a dense layer."""

    def __init__(self, pool):
        super().__init__()
        torch.manual_seed(2)
        self.rnn = nn.GRU(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.pool = pool

    def forward(self, x):
        y, _ = self.rnn(x)
        return self.head(self.pool(y))


class OverSteps(nn.Module):
    """A pooling module of torch, over the last axis."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, y):
        return self.pool(y.transpose(1, 2)).squeeze(-1)


@pytest.mark.parametrize(
    "pool",
    [
        lambda y: y.mean(dim=1),
        lambda y: y.max(dim=1).values,
        lambda y: y.amax(1),
        lambda y: y.sum(dim=1) / 9,
        lambda y: y.mean(1, keepdim=True)[:, 0],
        OverSteps(nn.AdaptiveAvgPool1d(1)),
        OverSteps(nn.AdaptiveMaxPool1d(1)),
    ],
    ids=["mean", "max", "amax", "sum", "kept", "average pool", "max pool"],
)
def test_modules_that_pool_all_steps(pool):
    module = Pooled(pool).eval()
    read = read_torch(module, torch.zeros(2, 9, 3))
    assert read.window.steps == 9
    with torch.no_grad():
        want = module(torch.tensor(XS, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(answers(read, XS)[:, -1], want, atol=1e-5)


def test_other_sizes_and_axes_of_torch():
    for pool in (lambda y: y.mean(), OverSteps(nn.AdaptiveAvgPool1d(3)), lambda y: y.amax(2)):
        with pytest.raises(UnsupportedModelError):
            read_torch(Pooled(pool).eval(), torch.zeros(2, 9, 3))
