"""Pruning of PyTorch modules: masks that stay, in the groups and with the densities asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgernn.errors import PruningError
from edgernn.model.storage import Storage
from edgernn_export.compress.pruning.masks import PATTERNS, renew
from edgernn_export.compress.pytorch import ModulePruner, integer_model, qat_module
from tests.support.models.float import float_model
from tests.support.training.torch_runs import codes, forecaster, reference_codes, streams


def trained(module, pruner, steps, x=None):
    """Steps of an optimizer with momentum, each followed by the pruner's."""
    x = streams(4, 8) if x is None else x
    optimizer = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()
        pruner.step()


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_masked_weights_stay_zero_in_tiles(kind):
    network = forecaster(kind, units=8)
    optimized = list(network.parameters())
    pruner = ModulePruner(network, 0.4, begin_step=1, end_step=4, frequency=2, pattern="4x4")
    assert pruner.densities()["rnn/kernel"]["all"] == 1.0
    trained(network, pruner, 6)
    assert pruner.finished
    assert [id(p) for p in network.parameters()] == [id(p) for p in optimized]
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
    weights = network.rnn.weight_hh_l0.detach().numpy().reshape(gates, 2, 4, 2, 4)
    filled = (weights != 0.0).sum(axis=(2, 4))
    assert set(np.unique(filled)) == {0, 16}
    assert 0.2 < np.mean(filled == 16) < 0.7
    assert pruner.report().startswith("batch 6 of 4, 4x4\nmatrix")


def test_masks_are_those_of_the_weights_gate_by_gate():
    """A GRU of PyTorch has r z n; masks and densities go by the names of the gates, z r n."""
    network = forecaster("gru")
    before = network.rnn.weight_ih_l0.detach().numpy().astype(np.float64).copy()
    asked = {"z": 0.25, "n": 0.5}
    pruner = ModulePruner(network, asked, end_step=0, matrices=["kernel"], allocation="gate")
    after = network.rnn.weight_ih_l0.detach().numpy()
    reset, update, candidate = np.split(after != 0.0, 3)
    assert reset.all()
    found = {"z": update, "n": candidate}
    for gate, rows in (("z", slice(6, 12)), ("n", slice(12, 18))):
        weights = before[rows][None]
        wanted = renew(
            weights, np.ones(weights.shape, bool), density=asked[gate],
            pattern=PATTERNS["unstructured"], norm="l1", keep_diagonal=False,
        )  # fmt: skip
        assert np.array_equal(found[gate], wanted[0])
    mask = pruner.masks["rnn/kernel"]
    assert np.array_equal(mask, np.concatenate((update, reset, candidate)))
    assert pruner.densities()["rnn/kernel"]["r"] == 1.0


def test_levels_linear_layers_and_convolutions_by_their_paths():
    module = nn.ModuleDict(
        {
            "taps": nn.Conv1d(3, 8, 2),
            "rnn": nn.LSTM(8, 4, 2, bidirectional=True),
            "cell": nn.GRUCell(4, 4),
            "head": nn.Linear(8, 2),
        }
    )
    ModulePruner(module, 0.5, end_step=0, layers=["taps", "head", "rnn.l1_reverse"])
    share = {n: float((p == 0.0).float().mean()) for n, p in module.named_parameters()}
    assert share["taps.weight"] == share["head.weight"] == 0.5
    assert share["rnn.weight_hh_l1_reverse"] > 0.3
    assert share["rnn.weight_hh_l0"] == share["cell.weight_hh"] == 0.0
    pruner = ModulePruner(module, 0.5, end_step=0)
    assert set(pruner.masks) == {
        f"{path}/{kind}"
        for path in ("rnn.l0", "rnn.l0_reverse", "rnn.l1", "rnn.l1_reverse", "cell")
        for kind in ("kernel", "recurrent_kernel")
    }


def test_tiles_of_a_convolution_are_those_of_the_integer_model():
    """Its columns are the taps, the newest first; PyTorch has the oldest first."""
    module = nn.Sequential(nn.Conv1d(4, 4, 3))
    with torch.no_grad():
        module[0].weight.fill_(1.0)
        module[0].weight[:, :, -1] = 2.0
    pruner = ModulePruner(module, 1 / 3, end_step=0, layers=["0"], pattern="4x4")
    (mask,) = pruner.masks.values()
    assert mask[:, :4].all()
    assert not mask[:, 4:].any()
    assert (module[0].weight[:, :, -1] == 2.0).all()
    assert (module[0].weight[:, :, :-1] == 0.0).all()


def test_a_run_is_saved_and_resumed(tmp_path):
    network = forecaster("lstm", units=8)
    pruner = ModulePruner(network, 0.3, end_step=6, frequency=2)
    trained(network, pruner, 3)
    pruner.save(tmp_path / "pruning.npz")
    again = ModulePruner.resume(tmp_path / "pruning.npz", network)
    assert again.batches == 3
    trained(network, again, 3)
    assert again.finished
    with pytest.raises(PruningError, match="of the saved state"):
        ModulePruner.resume(tmp_path / "pruning.npz", forecaster("gru"))
    with pytest.raises(PruningError, match="nonzero weights"):
        ModulePruner.resume(tmp_path / "pruning.npz", forecaster("lstm", 1, units=8))


def test_pruned_weights_of_a_module_under_training_are_stored_sparse():
    x = streams(4, 10)
    model = qat_module(float_model("lstm", units=16), x.numpy())
    recurrent, head = (layer.name for layer in model.layers)
    pruners = [
        ModulePruner(model, 0.3, end_step=2, frequency=1, pattern="4x4"),
        ModulePruner(model, 0.5, end_step=2, frequency=1, layers=[head]),
    ]
    for pruner in pruners:
        trained(model, pruner, 3, x)
    for pruner in pruners:  # the second run moved what the first one masks
        pruner.step()
    integer = integer_model(model)
    masks = pruners[0].masks
    kept = np.concatenate([masks[f"{recurrent}/{m}"] for m in ("kernel", "recurrent_kernel")], 1)
    stored = np.concatenate([term.weights for term in integer.layers[0].gates.terms], axis=1)
    assert not stored[~kept].any()
    assert {term.storage for term in integer.layers[0].gates.terms} == {Storage.SPARSE8}
    assert np.count_nonzero(integer.layers[1].out.terms[0].weights) <= 16
    assert np.array_equal(codes(model, x), reference_codes(integer, x))


def test_what_cannot_be_pruned_is_refused():
    network = forecaster("gru")
    with pytest.raises(PruningError, match=r"got 'nothing'. This module has 'rnn', 'head'"):
        ModulePruner(network, 0.5, end_step=1, layers=["nothing"])
    with pytest.raises(PruningError, match=r"among z, r, n, got 'i'.* one ModulePruner per kind"):
        ModulePruner(network, {"i": 0.5}, end_step=1)
    with pytest.raises(PruningError, match="Linear: expected kernel or recurrent_kernel to prune"):
        ModulePruner(nn.Linear(3, 3), 0.5, end_step=1)
    with pytest.raises(PruningError, match="pattern: expected one of"):
        ModulePruner(network, 0.5, end_step=1, pattern="3x3")
    depthwise = nn.Sequential(nn.Conv1d(3, 3, 2, groups=3))
    with pytest.raises(PruningError, match="This module has none"):
        ModulePruner(depthwise, 0.5, end_step=1, layers=["0"])
    nn.utils.parametrizations.weight_norm(network.head)
    with pytest.raises(PruningError, match="head/kernel: expected a parameter, got Tensor"):
        ModulePruner(network, 0.5, end_step=1, layers=["head"])
