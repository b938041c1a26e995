"""What quantization-aware training in PyTorch gains over rounding, and what a batch of it costs.

The task, the network and the settings of `benchmarks.quantization_aware`, with a GRU and a linear
layer of PyTorch; Keras is not used. "aware" is `qat_module` trained on the labels, "distilled" the
same on the float network's answers alone. Mean squared errors of the integer models on unseen
streams, in thousandths.

    python -m benchmarks.torch_training
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.quantization_aware import BATCH, EPOCHS, MORE_EPOCHS, SEEDS, error, task
from edgernn_export import quantize
from edgernn_export.compress.pytorch import integer_model, qat_module
from edgernn_export.float_model.model import FloatDense, FloatGRU, FloatLSTM, FloatModel

#: Of the further training; that of the float network is 0.01.
RATE, DISTILLED_RATE = 0.001, 0.0003


class Integrator(nn.Module):
    """A recurrent layer and a linear one."""

    def __init__(self, kind: type[nn.RNNBase], units: int) -> None:
        super().__init__()
        self.rnn = kind(2, units, batch_first=True)
        self.head = nn.Linear(units, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, 2] to [B, T, 1]."""
        made: torch.Tensor = self.head(self.rnn(x)[0])
        return made


def float_network(module: Integrator) -> FloatModel:
    """The float network of the module."""
    w, u, b, c, kernel, bias = (p.detach().double().numpy() for p in module.parameters())
    shared: dict[str, Any] = {"name": "rnn", "kernel": w, "recurrent": u, "bias": b}
    if isinstance(module.rnn, nn.GRU):  # r z n to z r n
        units = len(u) // 3
        order = np.r_[units : 2 * units, :units, 2 * units : 3 * units]
        turned = {"name": "rnn", "kernel": w[order], "recurrent": u[order], "bias": b[order]}
        layer: Any = FloatGRU(**turned, recurrent_bias=c[order], reset_after=True)
    else:
        layer = FloatLSTM(**{**shared, "bias": b + c})
    return FloatModel(
        name="integrator",
        layers=(layer, FloatDense(name="head", kernel=kernel, bias=bias)),
        input_names=("x0", "x1"),
        input_units=("", ""),
        output_names=("y",),
        output_units=("",),
    )


def train(module: nn.Module, xs: Any, ys: Any, rate: float, epochs: int, seed: int) -> None:
    """Adam on the mean squared error, its rate falling to 0."""
    x, y = torch.from_numpy(xs), torch.as_tensor(ys)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(x) // BATCH)
    module.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            nn.functional.mse_loss(module(x[chosen]), y[chosen]).backward()
            optimizer.step()
            falling.step()


def compared(seed: int, precision: str, epochs: int = EPOCHS) -> tuple[float, ...]:
    """Errors of one seed: float, rounded, aware, distilled."""
    torch.manual_seed(seed)
    xs, ys = task(seed)
    unseen = task(seed + 100)
    module = Integrator(nn.GRU, 8)
    train(module, xs, ys, 0.01, epochs, seed)
    with torch.no_grad():
        answers = module(torch.from_numpy(xs))
        missed = module(torch.from_numpy(unseen[0])).numpy() - unseen[1]
    plain = float(np.mean(np.square(missed))) * 1e3
    network = float_network(module)
    found = [plain, error(quantize(network, xs, precision), *unseen)]
    for labels, rate in ((ys, RATE), (answers, DISTILLED_RATE)):
        model = qat_module(network, xs, precision)
        train(model, xs, labels, rate, MORE_EPOCHS, seed)
        found.append(error(integer_model(model), *unseen))
    return tuple(found)


def accuracy() -> None:
    """Print a row for each precision and seed."""
    print("| precision | seed | float | rounded | aware | distilled |\n|---|---|---|---|---|---|")
    for precision in ("w4a8", "w8a8"):
        for seed in SEEDS:
            row = " | ".join(f"{e:.2f}" for e in compared(seed, precision))
            print(f"| {precision} | {seed} | {row} |", flush=True)


def speed() -> None:
    """Print CPU time of a training batch of 32 streams of 100 readings, 32 units."""
    print("| network | float ms | w8a8 ms | w8a16 ms |\n|---|---|---|---|")
    xs, _ = task(0, 32, 100)
    ys = np.zeros((32, 100, 1), np.float32)
    for kind in (nn.LSTM, nn.GRU):
        plain = Integrator(kind, 32)
        network = float_network(plain)
        models = [plain, *(qat_module(network, xs, precision) for precision in ("w8a8", "w8a16"))]
        row = []
        for model in models:
            train(model, xs, ys, 1e-3, 1, 0)
            begin = time.process_time()
            train(model, xs, ys, 1e-3, 3, 0)
            row.append(f"{(time.process_time() - begin) / (3 * len(xs) / BATCH) * 1e3:.0f}")
        print(f"| {kind.__name__} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    speed()
    accuracy()
