"""Loops over the steps, with cells of torch or cells written by hand, are recurrent layers."""

import numpy as np
import pytest
import torch

from edgernn.errors import UnsupportedModelError
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.torch_modules import (
    INPUTS,
    LOOPS,
    Feedback,
    LastOfCell,
    SixSteps,
    answered,
)

KINDS = {
    "cells": ["GRU", "LSTM", "SimpleRNN", "Pointwise", "Dense"],
    "filled": ["Dense", "SimpleRNN", "Dense"],
    "LSTM": ["LSTM", "Dense"],
}
RARE = ("reset after, difference", "reset after, mirrored")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in RARE else ()) for name in LOOPS]
)
def test_they_are_read(name):
    torch.manual_seed(1)
    module = LOOPS[name]()
    network = read_torch(module, torch.zeros(2, 4, INPUTS))
    assert network.steps is None
    found = [type(layer).__name__.removeprefix("Float") for layer in network.layers]
    assert found == KINDS.get(name, ["GRU", "Dense"])
    if name.startswith("reset"):
        assert network.layers[0].reset_after == name.startswith("reset after")
    got, wanted = answered(network, module)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_the_last_state_of_a_cell():
    module = LastOfCell()
    network = read_torch(module, torch.zeros(4, 2, INPUTS))
    got, wanted = answered(network, module, batch_first=False)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert not network.return_sequences


def test_a_loop_of_fixed_length_is_a_network_of_windows():
    module = SixSteps()
    network = read_torch(module, torch.zeros(2, 6, INPUTS))
    assert network.steps == 6
    got, wanted = answered(network, module, steps=6)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_loop_over_some_of_the_steps_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"\[0\] of the time axis"):
        read_torch(SixSteps(), torch.zeros(2, 8, INPUTS))


def test_a_loop_that_feeds_its_answer_back_is_refused():
    with pytest.raises(UnsupportedModelError) as caught:
        read_torch(Feedback(), torch.zeros(2, 4, INPUTS))
    assert len(caught.value.reasons) == 1
    assert "expected a loop over the steps that passes on the states of nn.GRUCell" in str(
        caught.value
    )
    assert "torch_modules.py:" in str(caught.value)
