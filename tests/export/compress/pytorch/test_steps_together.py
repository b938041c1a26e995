"""Steps that are computed together give the codes and the gradients of the loop over them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from edgernn_export.compress.pytorch import layers, qat_module, steps_together
from edgernn_export.compress.qat.integer_side.sequences import recurrent
from edgernn_export.float_model.model import FloatDense, FloatModel
from tests.support.models.float import FLOAT_CELLS, float_model
from tests.support.models.registered import ALL_CELLS, float_cell
from tests.support.training.torch_runs import streams

#: Cells with units that meet between matrix products, which the loop runs.
LOOPED = ("layer_norm_gru", "layer_norm_lstm")
CELLS = [*FLOAT_CELLS, *ALL_CELLS]
FEW = ("lstm", "gru_after", "gru_before", "simple_rnn", "projected_lstm")
#: Its first layer overflows with the weights of these networks.
REFUSED = ("simple_rnn_relu", "w4a16")


def two_layers(cell):
    if cell in FLOAT_CELLS:
        network = float_model(cell, units=6)
        first = network.layers[0]
        kernel = np.resize(np.random.default_rng(5).normal(size=99), (len(first.kernel), 6))
        second = dataclasses.replace(first, name="second", kernel=0.4 * kernel)
    else:
        first, second = (float_cell(cell, n, w, 6, gain=0.6) for n, w in (("a", 3), ("b", 6)))
    head = FloatDense(name="head", kernel=np.ones((2, 6)), bias=np.zeros(2))
    return FloatModel(
        name=cell, layers=(first, second, head), input_names=("a", "b", "c"),
        input_units=("",) * 3, output_names=("y", "z"), output_units=("",) * 2,
    )  # fmt: skip


def passed(model, run, monkeypatch):
    """Codes, and gradients of weights and of the states before the part, by the loss of both."""
    monkeypatch.setattr(layers, "recurrent_together", run)
    x = streams(3, 25)
    with torch.no_grad():
        _, states = model.stream(x[:, :6])
    states = [tuple(one.clone().requires_grad_() for one in kept) for kept in states]
    outputs, after = model.stream(x[:, 6:], states=states)
    loss = outputs.square().sum() + sum((one * 1e-4).square().sum() for k in after for one in k)
    wanted = [*model.parameters(), *(one for kept in states for one in kept)]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return outputs.detach(), [torch.zeros(1) if one is None else one for one in found]


@pytest.mark.parametrize(
    ("cell", "precision", "state"),
    [
        pytest.param(cell, precision, state,
                     marks=() if few and cell in FEW else pytest.mark.long)
        for cell in CELLS
        for precision, state, few in (("w8a8", "16", True), ("w4a16", "16", False),
                                      ("w8a16", "32", cell == "lstm"))
        if state == "16" or cell in ("lstm", "gru_after", "gru_before")
        if (cell, precision) != REFUSED
    ],
)  # fmt: skip
def test_codes_and_gradients_are_those_of_the_loop(cell, precision, state, monkeypatch):
    looped = []

    def loop(*given):
        looped.append(1)
        return recurrent(*given)

    x = streams(3, 40).numpy()
    options = {"weight_bits": {"a": 4, "b": 4}} if cell in ALL_CELLS and "4" in precision else {}
    model = qat_module(two_layers(cell), x, precision, state=state, **options).eval()
    wanted, gradients = passed(model, recurrent, monkeypatch)
    monkeypatch.setattr(steps_together, "recurrent", loop)
    made, ours = passed(model, steps_together.recurrent_together, monkeypatch)
    assert torch.equal(made, wanted)
    assert bool(looped) == (cell in LOOPED)
    for found, expected in zip(ours, gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
    assert sum(float(one.abs().max()) > 0 for one in gradients) >= len(list(model.parameters()))


def test_states_that_the_clauses_do_not_end_in_are_not_taken(monkeypatch):
    """The loop runs then."""
    x = streams(3, 40)
    model = qat_module(float_model("lstm", units=6), x.numpy()).eval()
    wanted = model.codes(x)
    of_reference = steps_together._states_of_reference

    def wrong(*given):
        found = of_reference(*given)
        found[1][20, 0, 3] += 1.0
        return found

    monkeypatch.setattr(steps_together, "_states_of_reference", wrong)
    assert torch.equal(model.codes(x), wanted)
