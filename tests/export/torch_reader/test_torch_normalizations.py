"""Layer normalization of PyTorch, also written by hand and by exporters to ONNX."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import edgernn
from edgernn.errors import UnsupportedModelError
from edgernn_export import quantize
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.onnx_files import torch_file
from tests.support.models.torch_modules import INPUTS, Normalized, OwnNorm, answered

EXAMPLE = torch.randn(2, 6, INPUTS)
KINDS = ["dense", "layer_norm", "gru", "layer_norm", "dense"]
NORMS = {
    "module": nn.LayerNorm,
    "other epsilon": functools.partial(nn.LayerNorm, eps=0.2),
    "without bias": functools.partial(nn.LayerNorm, bias=False),
    "without parameters": functools.partial(nn.LayerNorm, elementwise_affine=False),
    **{
        form: functools.partial(OwnNorm, form=form)
        for form in ("usual", "squares", "power", "axis left out", "var")
    },
}


def made(name):
    torch.manual_seed(4)
    return Normalized(NORMS[name]).eval()


@pytest.mark.parametrize("name", NORMS)
def test_modules(name):
    module = made(name)
    network = read_torch(module, EXAMPLE)
    assert [layer.kind for layer in network.layers] == KINDS
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("name", NORMS)
def test_files_of_the_exporter(name, opset):
    """Before opset 17 it writes a module out as its arithmetic."""
    module = made(name)
    axes = {"x": {0: "batch", 1: "time"}}
    network = read_onnx(
        torch_file(module, (EXAMPLE,), opset_version=opset, input_names=["x"], dynamic_axes=axes)
    )
    assert [layer.kind for layer in network.layers] == KINDS
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_both_directions():
    torch.manual_seed(4)
    module = Normalized(both=True).eval()
    network = read_torch(module, EXAMPLE)
    assert len(network.programs) > 1
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    xs = np.random.default_rng(1).normal(size=(20, 30, INPUTS))
    model, made = quantize(network, xs, "w8a16", progress=False), {}
    for backend in ("reference", "native"):
        with edgernn.load(model, backend=backend) as session:
            made[backend] = session.run(xs[0])
    assert np.array_equal(made["reference"], made["native"])
    assert np.abs(made["native"] - network.run(xs[:1])[0]).max() < 0.05


def test_an_epsilon_that_looks_like_none():
    """It keeps rows of equal values finite."""
    module = Normalized(functools.partial(OwnNorm, epsilon=1e-12))
    norms = [one for one in read_torch(module, EXAMPLE).layers if one.kind == "layer_norm"]
    assert {one.epsilon for one in norms} == {1e-12}


REFUSED = {
    "estimated": "expected the variance of all features (correction=0)",
    "outside": "roots and quotients in layer normalization only",
    "mean square": "roots and quotients in layer normalization only",
}


@pytest.mark.parametrize("form", REFUSED)
def test_other_normalizations(form):
    module = Normalized(functools.partial(OwnNorm, form=form))
    with pytest.raises(UnsupportedModelError) as caught:
        read_torch(module, EXAMPLE)
    assert any(REFUSED[form] in reason for reason in caught.value.reasons)
    if form != "estimated":  # torch itself writes that out
        with pytest.raises(UnsupportedModelError, match="roots and quotients in layer"):
            read_onnx(torch_file(module.eval(), (EXAMPLE,), opset_version=17))


class _OfSteps(nn.Module):
    """A normalization of other axes than the features."""

    def __init__(self, shape):
        super().__init__()
        self.rnn, self.norm = nn.GRU(INPUTS, 4, batch_first=True), nn.LayerNorm(shape)

    def forward(self, x):
        return self.norm(self.rnn(x)[0])


def test_steps_that_are_normalized_together():
    with pytest.raises(UnsupportedModelError, match="the features of a step normalized together"):
        read_torch(_OfSteps((6, 4)), EXAMPLE)


class _Middle(nn.Module):
    """Features less their mean, and the mean itself."""

    def __init__(self):
        super().__init__()
        self.rnn, self.last = nn.GRU(INPUTS, 4, batch_first=True), nn.Linear(5, 2)

    def forward(self, x):
        y = self.rnn(x)[0]
        mean = y.mean(-1, keepdim=True)
        return self.last(torch.cat([y - mean, y.mean(2).unsqueeze(2)], -1))


def test_means_of_features():
    module = _Middle()
    for network in (read_torch(module, EXAMPLE), read_onnx(torch_file(module, (EXAMPLE,)))):
        got, wanted = answered(network, module, steps=6)
        np.testing.assert_allclose(got, wanted, atol=1e-5)


class _Average(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(INPUTS, 4, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0].mean(0)


def test_means_of_streams():
    wanted = r"the mean of all steps, or of features, got one over the batch axis\. Train without"
    with pytest.raises(UnsupportedModelError, match=wanted):
        read_torch(_Average(), EXAMPLE)
