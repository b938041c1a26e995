"""Whole networks of PyTorch: around recurrent modules, packed sequences, states, programs."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations, prune

import edgernn
from edgernn_export import quantize
from edgernn_export.networks.front_door import read_network
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.torch_modules import (
    INPUTS,
    UNITS,
    GivenStates,
    OwnZeros,
    Packed,
    Recurrent,
    Residual,
    SixSteps,
    Tokens,
    answered,
)

EXAMPLE = torch.zeros(2, 6, INPUTS)


@pytest.mark.parametrize("made", [Residual, OwnZeros])
def test_layers_around_recurrent_modules(made):
    module = made()
    got, wanted = answered(read_torch(module, EXAMPLE), module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_tokens_normalization_and_causal_convolutions():
    module = Tokens()
    network = read_torch(module, torch.zeros(2, 7, dtype=torch.int64))
    got, wanted = answered(network, module, tokens=10)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("is_sorted", "first", "both"),
    [
        (False, True, True), (True, False, False),
        pytest.param(False, False, False, marks=pytest.mark.long),
        pytest.param(True, True, True, marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_packed_sequences_are_streams_of_their_own_lengths(is_sorted, first, both):
    module = Packed(is_sorted, first, both)
    shape = (3, 7, INPUTS) if first else (7, 3, INPUTS)
    network = read_torch(module, (torch.zeros(*shape), torch.tensor([7, 5, 3])))
    torch.manual_seed(5)
    lengths = [9, 4, 7] if not is_sorted else [9, 7, 4]
    x = torch.randn(3, 9, INPUTS)
    with torch.no_grad():
        given = module(x if first else x.transpose(0, 1), torch.tensor(lengths))
    wanted = (given if first else given.transpose(0, 1)).numpy()
    for stream, answer, length in zip(x.numpy(), wanted, lengths, strict=True):
        got = _run(network, stream[None, :length].astype(np.float64))
        np.testing.assert_allclose(got[0], answer[:length], atol=1e-5)


def _run(network, xs):
    from edgernn_export.float_model.float_run import answers

    return network.run(xs) if hasattr(network, "programs") else answers(network, xs)


def test_states_that_come_in_and_go_out_are_the_session_s():
    module = GivenStates()
    with pytest.warns(UserWarning, match="has its states as inputs"):
        network = read_torch(module, (EXAMPLE, torch.zeros(2, 2, UNITS)))
    assert network.stateful
    got, wanted = answered(network, module, rest=(torch.zeros(2, 200, UNITS),))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("way", ["pruned", "weight_norm"])
def test_effective_weights_are_read(way):
    module = Recurrent("GRU", batch_first=True)
    if way == "pruned":
        prune.l1_unstructured(module.rnn, "weight_hh_l0", 0.5)
    else:
        parametrizations.weight_norm(module.rnn, "weight_hh_l0")
    network = read_torch(module, EXAMPLE)
    assert [layer.name for layer in network.layers] == ["rnn", "linear"]
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    if way == "pruned":
        assert np.mean(network.layers[0].recurrent == 0.0) >= 0.49


def test_the_module_stays_as_it_is():
    module = Residual()
    module.rnn.eval()
    calls = []
    module.last.register_forward_hook(lambda *_: calls.append(1))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    forward = torch.nn.LSTM.forward
    read_torch(module, EXAMPLE)
    assert [one.training for one in (module, module.rnn, module.drop)] == [True, False, True]
    assert torch.nn.LSTM.forward is forward
    assert len(module.last._forward_hooks) == 1
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.filterwarnings("ignore:`torch.jit")  # of modules that torch.compile imports
@pytest.mark.parametrize("wrapped", [torch.nn.DataParallel, torch.compile])
def test_wrapped_modules(wrapped):
    module = Recurrent("LSTM", batch_first=True)
    network = read_torch(wrapped(module), EXAMPLE)
    assert network.name == "Recurrent"
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


class Joined(Recurrent):
    """Steps and streams as one axis: a program has their numbers inside."""

    def forward(self, x):
        batch, steps, _ = x.shape
        y = self.rnn(x)[0].reshape(batch * steps, UNITS)
        return self.linear(y).view(batch, steps, 2)


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch's own recurrent modules
@pytest.mark.parametrize(
    ("made", "steps"),
    [
        (lambda: Recurrent("LSTM", batch_first=True), None),
        (lambda: Recurrent("GRU", 2, batch_first=False), None),
        (lambda: Recurrent("LSTM", read="last", batch_first=True), 6),
        (lambda: Joined("LSTM", batch_first=True), 6),
        (SixSteps, 6),
    ],
)
def test_programs_of_torch_export(tmp_path, made, steps):
    """torch fixes the steps of recurrent modules; answers to every step do not depend on them."""
    module = made().eval()
    first = not hasattr(module, "rnn") or module.rnn.batch_first
    path = tmp_path / "gait.pt2"
    example = torch.zeros((1, 6, INPUTS) if first else (6, 1, INPUTS))
    torch.export.save(torch.export.export(module, (example,)), path)
    network = read_network(path)
    assert (network.name, network.steps) == ("gait", steps)
    got, wanted = answered(network, module, steps=steps or 17, batch_first=first)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("first", [True, False])
def test_an_example_is_made_of_the_calibration(first):
    rng = np.random.default_rng(0)
    module = Recurrent("GRU", batch_first=first)
    calibration = [rng.normal(size=(n, INPUTS)) for n in (400, 500, 600)]
    model = quantize(module, calibration, stream="endless", progress=False)
    with edgernn.load(model, backend="reference") as session:
        got = session.run(calibration[0])
    x = torch.as_tensor(calibration[0], dtype=torch.float32)
    with torch.no_grad():
        wanted = module.eval()(x[None] if first else x[:, None]).numpy().reshape(-1, 2)
    assert np.abs(got - wanted).max() < 0.1 * np.ptp(wanted)


def test_an_example_of_tokens_is_made_of_the_calibration():
    module = torch.nn.Sequential(torch.nn.Embedding(10, 4), Recurrent("GRU", batch_first=True))
    module[1].rnn = torch.nn.GRU(4, UNITS, batch_first=True)
    tokens = np.random.default_rng(0).integers(0, 10, size=(30, 40, 1))
    model = quantize(module, tokens, stream="endless", progress=False)
    assert [layer.name for layer in model.layers] == ["0", "1_rnn", "1_linear"]


def test_tensorflow_and_keras_are_not_imported(tmp_path):
    program = """
import importlib.machinery
import sys


class Blocked:  # torch looks for them, and imports none
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise ImportError(f"blocked: {spec.name}")


sys.meta_path.insert(0, Blocked())
import numpy as np
import torch

from edgernn_export import quantize

module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LSTM(4, 4, batch_first=True))
xs = np.random.default_rng(0).normal(size=(20, 60, 3))
quantize(module, xs, stream="endless", progress=False).save("model.edgernn")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.edgernn").exists()
