"""Files that PyTorch's exporters write are read as what the module computes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgernn.errors import StreamKindWarning  # noqa: E402
from edgernn_export.float_model.float_run import answers, with_softmax  # noqa: E402
from edgernn_export.onnx_reader.reader import read_onnx  # noqa: E402
from tests.support.models.onnx_files import torch_file  # noqa: E402


class _Network(torch.nn.Module):
    """A recurrent layer and a linear one: of every step, of the last one, or of the last state."""

    def __init__(self, kind, layers, both, batch_first, read):
        super().__init__()
        self.first, self.read = batch_first, read
        self.rnn = getattr(torch.nn, kind)(
            5, 8, layers, bidirectional=both, batch_first=batch_first
        )
        self.linear = torch.nn.Linear(8 if not both or read == "state" else 16, 3)

    def forward(self, x):
        y, state = self.rnn(x)
        if self.read == "all":
            return self.linear(y)
        if self.read == "last":
            return self.linear(y[:, -1] if self.first else y[-1])
        h = state[0] if isinstance(state, tuple) else state
        return self.linear(h[-1])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize(
    ("layers", "both", "read"),
    [(1, False, "all"), (2, False, "last"), (1, False, "state"), (2, True, "all"),
     (1, True, "state"), (1, True, "last"), (2, True, "last")],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("open_sizes", [True, False])
def test_recurrent_modules(kind, layers, both, read, first, open_sizes):
    if open_sizes and layers > 1:
        layers = 1  # the exporter fixes the batch of the initial states of more layers
    torch.manual_seed(3)
    module = _Network(kind, layers, both, first, read).eval()
    x = torch.randn((2, 7, 5) if first else (7, 2, 5))
    axes = {0: "b", 1: "t"} if first else {0: "t", 1: "b"}
    options = {"input_names": ["x"], "dynamic_axes": {"x": axes}} if open_sizes else {}
    found = read_onnx(torch_file(module, (x,), **options))
    want = module(x).detach().numpy()
    xs = x.numpy().astype(np.float64)
    if not first:
        xs = xs.transpose(1, 0, 2)
        want = want.transpose(1, 0, 2) if read == "all" else want
    got = found.run(xs) if hasattr(found, "programs") else answers(found, xs)
    if got.ndim > want.ndim:
        got = got[:, -1]
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 20])
def test_all_sets_of_operators_that_the_exporter_writes(opset):
    torch.manual_seed(4)
    module = _Network("GRU", 1, False, True, "all").eval()
    module = torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.ReLU6(), module)
    x = torch.randn(2, 7, 5)
    found = read_onnx(torch_file(module, (x,), opset_version=opset))
    want = module(x).detach().numpy()
    np.testing.assert_allclose(answers(found, x.numpy().astype(np.float64)), want, atol=1e-5)


class _Streamed(torch.nn.Module):
    """A module that is given its states and returns the next ones."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(5, 4, 2, batch_first=True)

    def forward(self, x, *states):
        y, after = self.rnn(x, states if len(states) > 1 else states[0])
        return y, *(after if isinstance(after, tuple) else (after,))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_modules_with_states_as_arguments(kind):
    module, x = _Streamed(kind).eval(), torch.randn(2, 7, 5)
    zeros = (torch.zeros(2, 2, 4),) * (1 + (kind == "LSTM"))
    with pytest.warns(StreamKindWarning, match="states as inputs"):
        found = read_onnx(torch_file(module, (x, *zeros)))
    want = module(x, *zeros)[0].detach().numpy()
    assert found.stateful
    np.testing.assert_allclose(answers(found, x.numpy().astype(np.float64)), want, atol=1e-5)


class _Convolutions(torch.nn.Module):
    """A temporal convolution network before a GRU: late steps are cut off, as in its paper."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv1d(5, 6, 3, padding=4, dilation=2)
        self.norm = torch.nn.BatchNorm1d(6)
        self.second = torch.nn.Conv1d(6, 6, 2, padding=1)
        self.rnn = torch.nn.GRU(6, 4, batch_first=True)
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        z = self.first(x.transpose(1, 2))[..., :-4]
        z = torch.nn.functional.gelu(self.norm(z))
        z = z + torch.nn.functional.silu(self.second(z)[..., :-1])
        y, _ = self.rnn(z.transpose(1, 2))
        return torch.softmax(self.linear(y), -1)


@pytest.mark.parametrize("opset", [13, 20])
def test_convolutions_with_late_steps_cut_off(opset):
    torch.manual_seed(5)
    module, x = _Convolutions(), torch.randn(2, 9, 5)
    module(x)  # statistics of the normalization
    module.eval()
    found = read_onnx(torch_file(module, (x,), opset_version=opset))
    want = module(x).detach().numpy()
    got = with_softmax(found, answers(found, x.numpy().astype(np.float64)))
    np.testing.assert_allclose(got, want, atol=1e-5)


class _Begun(torch.nn.Module):
    """A layer whose first state is trained, and the same for all streams of a batch."""

    def __init__(self, way):
        super().__init__()
        self.way, self.rnn = way, torch.nn.GRU(3, 5, batch_first=True)
        self.first = torch.nn.Parameter(torch.rand(1, 1, 5) - 0.5)

    def forward(self, x):
        batch = x.shape[0]
        grown = {"expand": lambda: self.first.expand(-1, batch, -1).contiguous(),
                 "repeat": lambda: self.first.repeat(1, batch, 1)}  # fmt: skip
        return self.rnn(x, grown[self.way]())[0]


@pytest.mark.parametrize("way", ["expand", "repeat"])
@pytest.mark.parametrize("axes", [{}, {"x": {0: "b", 1: "t"}}], ids=["fixed", "open"])
def test_trained_first_states(way, axes):
    torch.manual_seed(3)
    module, x = _Begun(way).eval(), torch.randn(4, 9, 3)
    found = read_onnx(torch_file(module, (x,), input_names=["x"], dynamic_axes=axes))
    np.testing.assert_array_equal(found.layers[0].start, module.first.detach().numpy().reshape(-1))
    got = answers(found, x.numpy().astype(np.float64))
    np.testing.assert_allclose(got, module(x).detach().numpy(), atol=1e-5)
