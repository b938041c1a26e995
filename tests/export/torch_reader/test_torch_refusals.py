"""Refusals of PyTorch networks speak its words, and list all reasons with what helps."""

import numpy as np
import pytest
import torch
from torch import nn

from edgernn.errors import UnsupportedModelError
from edgernn_export.networks.front_door import read_network
from edgernn_export.torch_reader.reader import read_torch
from tests.support.models.torch_modules import INPUTS, UNITS, Recurrent

EXAMPLE = torch.zeros(2, 6, INPUTS)


def refused(module, example=EXAMPLE):
    with pytest.raises(UnsupportedModelError) as caught:
        read_torch(module, example)
    return caught.value.reasons


def test_no_example():
    (reason,) = refused(Recurrent("LSTM"), None)
    assert reason.startswith("'Recurrent' (nn.Module): expected an example of its input, got none.")
    assert read_torch(Recurrent("LSTM"), torch.zeros(2, 8, INPUTS)).outputs == 2  # the cure


def test_another_shape():
    (reason,) = refused(Recurrent("LSTM"), torch.zeros(2, 6, INPUTS + 1))
    assert "an example of shape (2, 6, 4)" in reason
    assert "Expected 3" in reason
    assert "torch_modules.py, line" in reason


class Conditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(INPUTS, UNITS)

    def forward(self, x):
        if x.sum() > 0:
            return self.rnn(x)[0]
        return self.rnn(-x)[0]


def test_control_flow_that_depends_on_readings(capfd):
    (reason,) = refused(Conditional())
    assert "a condition or number computed from them (test_torch_refusals.py, line" in reason
    assert "if x.sum() > 0:" in reason
    assert capfd.readouterr() == ("", "")  # torch tells it at length


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reduced_precision(dtype):
    module = Recurrent("LSTM").to(dtype)
    reasons = refused(module)
    name = str(dtype).removeprefix("torch.")
    assert reasons[0] == (
        f"'rnn' (LSTM): expected weights in float32 or float64, got {name}. Call module.float() "
        "before; edgernn does the quantization."
    )
    assert len(reasons) == 2
    assert read_torch(module.float(), EXAMPLE).outputs == 2


def test_double_precision_is_read():
    module = Recurrent("GRU").double()
    network = read_torch(module, EXAMPLE.double())
    np.testing.assert_array_equal(network.layers[1].bias, module.linear.bias.detach().numpy())


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.linear = nn.GRU(INPUTS, UNITS), nn.LazyLinear(2)

    def forward(self, x):
        return self.linear(self.rnn(x)[0])


def test_lazy_modules():
    module = Lazy()
    (reason,) = refused(module)
    assert reason == (
        "'linear' (LazyLinear): expected weights with a shape, got a lazy module that was not "
        "called yet. Call the module once on readings."
    )
    module(EXAMPLE)
    assert read_torch(module, EXAMPLE).outputs == 2


@pytest.mark.filterwarnings("ignore")  # torch calls its own quantization deprecated
def test_quantized_modules():
    module = torch.ao.quantization.quantize_dynamic(Recurrent("LSTM"), {nn.Linear, nn.LSTM})
    reasons = refused(module)
    assert [reason.split(":")[0] for reason in reasons] == ["'rnn' (LSTM)", "'linear' (Linear)"]
    assert "Pass the float module from before" in reasons[0]


def test_modules_without_values():
    with torch.device("meta"):
        module = Recurrent("GRU")
    assert "tensors on the device meta. Load the weights first." in refused(module)[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules():
    (reason,) = refused(torch.jit.script(nn.Sequential(nn.Linear(INPUTS, 2))))
    assert "Pass the module from before it was scripted or traced." in reason


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.norm = nn.GRU(INPUTS, UNITS, batch_first=True), nn.InstanceNorm1d(UNITS)
        self.linear = nn.Linear(UNITS, 2)

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.norm(y.transpose(1, 2)), torch.log_softmax(self.linear(y).cumsum(1), -1)


def test_all_reasons_at_once_in_the_words_of_torch():
    reasons = refused(Several())
    assert reasons[0].startswith("'norm' (nn.InstanceNorm1d): expected a supported operator")
    assert "Train with nn.LayerNorm" in reasons[0]
    (other,) = [one for one in reasons if "'cumsum' (cumsum, test_torch_refusals.py:" in one]
    assert "Train with a recurrent layer instead" in other
    assert not any("keras" in reason.lower() for reason in reasons)


def test_other_things(tmp_path):
    with pytest.raises(UnsupportedModelError, match="Pass the module itself"):
        read_torch(3)
    with pytest.raises(FileNotFoundError):
        read_torch(tmp_path / "none.pt2")
    (tmp_path / "other.pt2").write_bytes(b"nothing")
    with pytest.raises(UnsupportedModelError, match=r"expected a file of torch\.export\.save"):
        read_torch(tmp_path / "other.pt2")


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_a_damaged_program(tmp_path):
    module = Recurrent("RNN").eval()
    path = tmp_path / "damaged.pt2"
    torch.export.save(torch.export.export(module, (EXAMPLE,)), path)
    content = bytearray(path.read_bytes())
    at = content.index(b'"graph_module"')
    content[at : at + 14] = b'"graph_nodule"'
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=r"that torch\.export\.load reads"):
        read_network(path)


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_a_program_in_training_mode():
    module = Recurrent("GRU", 2, dropout=0.5).train()
    with pytest.raises(UnsupportedModelError, match=r"Call module.eval\(\) before the export"):
        read_torch(torch.export.export(module, (EXAMPLE,)))
