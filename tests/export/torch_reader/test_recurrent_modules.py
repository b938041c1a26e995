"""nn.LSTM, nn.GRU and nn.RNN in all their forms compute in our float model what torch computes."""

import itertools

import numpy as np
import pytest
import torch

from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.torch_modules import INPUTS, UNITS, Recurrent, answered

FORMS = [
    (kind, layers, both, bias, first, proj)
    for kind, layers, both, bias, first in itertools.product(
        ("LSTM", "GRU", "RNN"), (1, 2, 3), (False, True), (True, False), (True, False)
    )
    for proj in ((0, 2) if kind == "LSTM" else (0,))
]
#: Every value of every option at least once with each kind.
CHOSEN = {
    ("LSTM", 1, False, True, True, 0), ("LSTM", 2, True, False, False, 0),
    ("LSTM", 3, False, True, False, 2), ("LSTM", 1, True, False, True, 2),
    ("GRU", 1, True, True, False, 0), ("GRU", 3, False, False, True, 0),
    ("GRU", 2, True, True, True, 0), ("RNN", 1, False, False, False, 0),
    ("RNN", 2, True, True, True, 0), ("RNN", 3, False, True, False, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "layers", "both", "bias", "first", "proj"),
    [pytest.param(*form, marks=() if form in CHOSEN else pytest.mark.long) for form in FORMS],
)
def test_they_are_read(kind, layers, both, bias, first, proj):
    torch.manual_seed(layers)
    options = {"bias": bias, "batch_first": first} | ({"proj_size": proj} if proj else {})
    options |= {"dropout": 0.3} if layers > 1 else {}
    options |= {"nonlinearity": "relu"} if kind == "RNN" and not bias else {}
    module = Recurrent(kind, layers, both, **options)
    network = read_torch(module, torch.zeros((2, 6, INPUTS) if first else (6, 2, INPUTS)))
    got, wanted = answered(network, module, batch_first=first)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_forms_are_those_of_the_issue():
    assert len(FORMS) == 96
    assert set(FORMS) >= CHOSEN


@pytest.mark.parametrize(
    ("kind", "both", "read"),
    [
        ("LSTM", False, "last"), ("LSTM", True, "state"),
        pytest.param("GRU", False, "state", marks=pytest.mark.long),
        pytest.param("RNN", False, "last", marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_the_last_step_and_the_last_states(kind, both, read):
    module = Recurrent(kind, 2, both, read=read, batch_first=True)
    network = read_torch(module, torch.zeros(2, 6, INPUTS))
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_bare_module_gives_its_output_alone():
    module = torch.nn.LSTM(INPUTS, UNITS, 2, batch_first=True)
    with pytest.warns(UserWarning, match="the network returns its last states"):
        network = read_torch(module, torch.zeros(2, 6, INPUTS))
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_streams_without_an_axis_for_the_batch():
    module = Recurrent("GRU", batch_first=True)
    network = read_torch(module, torch.zeros(6, INPUTS))
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_steps_stay_open_however_long_the_example_is():
    for steps in (1, 2, 400):
        network = read_torch(Recurrent("LSTM", batch_first=True), torch.zeros(2, steps, INPUTS))
        assert network.steps == (1 if steps == 1 else None)
