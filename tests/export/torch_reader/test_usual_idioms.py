"""What people write around recurrent modules of PyTorch computes what torch computes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.float_run import answers
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.torch_modules import INPUTS, UNITS, answered

EXAMPLE = torch.zeros(2, 6, INPUTS)


class Written(nn.Module):
    """A recurrent module, a linear one, a vector, and a forward that is passed."""

    def __init__(self, run, kind="GRU", layers=1, both=False, width=None, **options):
        super().__init__()
        torch.manual_seed(layers)
        self.run = run
        self.rnn = getattr(nn, kind)(
            INPUTS, UNITS, layers, bidirectional=both, batch_first=True, **options
        )
        self.cell = nn.LSTMCell(INPUTS, UNITS)
        self.linear = nn.Linear(width or UNITS * (1 + both), 2)
        self.wide = nn.Linear(UNITS, 2 * UNITS)
        self.h = nn.Parameter(torch.randn(layers * (1 + both), 1, UNITS) / 2)
        self.c = nn.Parameter(torch.randn(layers * (1 + both), 1, options.get("cells", UNITS)) / 2)

    def forward(self, x):
        return self.run(self, x)


def check(module, steps=9):
    network = read_torch(module, EXAMPLE)
    got, wanted = answered(network, module, steps=steps, streams=20)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    return network


def expanded(state, x):
    return state.expand(-1, x.size(0), -1).contiguous()


def in_a_loop(self, x):
    h, c = (torch.tanh(one[0]).expand(x.size(0), UNITS) for one in (self.h, self.c))
    made = []
    for t in range(x.size(1)):
        h, c = self.cell(x[:, t], (h, c))
        made.append(self.linear(h))
    return torch.stack(made, 1)


STARTS = {
    "expanded": Written(lambda s, x: s.linear(s.rnn(x, expanded(s.h, x))[0])),
    "repeated": Written(
        lambda s, x: s.linear(
            s.rnn(x, (s.h.repeat(1, len(x), 1), torch.tile(s.c, (1, len(x), 1))))[0]
        ), "LSTM", 2,
    ),
    "of both directions": Written(
        lambda s, x: s.linear(s.rnn(x, s.h.expand(2, x.size(0), UNITS))[0]), both=True
    ),
    "one number": Written(lambda s, x: s.linear(s.rnn(x, torch.full((1, len(x), UNITS), 0.3))[0])),
    "added to zeros": Written(
        lambda s, x: s.linear(s.rnn(x, torch.zeros(1, len(x), UNITS) + s.h)[0])
    ),
    "only of the cell": Written(
        lambda s, x: s.linear(s.rnn(x, (torch.zeros(1, len(x), UNITS), expanded(s.c, x)))[0]),
        "LSTM",
    ),
    "in a loop": Written(in_a_loop),
}  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_constant_first_states(name):
    module = STARTS[name]
    network = check(module)
    layers = getattr(network, "layers", ())
    assert all(layer.start is not None and layer.start.any() for layer in layers[:-1])


def test_first_states_of_a_projected_lstm():
    class Projected(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(INPUTS, UNITS, proj_size=2, batch_first=True)
            self.h, self.c = (nn.Parameter(torch.randn(1, 1, width) / 2) for width in (2, UNITS))

        def forward(self, x):
            return self.rnn(x, (expanded(self.h, x), expanded(self.c, x)))[0]

    check(Projected())


def test_first_states_that_differ_from_stream_to_stream_are_refused():
    module = Written(
        lambda s, x: s.linear(s.rnn(x, torch.arange(2.0 * UNITS).view(1, 2, UNITS))[0])
    )
    with pytest.raises(UnsupportedModelError, match="the same first state for all streams, got 2"):
        read_torch(module, EXAMPLE)


def in_parts(taken):
    def run(self, x):
        state, made = None, []
        for part in taken(x):
            state = self.cell(part.squeeze(1), state)
            made.append(self.linear(state[0]))
        return torch.cat([one.unsqueeze(1) for one in made], 1)

    return run


IDIOMS = {
    "layers and directions apart": Written(
        lambda s, x: s.linear(torch.cat(list(s.rnn(x)[1].view(2, 2, -1, UNITS)[-1]), -1)),
        "GRU", 2, True,
    ),
    "sum of directions": Written(lambda s, x: s.linear(s.rnn(x)[1].sum(0)), both=True, width=UNITS),
    "mean of layers": Written(lambda s, x: s.linear(s.rnn(x)[1].mean(0)), layers=3),
    "mean of features": Written(
        lambda s, x: s.linear(s.rnn(x)[0] - s.rnn(x)[0].mean(-1, keepdim=True))
    ),
    "sum of features": Written(lambda s, x: s.linear(s.rnn(x)[0] * s.rnn(x)[0].sum(2, True))),
    "gated linear unit": Written(lambda s, x: s.linear(functional.glu(s.wide(s.rnn(x)[0])))),
    "softsign": Written(lambda s, x: s.linear(functional.softsign(3 * s.rnn(x)[0]))),
    "the larger one of two": Written(
        lambda s, x: s.linear(torch.max(s.rnn(x)[0], s.wide(s.rnn(x)[0])[..., :UNITS]))
    ),
    "magnitude": Written(lambda s, x: s.linear(s.rnn(x)[0]).abs()),
    "split in a loop": Written(in_parts(lambda x: x.split(1, dim=1))),
    "chunk in a loop": Written(in_parts(lambda x: x.chunk(x.size(1), 1))),
}  # fmt: skip


@pytest.mark.parametrize("name", IDIOMS)
def test_they_are_read(name):
    check(IDIOMS[name])


class OneSeries(nn.Module):
    """The example of PyTorch about sine waves: cells that read numbers one by one."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LSTMCell(1, UNITS), nn.LSTMCell(UNITS, UNITS)
        self.linear = nn.Linear(UNITS, 1)

    def forward(self, x):
        h, c, g, d = (torch.zeros(x.size(0), UNITS) for _ in range(4))
        made = []
        for part in x.split(1, dim=1):
            h, c = self.first(part, (h, c))
            g, d = self.second(h, (g, d))
            made += [self.linear(g)]
        return torch.cat(made, dim=1)


def test_a_series_without_an_axis_of_features():
    torch.manual_seed(1)
    module = OneSeries()
    network = read_torch(module, torch.zeros(2, 6))
    assert network.steps is None
    x = torch.randn(5, 9)
    got = answers(network, x[..., None].double().numpy())
    np.testing.assert_allclose(got[..., 0], module(x).detach(), atol=1e-5)


class Leaky(nn.Module):
    """A loop of an unknown cell, which computes a constant again in every round."""

    def __init__(self):
        super().__init__()
        self.linear, self.rate = nn.Linear(INPUTS, UNITS), nn.Parameter(torch.rand(UNITS))

    def forward(self, x):
        h, made = x.new_zeros(x.size(0), UNITS), []
        for t in range(x.size(1)):
            h = self.rate * h + (1 - self.rate) * self.linear(x[:, t])
            made.append(h)
        return torch.stack(made, 1)


def test_an_unknown_loop_is_refused_for_one_reason():
    with pytest.raises(UnsupportedModelError) as caught:
        read_torch(Leaky(), EXAMPLE)
    (reason,) = caught.value.reasons
    assert "expected a loop over the steps that passes on the states of nn.GRUCell" in reason


def test_an_empty_list_of_axes_means_all():
    module = Written(lambda s, x: s.linear(s.rnn(x)[0] + s.rnn(x)[0].sum(dim=[], keepdim=True)))
    with pytest.raises(UnsupportedModelError, match="the sum of all steps"):
        read_torch(module, EXAMPLE)


#: What resembles x / (1 + |x|).
RESEMBLING = {
    "another sum": (lambda y: y / torch.add(y.abs(), 1, alpha=2), "a division by a constant"),
    "rounded": (lambda y: torch.div(y, 1 + y.abs(), rounding_mode="floor"), "one that rounds"),
}


@pytest.mark.parametrize("name", RESEMBLING)
def test_what_resembles_a_softsign_is_refused(name):
    divided, got = RESEMBLING[name]
    with pytest.raises(UnsupportedModelError, match=got):
        read_torch(Written(lambda s, x: s.linear(divided(s.rnn(x)[0]))), EXAMPLE)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = nn.MultiheadAttention(INPUTS, 1, batch_first=True)

    def forward(self, x):
        return self.heads(x, x, x, need_weights=False)[0]


class Chooses(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.Bilinear(INPUTS, INPUTS, 2)

    def forward(self, x):
        return self.both(x, x)


REFUSED = {
    "Train with a recurrent layer instead": (
        Attention(), Written(lambda s, x: s.linear(torch.cumsum(s.rnn(x)[0], 1))),
        Written(lambda s, x: s.linear(s.rnn(x)[0].amin(1))),
    ),
    "choose by value with nn.ReLU, torch.clamp or torch.maximum": (Chooses(),),
    "the product of two nn.Linear": (Bilinear(),),
    "which choose by value": (Written(lambda s, x: torch.where(x > 0, x, 0.1 * x)),),
    "take the largest one outside": (Written(lambda s, x: s.linear(s.rnn(x)[0]).argmax(-1)),),
    "use output[:, -1] and omit the lengths": (
        Written(lambda s, x: s.rnn(x)[0][torch.arange(len(x)), -1]),
    ),
    "draws no random numbers": (Written(lambda s, x: s.rnn(x, torch.randn(1, len(x), UNITS))[0]),),
    "Train with nn.Linear, or torch.matmul": (
        Written(lambda s, x: torch.einsum("bti,oi->bto", s.rnn(x)[0], s.linear.weight)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("cure", REFUSED)
def test_refusals_name_what_helps(cure):
    for module in REFUSED[cure]:
        with pytest.raises(UnsupportedModelError) as caught:
            read_torch(module, EXAMPLE)
        assert any(cure in reason for reason in caught.value.reasons), caught.value.reasons
