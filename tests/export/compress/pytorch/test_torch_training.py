"""What training in PyTorch gains, what it keeps and refuses, and that nothing else is loaded."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from edgernn.errors import ShapeError, TrainingError, UnsupportedModelError
from edgernn_export import quantize
from edgernn_export.compress.pytorch import integer_model, qat_module, tuned_network, write_back
from edgernn_export.float_model.float_run import run
from tests.support.models.float import float_model
from tests.support.models.float_networks import two_port_network
from tests.support.runtimes import run_python
from tests.support.training.torch_runs import (
    KINDS,
    codes,
    fitted,
    float_network,
    forecaster,
    moved,
    reference_codes,
    streams,
)


def squared_error(model, x, y):
    return float(np.mean(np.square(reference_codes(model, x) * model.output.scale - y.numpy())))


def test_training_lowers_the_error_that_rounding_leaves():
    """The integers learn what a float network answers; unseen streams judge, five seeds."""
    gains = []
    for seed in range(5):
        network = forecaster("gru", seed, units=8)
        x, unseen = streams(24, 16, seed=seed + 1), streams(16, 40, seed=seed + 50)
        with torch.no_grad():
            network.head.weight.mul_(3.0)
            y, wanted = network(x), network(unseen)
        model = qat_module(float_network(network), x.numpy(), "w4a8")
        rounded = squared_error(integer_model(model), unseen, wanted)
        fitted(model, x, y, rate=1e-3, steps=30)
        gains.append(squared_error(integer_model(model), unseen, wanted) / rounded)
    assert np.mean(gains) < 0.8, gains
    assert max(gains) < 1.0, gains


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gradients_are_those_of_the_float_network(kind):
    """Against autograd of PyTorch's own layers; readings from -1 to 1 with the mean 0."""
    network = forecaster(kind)
    x = torch.clamp(streams(4, 40) / 3.0, -1.0, 1.0)
    x[0, 0] = 1.0
    x = torch.cat((x, -x))
    y = torch.randn(8, 40, 2, generator=torch.Generator().manual_seed(1))
    torch.nn.functional.mse_loss(network(x), y).backward()
    model = qat_module(float_network(network), x.numpy(), "w8a16").eval()
    torch.nn.functional.mse_loss(model(x), y).backward()
    unit = torch.as_tensor(model.plan.columns[0].unit)
    recurrent, head = (layer.float_weights for layer in model.layers)
    rows = torch.arange(len(network.rnn.weight_ih_l0))
    if kind == "gru":  # z r n of r z n
        rows = torch.cat((rows[6:12], rows[:6], rows[12:]))
    rnn = network.rnn
    pairs = {
        "kernel": (rnn.weight_ih_l0.grad[rows].T, recurrent["kernel"], unit[:, None]),
        "recurrent": (rnn.weight_hh_l0.grad[rows].T, recurrent["recurrent_kernel"], 1.0),
        "bias": (rnn.bias_ih_l0.grad[rows], recurrent["bias"], 1.0),
        "head": (network.head.weight.grad.T, head["kernel"], 1.0),
        "head bias": (network.head.bias.grad, head["bias"], 1.0),
    }
    for name, (wanted, weight, unit_of) in pairs.items():
        a, b = wanted.double().ravel(), (weight.value.grad.double() * unit_of).ravel()
        assert float(a @ b / (a.norm() * b.norm())) > 0.999, name
        assert float(a.norm() / b.norm()) == pytest.approx(1.0, abs=0.03), name


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "precision"),
    [("lstm", "w8a8"), pytest.param("gru_after", "w4a16", marks=pytest.mark.long)],
)
def test_gradients_are_those_of_the_keras_model_that_trains_the_same_integers(cell, precision):
    import keras

    from edgernn_export.compress.qat import qat_model
    from edgernn_export.keras_reader import read_keras
    from tests.support.training import qat_runs

    float_ = qat_runs.network(qat_runs.recurrent(cell), keras.layers.Dense(2), share=0.6)
    x = streams(3, 20)
    of_keras = qat_model(float_, x.numpy(), precision)
    model = qat_module(read_keras(float_), x.numpy(), precision)
    y = np.random.default_rng(0).normal(size=(3, 20, 2)).astype(np.float32)
    torch.nn.functional.mse_loss(model.eval()(x), torch.from_numpy(y)).backward()
    wanted = qat_runs.gradients(of_keras, x.double().numpy(), y)
    for gradient, parameter in zip(wanted, model.parameters(), strict=True):
        size = np.abs(gradient).max()
        assert np.allclose(parameter.grad.numpy(), gradient, atol=1e-4 * size)


@pytest.mark.parametrize(("kind", "levels"), [("lstm", 2), ("gru", 2), ("rnn", 1)])
def test_fine_tuned_weights_go_back_to_the_module(kind, levels):
    network, x = forecaster(kind, levels=levels), streams(3, 40)
    trained = float_network(network)
    assert np.allclose(run(trained, x.double().numpy())[0], network(x).detach(), atol=1e-5)
    model = moved(qat_module(trained, x.numpy(), "w8a16"), x)
    parameters = dict(network.named_parameters())
    before = network(x).detach()
    write_back(model, network)
    assert all(found is parameters[name] for name, found in network.named_parameters())
    answers = network(x).detach()
    tuned = run(tuned_network(model), x.double().numpy())[0]
    assert np.allclose(answers, tuned, atol=1e-5)
    integers = model.eval()(x).detach()
    assert (answers - integers).norm() < 0.2 * (before - integers).norm()
    moved(model, x)
    write_back(model, network)  # its layers are known, though no weight is what it was
    assert not torch.equal(network(x), answers)


def test_a_module_that_cannot_take_the_weights_is_refused_and_not_changed():
    network, x = forecaster("lstm", bias=False), streams(3, 30)
    model = moved(qat_module(float_network(network), x.numpy()), x)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(UnsupportedModelError, match="bias=False") as caught:
        write_back(model, network)
    assert len(caught.value.reasons) == 2
    with pytest.raises(UnsupportedModelError, match="weights that it has in no layer"):
        write_back(qat_module(float_network(network), x.numpy()), forecaster("lstm", 5))
    for name, found in network.state_dict().items():
        assert torch.equal(found, before[name])


@pytest.mark.parametrize("cell", ["gru_before", "lstm"])
@pytest.mark.parametrize("state", ["16", "32"])
def test_the_tuned_network_of_an_untrained_module_is_the_network(cell, state):
    """Weights differ by half a step at most, so answers by a little."""
    network, x = float_model(cell, units=6), streams(3, 40).double().numpy()
    tuned = tuned_network(qat_module(network, x, "w8a16", state=state))
    for old, new in zip(network.layers, tuned.layers, strict=True):
        step = np.abs(old.kernel).max(axis=1, keepdims=True) / 127.0
        assert np.all(np.abs(new.kernel - old.kernel) < 2.0 * step)
    a, b = run(network, x)[0], run(tuned, x)[0]
    assert np.linalg.norm(a - b) < 0.02 * np.linalg.norm(a)


def test_weights_are_saved_loaded_and_copied(tmp_path):
    network, x = float_model("gru_after", units=6), streams(3, 40)
    model = moved(qat_module(network, x.numpy(), "w4a8"), x)
    torch.save(model.state_dict(), tmp_path / "qat.pt")
    again = qat_module(network, x.numpy(), "w4a8")
    assert integer_model(again) != integer_model(model)
    again.load_state_dict(torch.load(tmp_path / "qat.pt", weights_only=True))
    assert integer_model(again) == integer_model(model)
    copied = moved(copy.deepcopy(model), x)
    assert integer_model(copied) != integer_model(model)
    assert np.array_equal(codes(copied, x), reference_codes(integer_model(copied), x))


def test_evaluation_moves_no_step_and_training_does():
    model, x = qat_module(float_model("lstm", units=6), streams(3, 40).numpy()), streams(3, 40)
    buffers = copy.deepcopy(dict(model.named_buffers()))
    with torch.no_grad():
        model.layers[0].kernel.mul_(1.5)
    model.eval()(x)
    assert all(torch.equal(found, buffers[name]) for name, found in model.named_buffers())
    model.train()(x)
    assert not all(torch.equal(found, buffers[name]) for name, found in model.named_buffers())


def test_two_passes_before_one_backward_have_each_their_own_gradients():
    """Steps that the second pass moves must not reach the first one's gradients."""
    x = streams(4, 20)
    alone, both = (qat_module(float_model("gru_after", units=6), x.numpy()) for _ in range(2))
    for model in (alone, both):
        model.train()
    loss = alone(x).square().mean()
    loss.backward()
    first = both(x).square().mean()
    with torch.no_grad():
        both.layers[0].recurrent_kernel.mul_(1.5)
    both(x)
    first.backward()
    for ours, theirs in zip(both.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_misuse_is_refused():
    x = streams(3, 30)
    model = qat_module(float_model("lstm", units=6), x.numpy())
    with pytest.raises(ShapeError, match=r"got \(30, 3\). Put the batch first"):
        model(x[0])
    with pytest.raises(ShapeError, match="at least one step"):
        model(x[:, :0])
    with pytest.raises(ShapeError, match="expected a tensor of each of a, b, got"):
        qat_module(two_port_network(), streams(3, 30, 5).numpy())(x)
    with pytest.raises(TrainingError, match="created by qat_module, got another one"):
        integer_model(torch.nn.LSTM(3, 4))
    with torch.no_grad():
        model.layers[0].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="24 that are NaN"):
        integer_model(model)
    with pytest.raises(TrainingError, match=r"expected float32 weights, got torch\.bfloat16"):
        model.bfloat16()(x)


def test_it_needs_neither_keras_nor_tensorflow(tmp_path):
    """All of it runs where these cannot be imported."""
    code = f"""
import sys
for name in ("keras", "tensorflow", "jax", "h5py", "onnx"):
    sys.modules[name] = None
import torch
from edgernn_export.compress import pytorch
from tests.support.training.torch_runs import *
network, x = forecaster("gru"), streams(4, 20)
model = pytorch.qat_module(float_network(network), x.numpy(), "w4a8")
pruner = pytorch.ModulePruner(model, 0.5, end_step=2, frequency=1)
loss, hidden = pytorch.DistillationLoss("values"), pytorch.HiddenStates(model, network)
optimizer = torch.optim.SGD([*model.parameters(), *hidden.parameters()], 0.01)
for _ in range(3):
    optimizer.zero_grad()
    (loss(model(x), network(x)) + hidden()).backward()
    optimizer.step()
    pruner.step()
pytorch.integer_model(model).save({str(tmp_path / "model.edgernn")!r})
pytorch.write_back(model, network)
assert not [name for name in ("keras", "tensorflow", "jax") if sys.modules[name]]
print("done")
"""
    assert run_python("-W", "ignore", "-c", code).strip() == "done"
    assert (tmp_path / "model.edgernn").stat().st_size > 0


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_modules_of_these_tests_are_their_float_networks(name):
    network, x = forecaster(name, 3, levels=2), streams(2, 30)
    answers = run(float_network(network), x.double().numpy())[0]
    assert np.allclose(answers, network(x).detach(), atol=1e-5)


def test_quantize_of_the_tuned_network_is_close_to_the_trained_integers():
    x = streams(4, 40)
    model = moved(qat_module(float_model("gru_after", units=6), x.numpy(), "w8a16"), x)
    ours = codes(model, x) * integer_model(model).output.scale
    again = quantize(tuned_network(model), x.numpy(), "w8a16")
    theirs = reference_codes(again, x) * again.output.scale
    assert np.linalg.norm(ours - theirs) < 0.03 * np.linalg.norm(ours)
