"""Modules of PyTorch are read, trained as integers, and get their fine-tuned weights back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgernn.errors import TrainingError, UnsupportedModelError
from edgernn_export.compress.pytorch import (
    integer_model,
    qat_module,
    tuned_network,
    write_back,
)
from edgernn_export.float_model.float_run import run, with_softmax
from tests.support.models.torch_modules import Cells, Recurrent, ResetBefore, Residual
from tests.support.training.torch_runs import (
    codes,
    float_network,
    forecaster,
    moved,
    reference_codes,
    streams,
)

MODULES = {
    "lstm": lambda: Recurrent("LSTM", 2, batch_first=True),
    "residual": Residual,
    "cells": Cells,
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_trained_and_written_back(name):
    torch.manual_seed(1)
    module, x = MODULES[name](), streams(3, 20)
    model = qat_module(module, x.numpy(), "w8a16")
    assert np.array_equal(codes(model, x), reference_codes(integer_model(model), x))
    moved(model, x)
    assert np.array_equal(codes(model, x), reference_codes(integer_model(model), x))
    write_back(model, module)
    network = tuned_network(model)
    tuned = with_softmax(network, run(network, x.double().numpy())[0])
    assert np.allclose(module.eval()(x).detach(), tuned, atol=1e-5)


def test_it_starts_where_a_network_that_was_read_already_starts():
    network, x = forecaster("gru"), streams(3, 30)
    of_module, of_network = (
        qat_module(source, x.numpy(), "w4a8") for source in (network, float_network(network))
    )
    ours, theirs = integer_model(of_module), integer_model(of_network)
    assert (ours.input.scale == theirs.input.scale).all()
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert list(a.affines.values()) == list(b.affines.values())


class Words(torch.nn.Module):
    """A table of tokens, a GRU and a linear layer."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(9, 4)
        self.rnn, self.head = torch.nn.GRU(4, 5, batch_first=True), torch.nn.Linear(5, 9)

    def forward(self, tokens):
        return self.head(self.rnn(self.table(tokens))[0])


def test_tokens_of_a_module_are_integers():
    torch.manual_seed(1)
    module, x = Words(), torch.randint(0, 9, (3, 20))
    model = qat_module(module, x[..., None].numpy(), "w8a16", example=x[:1])
    model(x).square().mean().backward()
    assert model.layers[0].embeddings.grad.abs().max() > 0
    moved(model, x[..., None].float())
    model.eval()
    assert np.array_equal(
        model.codes(x).detach().numpy(), reference_codes(integer_model(model), x[..., None])
    )
    write_back(model, module)
    tuned = run(tuned_network(model), x[..., None].double().numpy())[0]
    assert np.allclose(module(x).detach(), tuned, atol=1e-5)


def test_a_layer_written_by_hand_keeps_its_weights_apart():
    """It is trained, and its float network is at hand; PyTorch's own layers alone are written."""
    torch.manual_seed(1)
    module, x = ResetBefore(), streams(3, 6)
    model = moved(qat_module(module, x.numpy(), "w8a16"), x)
    assert np.array_equal(codes(model, x), reference_codes(integer_model(model), x))
    with pytest.raises(UnsupportedModelError, match="Take the float network itself"):
        write_back(model, module)
    assert tuned_network(model).layers


def test_a_module_that_reads_backward_is_refused():
    with pytest.raises((TrainingError, UnsupportedModelError), match="backward"):
        qat_module(Recurrent("LSTM", both=True, batch_first=True), streams(3, 20).numpy())
