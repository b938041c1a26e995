"""Small PyTorch modules, the float networks they are, and what training makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatModel,
    FloatSimpleRNN,
)
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import stream

KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Forecaster(nn.Module):
    """Recurrent levels and a linear head, [B, T, 3] to [B, T, 2]."""

    def __init__(self, kind: str, units: int = 6, levels: int = 1, *, bias: bool = True) -> None:
        super().__init__()
        self.rnn = KINDS[kind](3, units, levels, batch_first=True, bias=bias)
        self.head = nn.Linear(units, 2, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0])


def forecaster(kind: str, seed: int = 0, **options: Any) -> Forecaster:
    torch.manual_seed(seed)
    return Forecaster(kind, **options)


def float_network(module: Forecaster) -> FloatModel:
    """The float network of a forecaster, written out by hand."""
    rnn, layers = module.rnn, []
    for level in range(rnn.num_layers):
        w, u, b, c = (_parameter(rnn, f"{part}_l{level}") for part in
                      ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))  # fmt: skip
        layers.append(_layer(rnn, f"level_{level}", w, u, b, c))
    head = _parameter(module.head, "weight"), _parameter(module.head, "bias")
    layers.append(FloatDense(name="head", kernel=head[0], bias=np.zeros(2) + head[1]))
    return FloatModel(
        name="forecaster",
        layers=tuple(layers),
        input_names=("a", "b", "c"),
        input_units=("",) * 3,
        output_names=("y", "z"),
        output_units=("",) * 2,
    )


def _parameter(module: nn.Module, name: str) -> Any:
    found = getattr(module, name, None)
    return 0.0 if found is None else found.detach().double().numpy()


def _layer(rnn: nn.Module, name: str, w: Any, u: Any, b: Any, c: Any) -> FloatLayer:
    no_bias = np.zeros(len(w))
    if isinstance(rnn, nn.GRU):  # r z n to z r n
        size = len(w) // 3
        order = np.r_[size : 2 * size, :size, 2 * size : 3 * size]
        b, c = (np.broadcast_to(bias, no_bias.shape)[order] for bias in (b, c))
        return FloatGRU(
            name=name, kernel=w[order], recurrent=u[order], bias=b, recurrent_bias=c,
            reset_after=True,
        )  # fmt: skip
    kind = FloatLSTM if isinstance(rnn, nn.LSTM) else FloatSimpleRNN
    return kind(name=name, kernel=w, recurrent=u, bias=no_bias + b + c)


def streams(count: int = 3, steps: int = 60, inputs: int = 3, seed: int = 1) -> torch.Tensor:
    """Smooth streams [B, T, I], float32."""
    made = np.stack([stream(steps, inputs, seed=100 * seed + i) for i in range(count)])
    return torch.from_numpy(made.astype(np.float32))


def by_port(model: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Readings [B, T, I] as a network under training takes them: one tensor of each input."""
    ports = model.plan.trained.input_ports
    return list(torch.split(x, [port.width for port in ports], -1)) if ports else [x]


def codes(model: Any, x: torch.Tensor) -> FloatArray:
    """Codes [..., O] of a network under training, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return model.codes(*by_port(model, x)).double().numpy()


def reference_codes(model: IntegerModel, x: torch.Tensor) -> FloatArray:
    """Codes [B, T, O] of the reference."""
    readings = x.double().numpy()
    return Reference(model).run(model.interface().quantize(readings))[0].astype(np.float64)


def moved(model: Any, x: torch.Tensor, size: float = 0.03, rounds: int = 3) -> Any:
    """Move all weights as training would; let shifts and multipliers follow in forward passes."""
    torch.manual_seed(3)
    model.train()
    for _ in range(rounds):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * size)
            model(*by_port(model, x[:, :2]))
    return model


def fitted(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, rate: float, steps: int, batch: int = 8
) -> list[float]:
    """Train on the mean squared error; the losses of all steps."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    losses = []
    for _ in range(steps):
        chosen = torch.randperm(len(x), generator=generator)[:batch]
        loss = nn.functional.mse_loss(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        losses.append(float(loss.detach()))
    return losses
