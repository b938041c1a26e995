"""Networks from state dicts of PyTorch, against PyTorch itself."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from edgernn.errors import LayoutWarning, UnsupportedModelError
from edgernn_export.float_model import float_run
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.torch_reader import read_torch
from edgernn_export.weight_files.weight_layout import torch_layout
from edgernn_export.weight_files.weights_reader import read_weights
from tests.support.models.stored_networks import Writer, layer

torch = pytest.importorskip("torch")
nn = torch.nn

INPUTS, UNITS, STEPS, STREAMS = 3, 5, 12, 200


class Row(nn.Module):
    """Modules behind one another, by name; functions in between."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = []
        for name, part in parts:
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            self.parts.append(part)

    def forward(self, x):
        for part in self.parts:
            x = part(x)
            x = x[0] if isinstance(x, tuple) else x
        return x


def readings(inputs=INPUTS, seed=4):
    shape = (STREAMS, STEPS, inputs)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def answered(module, xs):
    """What torch says, in evaluation."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")  # oneDNN has none
        found = module.eval()(torch.tensor(xs))
    return (found[0] if isinstance(found, tuple) else found).numpy()


def ran(model, xs):
    """What the float model says."""
    xs = xs.astype(np.float64)
    if isinstance(model, FloatChunks):
        return model.run(xs)
    ys = float_run.answers(model, xs)
    ys = ys if model.return_sequences else ys[:, -1]
    return float_run.with_softmax(model, ys)


def close(got, wanted):
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


def trained(module, seed=0):
    """A module with weights, and statistics, unlike those that it begins with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in module.state_dict().items():
            if values.is_floating_point():
                fresh = torch.rand(values.shape, generator=generator)
                values.copy_(fresh + 0.5 if "running_var" in name else fresh - 0.5)
    return module


FORMS = [
    (kind, layers, both, bias, projection)
    for kind, layers, both, bias, projection in itertools.product(
        ("RNN", "LSTM", "GRU"), (1, 2, 3), (False, True), (True, False), (0, 2)
    )
    if not projection or kind == "LSTM"
]


@pytest.mark.parametrize("first", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize(("kind", "layers", "both", "bias", "projection"), FORMS)
def test_every_stack_of_torch(tmp_path, kind, layers, both, bias, projection, first):
    options = {"proj_size": projection} if projection else {}
    module = trained(
        getattr(nn, kind)(
            INPUTS, UNITS, layers, bias=bias, bidirectional=both, batch_first=first, **options
        )
    )
    torch.save(module.state_dict(), tmp_path / "rnn.pt")
    model = read_weights(tmp_path / "rnn.pt", torch_layout([{kind: "", "batch_first": first}]))
    xs = readings()
    turned = xs if first else np.swapaxes(xs, 0, 1)
    wanted = answered(module, np.ascontiguousarray(turned))
    close(ran(model, xs), wanted if first else np.swapaxes(wanted, 0, 1))


@pytest.mark.parametrize("function", ["tanh", "relu"])
@pytest.mark.parametrize("kind", ["RNN", "RNNCell", "LSTMCell", "GRUCell"])
def test_cells_and_functions(kind, function):
    options = {"nonlinearity": function} if "RNN" in kind else {}
    cell = trained(getattr(nn, kind)(INPUTS, UNITS, **options))
    xs = readings()

    def looped(xs):
        if kind == "RNN":
            return cell(xs.swapaxes(0, 1))[0].swapaxes(0, 1)
        state, found = None, []
        for step in xs.unbind(1):
            state = cell(step, state)
            found.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(found, 1)

    model = read_weights(cell.state_dict(), torch_layout([{kind: "", **options}]))
    with torch.no_grad():
        close(ran(model, xs), looped(torch.tensor(xs)).numpy())


def channels(module):
    """A module that wants channels before steps."""
    return lambda x: module(x.transpose(1, 2)).transpose(1, 2)


def padded(module, reach):
    return lambda x: module(nn.functional.pad(x.transpose(1, 2), (reach, 0))).transpose(1, 2)


LAYERS = {
    "convolution": (
        lambda: nn.Conv1d(INPUTS, 4, 3, dilation=2),
        lambda module: padded(module, 4),
        [{"Conv1d": "a", "dilation": 2, "causal": True}],
    ),
    "depthwise convolution": (
        lambda: nn.Conv1d(INPUTS, INPUTS, 2, groups=INPUTS, bias=False),
        lambda module: padded(module, 1),
        [{"Conv1d": "a", "groups": INPUTS, "causal": True}],
    ),
    "convolution of one step": (
        lambda: nn.Conv1d(INPUTS, 4, 1), channels, [{"Conv1d": "a"}],
    ),
    "batch normalization": (
        lambda: nn.BatchNorm1d(INPUTS, eps=1e-2), channels, [{"BatchNorm1d": "a", "eps": 1e-2}],
    ),
    "plain batch normalization": (
        lambda: nn.BatchNorm1d(INPUTS, affine=False), channels, [{"BatchNorm1d": "a"}],
    ),
    "layer normalization": (
        lambda: nn.LayerNorm(INPUTS, eps=1e-2), None, [{"LayerNorm": "a", "eps": 1e-2}],
    ),
    "layer normalization without bias": (
        lambda: nn.LayerNorm(INPUTS, bias=False), None, [{"LayerNorm": "a"}],
    ),
    "plain layer normalization": (
        lambda: nn.LayerNorm(INPUTS, elementwise_affine=False), None, [{"LayerNorm": "a"}],
    ),
    "linear": (lambda: nn.Linear(INPUTS, 4), None, [{"Linear": "a"}]),
    "linear without bias": (lambda: nn.Linear(INPUTS, 4, bias=False), None, [{"Linear": "a"}]),
    "one slope": (lambda: nn.PReLU(), None, [{"PReLU": "a"}]),
    "slopes": (lambda: nn.PReLU(INPUTS), channels, [{"PReLU": "a"}]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_before_a_recurrent_one(name):
    make, around, layers = LAYERS[name]
    module = trained(make())
    width = getattr(module, "out_channels", getattr(module, "out_features", INPUTS))
    recurrent, head = trained(nn.GRU(width, UNITS, batch_first=True)), trained(nn.Linear(UNITS, 2))
    row = Row(("a", module), ("rnn", recurrent), ("head", head))
    apply = module if around is None else around(module)

    def whole(x):
        return head(recurrent(apply(x))[0])

    layout = torch_layout([*layers, {"GRU": "rnn"}, "Dropout", {"Linear": "head"}])
    xs = readings()
    module.eval()
    with torch.no_grad():
        close(ran(read_weights(row.state_dict(), layout), xs), whole(torch.tensor(xs)).numpy())


FUNCTIONS = [
    "ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Softplus",
    "Softsign", "Softshrink", "Hardshrink", "Hardtanh", "Hardsigmoid", "Hardswish", "Sigmoid",
    "LogSigmoid", "Tanh", "Tanhshrink",
    {"LeakyReLU": "", "negative_slope": 0.2}, {"ELU": "", "alpha": 0.5},
    {"CELU": "", "alpha": 2.0}, {"GELU": "", "approximate": "tanh"},
    {"Softshrink": "", "lambd": 0.1}, {"Hardshrink": "", "lambd": 0.1},
    {"Hardtanh": "", "min_val": -0.1, "max_val": 0.2}, "Softmax",
]  # fmt: skip


@pytest.mark.parametrize("told", FUNCTIONS, ids=str)
def test_functions_behind_a_layer(told):
    written = {told: ""} if isinstance(told, str) else dict(told)
    kind = next(iter(written))
    options = {name: value for name, value in written.items() if name != kind}
    function = nn.Softmax(-1) if kind == "Softmax" else getattr(nn, kind)(**options)
    row = Row(
        ("rnn", nn.LSTM(INPUTS, UNITS, batch_first=True)), ("head", nn.Linear(UNITS, 3)),
        ("function", function),
    )  # fmt: skip
    trained(row)
    layout = torch_layout([{"LSTM": "rnn"}, {"Linear": "head"}, told])
    xs = readings() * 4
    close(ran(read_weights(row.state_dict(), layout), xs), answered(row, xs))


def test_tokens():
    row = trained(Row(("emb", nn.Embedding(9, 4)), ("rnn", nn.LSTM(4, UNITS, batch_first=True))))
    tokens = np.random.default_rng(0).integers(0, 9, size=(STREAMS, STEPS))
    model = read_weights(row.state_dict(), torch_layout([{"Embedding": "emb"}, {"LSTM": "rnn"}]))
    close(ran(model, tokens[:, :, None]), answered(row, tokens))


@pytest.mark.parametrize("both", [False, True])
def test_the_final_state(both):
    rnn, head = nn.LSTM(INPUTS, UNITS, 2, bidirectional=both), nn.Linear(UNITS * (1 + both), 2)
    row = trained(Row(("rnn", rnn), ("head", head)))
    layout = torch_layout([{"LSTM": "rnn"}, "FinalState", {"Linear": "head"}], steps=STEPS)
    model = read_weights(row.state_dict(), layout)
    xs = readings()
    with torch.no_grad():
        _, (states, _) = rnn(torch.tensor(xs).swapaxes(0, 1))
        last = torch.cat(tuple(states[-1 - both :]), -1)
        close(ran(model, xs), head(last).numpy())
    assert isinstance(model, FloatChunks) is both
    assert (model.steps, getattr(model, "return_sequences", False)) == (STEPS, False)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_the_last_step(where):
    rnn, linear = nn.GRU(INPUTS, UNITS, batch_first=True), nn.Linear(UNITS, 2)
    row = trained(Row(("rnn", rnn), ("head", linear)))
    head = [{"Linear": "head"}]
    layers = ["LastStep", *head] if where == "before" else [*head, "LastStep"]
    model = read_weights(row.state_dict(), torch_layout([{"GRU": "rnn"}, *layers]))
    xs = readings()
    close(ran(model, xs), answered(row, xs)[:, -1])


def test_pooling_and_strides():
    row = trained(Row(("conv", nn.Conv1d(INPUTS, 4, 2, stride=2)),
                      ("rnn", nn.LSTM(4, UNITS, batch_first=True))))  # fmt: skip
    layers = [
        {"Conv1d": "conv", "stride": 2}, {"MaxPool1d": "", "kernel_size": 2},
        {"AvgPool1d": "", "kernel_size": 3, "stride": 1}, {"LSTM": "rnn"}, "LastStep",
    ]  # fmt: skip
    model = read_weights(row.state_dict(), torch_layout(layers, steps=12))
    conv, rnn = row.conv, row.rnn
    xs = readings()
    with torch.no_grad():
        x = nn.functional.max_pool1d(conv(torch.tensor(xs).transpose(1, 2)), 2)
        wanted = rnn(nn.functional.avg_pool1d(x, 3, 1).transpose(1, 2))[0][:, -1].numpy()
    close(ran(model, xs), wanted)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_the_same_network_as_from_keras(tmp_path, kind):
    pytest.importorskip("h5py")
    options = {"reset_after": True} if kind == "GRU" else {}
    recurrent = layer(kind, "rnn", INPUTS, UNITS, 0, **options)
    head = layer("Dense", "head", UNITS, 2, 1, activation="relu")
    recurrent.options |= {"activation": "tanh", "return_sequences": True}
    writer = Writer("3.6.0", (None, None, INPUTS), input_entry=True, modules=True)
    path = writer.hdf5(tmp_path / "m.h5", [recurrent, head])
    found = recurrent.weights
    bias, hidden = found["bias"] if kind == "GRU" else (found["bias"], np.zeros_like(found["bias"]))
    state = {
        "rnn.weight_ih_l0": found["kernel"].T, "rnn.weight_hh_l0": found["recurrent_kernel"].T,
        "rnn.bias_ih_l0": bias, "rnn.bias_hh_l0": hidden,
    }  # fmt: skip
    if kind == "GRU":  # Keras has z r n
        state = {name: np.concatenate([np.split(values, 3)[k] for k in (1, 0, 2)])
                 for name, values in state.items()}  # fmt: skip
    state |= {"head.weight": head.weights["kernel"].T, "head.bias": head.weights["bias"]}
    layout = torch_layout([{kind.replace("Simple", ""): "rnn"}, {"Linear": "head"}, "ReLU"])
    assert read_weights(state, layout).sha256 == read_keras(path).sha256


class Forecast(nn.Module):
    """Two recurrent layers and a head."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(INPUTS, UNITS, 2, batch_first=True, **options)
        width = options.get("proj_size", UNITS) * (1 + options.get("bidirectional", False))
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return torch.relu(self.head(self.rnn(x)[0]))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"proj_size": 2}),
        pytest.param("GRU", {"bidirectional": True}, marks=pytest.mark.long),
        pytest.param("RNN", {}, marks=pytest.mark.long),
    ],
)
def test_the_same_network_as_from_the_module(kind, options):
    module = trained(Forecast(kind, **options)).eval()
    layout = torch_layout([{kind: "rnn"}, {"Linear": "head"}, "ReLU"])
    of_module = read_torch(module, torch.zeros(2, STEPS, INPUTS))
    of_weights = read_weights(module.state_dict(), layout)
    hashes = [
        [one.sha256 for one in getattr(model, "programs", (model,))]
        for model in (of_module, of_weights)
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("around", ["module", "_orig_mod", "state_dict.model", "model_state_dict"])
def test_what_trainers_put_around_a_state_dict(tmp_path, around):
    """DataParallel, torch.compile, Lightning and plain checkpoints, without a layout."""
    module = trained(torch.nn.Sequential(torch.nn.LSTM(INPUTS, UNITS), torch.nn.Linear(UNITS, 2)))
    optimizer = torch.optim.Adam(module.parameters())
    sum(one.sum() for one in module.parameters()).backward()
    optimizer.step()
    *outer, inner = around.split(".")
    state = {f"{inner}.{name}": value for name, value in module.state_dict().items()}
    if "state_dict" in around:
        saved = module.state_dict() if not outer else {outer[0]: state}
        saved = {
            "epoch": 3,
            "loss": torch.tensor(0.3),
            **({inner: saved} if not outer else saved),
            "optimizer_states": [optimizer.state_dict()],
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.1)}},
            "hyper_parameters": {"units": UNITS},
        }
        state = saved
    torch.save(state, tmp_path / "last.ckpt")
    with pytest.warns(LayoutWarning, match=f'root = "{around}"'):
        model = read_weights(tmp_path / "last.ckpt")
    xs = readings()
    y = module[1](module[0](torch.as_tensor(xs, dtype=torch.float32).swapaxes(0, 1))[0])
    close(ran(model, xs), y.swapaxes(0, 1).detach().numpy())
    assert [layer.name for layer in model.layers] == ["0", "1"]


def test_a_number_of_the_network_is_not_taken_for_a_score():
    tensors = {"model.rnn.weight_ih_l0": np.ones((4, 3)), "model.rnn.weight_hh_l0": np.ones((4, 1)),
               "gain": np.array(2.0)}  # fmt: skip
    with pytest.raises(
        UnsupportedModelError, match="a layer for every tensor, got none for 'gain'"
    ):
        read_weights(tensors, torch_layout([{"LSTM": "model.rnn"}]))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_first_states_that_the_layout_names(kind):
    module = trained(getattr(torch.nn, kind)(INPUTS, UNITS, 2, batch_first=True))
    tensors = {f"rnn.{name}": value for name, value in module.state_dict().items()}
    states = {"h0": torch.randn(2, 1, UNITS), "c0": torch.randn(2, 1, UNITS)}
    states = states if kind == "LSTM" else {"h0": states["h0"]}
    named = {name: f"{name}_learned" for name in states}
    tensors |= {named[name]: value for name, value in states.items()}
    model = read_weights(tensors, torch_layout([{kind: "rnn", **named}]))
    xs = readings()
    wide = tuple(value.expand(-1, len(xs), -1).contiguous() for value in states.values())
    y = module(torch.as_tensor(xs, dtype=torch.float32), wide if kind == "LSTM" else wide[0])[0]
    close(ran(model, xs), y.detach().numpy())
    tensors[named["h0"]] = torch.randn(3, UNITS)
    with pytest.raises(UnsupportedModelError, match="expected the first states of shape"):
        read_weights(tensors, torch_layout([{kind: "rnn", **named}]))
