"""Networks from parameters of Flax, against answers that Flax gave (tests/golden/flax)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgernn_export.float_model import float_run
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.weight_files.weight_layout import flax_layout
from edgernn_export.weight_files.weights_reader import read_weights

FILE = Path(__file__).parents[2] / "golden" / "flax" / "networks.npz"
CELL = "rnn.cell"
LAYOUTS = {
    "lstm": [{"LSTMCell": CELL}],
    "optimized": [{"OptimizedLSTMCell": CELL}],
    "gru": [{"GRUCell": CELL}],
    "simple": [{"SimpleCell": CELL}],
    "residual": [{"SimpleCell": CELL, "residual": True}],
    "relu": [{"SimpleCell": CELL, "activation_fn": "relu"}],
    "both": [
        {"LSTMCell": "both.forward_rnn.cell", "backward": "both.backward_rnn.cell"},
    ],
    "network": [
        {"Conv": "conv", "padding": "CAUSAL"}, {"BatchNorm": "norm"}, {"GRUCell": CELL},
        {"Linear": "head"}, "softmax",
    ],
    "words": [{"Embed": "embed"}, {"OptimizedLSTMCell": CELL}],
    "linen_lstm": [{"LSTMCell": "params.cell"}],
    "linen_optimized": [{"OptimizedLSTMCell": "params.cell"}],
    "linen_gru": [{"GRUCell": "params.cell"}],
    "linen_simple": [{"SimpleCell": "params.cell"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def golden():
    with np.load(FILE) as file:
        return dict(file)


def ran(model, xs):
    if isinstance(model, FloatChunks):
        return model.run(xs)
    return float_run.with_softmax(model, float_run.answers(model, xs))


def test_every_network_of_the_file_is_read(golden):
    networks = {name.partition(".")[2] for name in golden if name.startswith("answers.")}
    assert networks == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_answers_are_those_of_flax(golden, name):
    model = read_weights(FILE, flax_layout(LAYOUTS[name], root=name))
    xs = golden["tokens"][:, :, None] if name == "words" else golden["x"]
    wanted = golden[f"answers.{name}"]
    got = ran(model, xs.astype(np.float64))
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


def test_nested_dictionaries_in_memory(golden):
    kernels = {"kernel": golden["simple.rnn.cell.dense_h.kernel"]}
    inputs = {
        "kernel": golden["simple.rnn.cell.dense_i.kernel"],
        "bias": golden["simple.rnn.cell.dense_i.bias"],
    }
    nested = {"rnn": {"cell": {"dense_h": kernels, "dense_i": inputs}}}
    of_file = read_weights(FILE, flax_layout(LAYOUTS["simple"], root="simple"))
    assert read_weights(nested, flax_layout(LAYOUTS["simple"])).sha256 == of_file.sha256
    slashed = {
        f"rnn/cell/{name}/{part}": values
        for name, parts in nested["rnn"]["cell"].items()
        for part, values in parts.items()
    }
    assert read_weights(slashed, flax_layout(LAYOUTS["simple"])).sha256 == of_file.sha256


FUNCTIONS = (
    "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "swish", "softplus",
    "soft_sign", "hard_tanh", "hard_sigmoid", "hard_silu", "hard_swish", "sigmoid", "log_sigmoid",
    "tanh",
)  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(golden, name):
    weights = {
        "cell.dense_i.kernel": np.zeros((1, 1)), "cell.dense_h.kernel": np.zeros((1, 1)),
        "a.kernel": np.ones((1, 1)), "cell.dense_i.bias": np.zeros(1),
    }  # fmt: skip
    layout = flax_layout([{"Linear": "a"}, name, {"SimpleCell": "cell", "activation_fn": "linear"}])
    weights["cell.dense_i.kernel"] = np.ones((1, 1))
    line = golden["line"].astype(np.float64)
    model = read_weights(weights, layout)
    wanted = golden[f"functions.{name}"]
    assert np.abs(ran(model, line[:, None, None])[:, 0, 0] - wanted).max() <= 1e-5
