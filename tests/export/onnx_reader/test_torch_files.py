"""Files that PyTorch's exporters write are read as what the module computes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgernn_export.float_model.float_run import answers  # noqa: E402
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
        self.linear = torch.nn.Linear(16 if both and read == "all" else 8, 3)

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
     (1, True, "state")],
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
