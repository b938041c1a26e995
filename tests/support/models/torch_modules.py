"""Modules of PyTorch as people write them, and what they answer."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from edgernn_export.float_model.float_run import answers, with_softmax

#: Width of readings and of states.
INPUTS, UNITS = 3, 5


def answered(network, module, steps=11, streams=200, *, batch_first=True, rest=(), tokens=0):
    """What a network that was read answers to random streams, and what its module answers.

    Returns:
        Two arrays of one shape, [B, T, O], or [B, O] where the module answers the last step alone.
    """
    torch.manual_seed(11)
    shape = (streams, steps) if batch_first else (steps, streams)
    x = torch.randint(0, tokens, shape) if tokens else torch.randn(*shape, INPUTS)
    module.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch itself: what oneDNN has no kernel for
        given = module(x, *rest)
    wanted = (given[0] if isinstance(given, tuple) else given).numpy()
    xs = x.numpy().astype(np.float64)
    xs = xs[..., None] if tokens else xs
    if not batch_first:
        xs = xs.swapaxes(0, 1)
        wanted = wanted.swapaxes(0, 1) if wanted.ndim == 3 else wanted
    if hasattr(network, "programs"):
        return network.run(xs), wanted
    got = with_softmax(network, answers(network, xs))
    return (got[:, -1] if wanted.ndim == 2 else got), wanted


class Recurrent(nn.Module):
    """A recurrent module and a linear one that reads all its steps, the last one, or its state."""

    def __init__(self, kind, layers=1, both=False, *, read="all", **options):
        super().__init__()
        make = getattr(nn, kind)
        self.rnn = make(INPUTS, UNITS, layers, bidirectional=both, **options)
        width = (self.rnn.proj_size or UNITS) * (2 if both else 1)
        self.linear, self.read = nn.Linear(width, 2), read

    def forward(self, x):
        y, state = self.rnn(x)
        if self.read == "all":
            return self.linear(y)
        if self.read == "last":
            return self.linear(y[:, -1] if self.rnn.batch_first else y[-1])
        h = state[0] if isinstance(state, tuple) else state
        ends = [h[-2], h[-1]] if self.rnn.bidirectional else [h[-1]]
        return self.linear(torch.cat(ends, 1))


class Residual(nn.Module):
    """Dense layers, a residual connection, concatenation, dropout and a softmax."""

    def __init__(self):
        super().__init__()
        self.first, self.act = nn.Linear(INPUTS, 6), nn.ReLU(inplace=True)
        self.rnn, self.drop = nn.LSTM(6, 6, batch_first=True), nn.Dropout(0.5)
        self.last = nn.Linear(12, 3)

    def forward(self, x):
        z = self.act(self.first(x))
        y = self.drop(self.rnn(z)[0]) + z
        return torch.softmax(functional.leaky_relu(self.last(torch.cat([y, z], -1)), 0.2), -1)


class Normalized(nn.Module):
    """A GRU, or another module, between layer normalizations.

    Args:
        norm: makes a normalization of so many features.
        both: the GRU reads in both directions.
    """

    def __init__(self, norm=nn.LayerNorm, *, both=False):
        super().__init__()
        self.first, self.before = nn.Linear(INPUTS, 6), norm(6)
        self.rnn = nn.GRU(6, UNITS, batch_first=True, bidirectional=both)
        width = UNITS * (1 + both)
        self.behind, self.last = norm(width), nn.Linear(width, 2)
        with torch.no_grad():
            for part in (*self.before.parameters(), *self.behind.parameters()):
                part.normal_(0.7, 0.4)

    def forward(self, x):
        return self.last(self.behind(self.rnn(self.before(self.first(x)))[0]))


class OwnNorm(nn.Module):
    """A layer normalization written by hand.

    Args:
        count: of features.
        form: which of several ways to write it.
        epsilon: of the usual form.
    """

    def __init__(self, count, form="usual", epsilon=1e-2):
        super().__init__()
        self.form, self.epsilon = form, epsilon
        self.gain, self.offset = nn.Parameter(torch.ones(count)), nn.Parameter(torch.zeros(count))

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        if self.form == "usual":
            variance = ((x - mean) ** 2).mean(-1, keepdim=True)
            return (x - mean) / torch.sqrt(variance + self.epsilon) * self.gain + self.offset
        if self.form == "squares":
            inverse = torch.rsqrt((x * x).mean(-1, keepdim=True) - mean * mean + 1e-2) * self.gain
            return x * inverse + (self.offset - mean * inverse)
        if self.form == "power":
            return (x - mean) * ((x - mean).pow(2).mean(-1, keepdim=True) + 1e-2).pow(-0.5)
        if self.form == "axis left out":
            variance = (x - mean).square().mean(-1).unsqueeze(-1)
            return self.gain * ((x - mean) * (1 / (variance + 1e-2).sqrt())) + self.offset
        if self.form == "var":
            variance = x.var(-1, keepdim=True, correction=0)
            return (x - mean) * (variance + 1e-2).sqrt().reciprocal()
        if self.form == "outside":
            return (x - mean) / ((x - mean).pow(2).mean(-1, keepdim=True).sqrt() + 1e-2)
        if self.form == "estimated":
            return (x - mean) * torch.rsqrt(x.var(-1, keepdim=True) + 1e-2)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-2) * self.gain


class Tokens(nn.Module):
    """An embedding, a GRU, batch normalization, causal convolutions and functions."""

    def __init__(self):
        super().__init__()
        self.table, self.rnn = nn.Embedding(10, 6), nn.GRU(6, UNITS, batch_first=True)
        self.norm = nn.BatchNorm1d(UNITS)
        self.cut, self.padded = nn.Conv1d(UNITS, 4, 3, padding=2), nn.Conv1d(4, 4, 3, dilation=2)
        self.linear = nn.Linear(4, 3)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2.0)

    def forward(self, tokens):
        y = self.norm(self.rnn(self.table(tokens))[0].transpose(1, 2))
        y = functional.pad(self.cut(y)[:, :, :-2], (4, 0))
        y = functional.relu(self.padded(y)).permute(0, 2, 1)
        return self.linear(functional.gelu(y) * torch.sigmoid(y) + 2 * y - 1)


class Packed(nn.Module):
    """A recurrent module on a packed sequence."""

    def __init__(self, is_sorted=False, batch_first=True, both=False):
        super().__init__()
        self.sorted, self.first = is_sorted, batch_first
        self.rnn = nn.GRU(INPUTS, UNITS, batch_first=batch_first, bidirectional=both)
        self.top = nn.LSTM(UNITS * (1 + both), UNITS, batch_first=batch_first)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            x, lengths, batch_first=self.first, enforce_sorted=self.sorted
        )
        y, _ = self.top(self.rnn(packed)[0])
        return pad_packed_sequence(y, batch_first=self.first)[0]


class GivenStates(nn.Module):
    """Two layers whose state comes in and goes out."""

    def __init__(self):
        super().__init__()
        self.rnn, self.linear = nn.GRU(INPUTS, UNITS, 2, batch_first=True), nn.Linear(UNITS, 2)

    def forward(self, x, h):
        y, h = self.rnn(x, h)
        return self.linear(y), h


class OwnZeros(nn.Module):
    """States that the module makes itself, and steps joined with the batch."""

    def __init__(self):
        super().__init__()
        self.rnn, self.linear = nn.LSTM(INPUTS, UNITS, 2, batch_first=True), nn.Linear(UNITS, 2)

    def forward(self, x):
        batch, steps, _ = x.shape
        h = torch.zeros(2, x.size(0), UNITS)
        y, _ = self.rnn(x, (h, torch.zeros_like(h)))
        return self.linear(y.reshape(batch * steps, UNITS)).view(batch, steps, 2)


class LearnedStart(nn.Module):
    """An LSTM whose streams begin with parameters."""

    def __init__(self):
        super().__init__()
        self.rnn, self.linear = nn.LSTM(INPUTS, UNITS, 2, batch_first=True), nn.Linear(UNITS, 2)
        self.h, self.c = (nn.Parameter(torch.randn(2, 1, UNITS) / 2) for _ in range(2))

    def forward(self, x):
        states = tuple(one.expand(-1, x.size(0), -1).contiguous() for one in (self.h, self.c))
        return self.linear(self.rnn(x, states)[0])


class Cells(nn.Module):
    """Cells of torch in a loop, one above the other."""

    def __init__(self):
        super().__init__()
        self.gru, self.lstm = nn.GRUCell(INPUTS, UNITS), nn.LSTMCell(UNITS, UNITS)
        self.rnn = nn.RNNCell(UNITS, UNITS, nonlinearity="relu")
        self.linear = nn.Linear(UNITS, 2)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], UNITS)
        state, last, ys = None, None, []
        for t in range(x.shape[1]):
            h = self.gru(x[:, t], h)
            state = self.lstm(h, state)
            last = self.rnn(state[0], last)
            ys.append(self.linear(torch.tanh(last)))
        return torch.stack(ys, 1)


class LastOfCell(nn.Module):
    """An LSTM cell over steps that come first, of which the last state is read."""

    def __init__(self):
        super().__init__()
        self.cell, self.linear = nn.LSTMCell(INPUTS, UNITS), nn.Linear(UNITS, 2)

    def forward(self, x):
        h = c = torch.zeros(x.size(1), UNITS)
        for row in x:
            h, c = self.cell(row, (h, c))
        return self.linear(h)


class ResetBefore(nn.Module):
    """A GRU of Cho et al.: the reset gate multiplies the state before the matrix."""

    def __init__(self):
        super().__init__()
        self.z, self.r, self.n = (nn.Linear(INPUTS + UNITS, UNITS) for _ in range(3))
        self.linear = nn.Linear(UNITS, 2)

    def forward(self, x):
        h, ys = torch.zeros(x.size(0), UNITS), []
        for t in range(x.size(1)):
            both = torch.cat([x[:, t], h], 1)
            z, r = self.z(both).sigmoid(), torch.sigmoid(self.r(both))
            n = torch.tanh(self.n(torch.cat([x[:, t], r * h], 1)))
            h = (1 - z) * h + z * n
            ys.append(h.unsqueeze(1))
        return self.linear(torch.cat(ys, 1))


class ResetAfter(nn.Module):
    """A GRU as torch has it, its new state written in one of three ways."""

    def __init__(self, way):
        super().__init__()
        self.i, self.h = nn.Linear(INPUTS, 3 * UNITS), nn.Linear(UNITS, 3 * UNITS)
        self.linear, self.way = nn.Linear(UNITS, 2), way

    def forward(self, x):
        h, ys = torch.zeros(x.size(0), UNITS), []
        for row in x.unbind(1):
            a, b, c = self.i(row).chunk(3, -1)
            d, e, f = self.h(h).chunk(3, -1)
            r, z = torch.sigmoid(a + d), torch.sigmoid(b + e)
            n = torch.tanh(c + r * f)
            if self.way == "difference":
                h = n + z * (h - n)
            elif self.way == "mirrored":
                h = h - z * h + z * n
            else:
                h = z * h + (1 - z) * n
            ys.append(self.linear(h))
        return torch.stack(ys, 1)


class WrittenLSTM(nn.Module):
    """An LSTM of matrices, whose gates are slices."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(INPUTS, 4 * UNITS) * 0.3)
        self.u = nn.Parameter(torch.randn(UNITS, 4 * UNITS) * 0.3)
        self.b, self.linear = nn.Parameter(torch.randn(4 * UNITS) * 0.3), nn.Linear(UNITS, 2)

    def forward(self, x):
        h, ys = torch.zeros(x.size(0), UNITS), []
        c = torch.zeros_like(h)
        for t in range(x.size(1)):
            gates = x[:, t] @ self.w + h @ self.u + self.b
            i, f, g, o = (gates[:, k * UNITS : (k + 1) * UNITS] for k in range(4))
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            ys.append(h)
        return self.linear(torch.stack(ys, dim=1))


class Filled(nn.Module):
    """A simple RNN written out, whose loop fills a tensor."""

    def __init__(self):
        super().__init__()
        self.first, self.i = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, UNITS)
        self.h, self.linear = nn.Linear(UNITS, UNITS), nn.Linear(UNITS, 2)

    def forward(self, x):
        x = torch.relu(self.first(x))
        h = x.new_zeros(x.size(0), UNITS)
        ys = x.new_zeros(x.size(0), x.size(1), UNITS)
        for t in range(x.size(1)):
            h = torch.tanh(self.i(x[:, t, :]) + self.h(h))
            ys[:, t] = h
        return self.linear(ys)


class SixSteps(nn.Module):
    """A loop over six steps, however many there are."""

    def __init__(self):
        super().__init__()
        self.cell, self.linear = nn.GRUCell(INPUTS, UNITS), nn.Linear(UNITS, 2)

    def forward(self, x):
        h = None
        for t in range(6):
            h = self.cell(x[:, t], h)
        return self.linear(h)


class Feedback(nn.Module):
    """A loop that reads its own answer to the step before."""

    def __init__(self):
        super().__init__()
        self.cell, self.linear = nn.GRUCell(INPUTS + 2, UNITS), nn.Linear(UNITS, 2)

    def forward(self, x):
        h, y, ys = x.new_zeros(x.size(0), UNITS), x.new_zeros(x.size(0), 2), []
        for t in range(x.size(1)):
            h = self.cell(torch.cat([x[:, t], y], 1), h)
            y = self.linear(h)
            ys.append(y)
        return torch.stack(ys, 1)


#: Loops over steps, by name.
LOOPS = {
    "cells": Cells,
    "filled": Filled,
    "LSTM": WrittenLSTM,
    "reset before": ResetBefore,
    "reset after": lambda: ResetAfter("usual"),
    "reset after, difference": lambda: ResetAfter("difference"),
    "reset after, mirrored": lambda: ResetAfter("mirrored"),
}
