"""The benchmark of training in PyTorch: its network is PyTorch's, and training beats rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.quantization_aware import SEEDS
from benchmarks.torch_training import Integrator, compared, float_network
from edgernn_export.float_model.float_run import run


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_float_network_is_the_module(kind):
    torch.manual_seed(0)
    module = Integrator(kind, 5)
    x = torch.randn(2, 30, 2)
    answers = run(float_network(module), x.double().numpy())[0]
    assert np.allclose(answers, module(x).detach(), atol=1e-5)


@pytest.mark.long
def test_training_beats_rounding_to_four_bits_on_average():
    rows = np.array([compared(seed, "w4a8") for seed in SEEDS])
    plain, rounded, aware, distilled = rows.mean(axis=0)
    assert plain < aware < 0.95 * rounded, rows
    assert plain < distilled < 0.95 * rounded, rows
