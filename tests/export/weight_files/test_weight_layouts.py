"""Descriptions of tensors: how they are written, what is wrong with them, what they leave out."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edgernn_export
from edgernn.errors import LayoutWarning, UnsupportedModelError
from edgernn_export.weight_files.layout_draft import draft_layout
from edgernn_export.weight_files.weight_layout import flax_layout, read_layout, torch_layout
from edgernn_export.weight_files.weights_reader import read_weights

RNG = np.random.default_rng(5)


def arrays(**shapes):
    """Random arrays; "." in names is written "__"."""
    return {name.replace("__", "."): RNG.normal(size=shape) for name, shape in shapes.items()}


def lstm(path, inputs, units, part="_l0"):
    rows = 4 * units
    shapes = {
        f"weight_ih{part}": (rows, inputs), f"weight_hh{part}": (rows, units),
        f"bias_ih{part}": (rows,), f"bias_hh{part}": (rows,),
    }  # fmt: skip
    return {f"{path}.{name}": RNG.normal(size=shape) for name, shape in shapes.items()}


NETWORK = lstm("rnn", 3, 4) | arrays(head__weight=(2, 4), head__bias=(2,))
LAYERS = [{"LSTM": "rnn"}, {"Linear": "head"}]


def reasons(call, *arguments, **options):
    with pytest.raises(UnsupportedModelError) as caught:
        call(*arguments, **options)
    assert all(": expected " in reason and ", got " in reason for reason in caught.value.reasons)
    return caught.value.reasons


def test_a_layout_of_five_lines(tmp_path):
    (tmp_path / "layout.toml").write_text(
        'layers = [\n  {LSTM = "rnn"},\n  {Linear = "head"},\n  "Softmax",\n]\n'
    )
    layout = read_layout(tmp_path / "layout.toml")
    assert layout == torch_layout([*LAYERS, "Softmax"])
    model = read_weights(NETWORK, tmp_path / "layout.toml")
    assert model.final_activation == "softmax"
    assert model.inputs == 3


LAYOUTS = [
    torch_layout(LAYERS),
    torch_layout(
        [{"LSTM": "a.b", "layers": 2, "batch_first": True, "dropout": 0.5},
         {"LeakyReLU": "", "negative_slope": 0.2}, "Softmax"],
        root="model", ignore=["head", 'a"b'], steps=20,
    ),
    flax_layout([{"Conv": "conv", "padding": "CAUSAL"}, {"GRUCell": "rnn.cell"}, "tanh"]),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=["plain", "options", "flax"])
def test_what_is_written_is_read_back(tmp_path, layout):
    (tmp_path / "layout").write_text(str(layout))
    assert read_layout(tmp_path / "layout") == layout


def test_json(tmp_path):
    written = {"layers": LAYERS, "root": "model", "framework": "torch"}
    (tmp_path / "layout").write_text(json.dumps(written))
    assert read_layout(tmp_path / "layout") == torch_layout(LAYERS, root="model")


FILES = {
    "layers = [": "expected a layout in TOML or JSON",
    "{": "expected a layout in TOML or JSON",
    "": "got no layers",
    'layer = ["LSTM"]': "got 'layer'",
    'layers = ["LSTM"]\nroots = "a"': "got 'roots'",
    'layers = "LSTM"': "expected a list of layers",
    "layers = []": "expected a list of layers",
    'layers = ["LSTM"]\nframework = "keras"': "expected framework 'torch' or 'flax', got 'keras'",
    'layers = ["LSTM"]\nsteps = 0': "a number of readings as steps, got 0",
    'layers = ["LSTM"]\nroot = 3': "a text as root",
    'layers = ["LSTM"]\nignore = "a"': "a list of texts as ignore",
    'layers = ["LSTM"]\nignore = 3': "a list of texts as ignore",
}


@pytest.mark.parametrize("written", FILES)
def test_files_that_are_no_layouts(tmp_path, written):
    (tmp_path / "layout.toml").write_text(written)
    assert FILES[written] in reasons(read_layout, tmp_path / "layout.toml")[0]


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_layout(tmp_path / "nothing")


def test_all_that_is_wrong_with_a_layout_at_once():
    found = reasons(
        torch_layout,
        ["Sofmax", {"LSTM": 3}, {"Linear": "a", "bias": True}, {"LSTM": "a", "layers": "2"},
         "LogSoftmax", {"ReLU": "x"}, 7, {"LSTM": "a", "GRU": "b"}, "Nothing"],
    )  # fmt: skip
    example = 'Write layers = [{LSTM = "rnn"}, {Linear = "head"}, "Softmax"].'
    assert found[:7] == (
        "layout: layer 1: expected one kind of layer, got 'Sofmax'. Did you mean Softmax?",
        f"layout: layer 2 (LSTM): expected the path of its tensors, got 3. {example}",
        "layout: layer 3 (Linear): expected no options, got bias. Correct it, or leave it out.",
        "layout: layer 4 (LSTM): expected layers = an integer, got '2'. Correct it.",
        "layout: layer 5: expected one kind of layer, got 'LogSoftmax'. Write Softmax: the "
        "outputs are then probabilities, in the same order.",
        f"layout: layer 6 (ReLU): expected no path, as it has no tensors, got 'x'. {example}",
        f"layout: layer 7: expected the kind of a layer, or its kind and path, got 7. {example}",
    )
    assert "got 'LSTM, GRU'" in found[7]
    assert "Kinds are LSTM, GRU, RNN" in found[8]


def test_all_that_does_not_fit_the_tensors_at_once():
    tensors = NETWORK | arrays(extra__weight=(2, 2), extra__bias=(2,))
    layers = [
        {"LSTM": "rnn", "layers": 3, "hidden_size": 4},
        {"Conv1d": "head"},
        {"Linear": "heat"},
    ]
    assert reasons(read_weights, tensors, torch_layout(layers)) == (
        "'rnn' (nn.LSTM): expected layers = 1, as its tensors show, got 3. Correct the layout, or "
        "leave this out: the tensors show it.",
        "'head' (nn.Conv1d): expected 'head.weight' with 3 axes, got shape (2, 4). Check the kind "
        "of the layer in the layout.",
        "'heat' (nn.Linear): expected a tensor 'heat.weight', got none. The file has "
        "'rnn.weight_ih_l0', 'rnn.weight_hh_l0', 'rnn.bias_ih_l0', 'rnn.bias_hh_l0', "
        "'head.weight', 'head.bias', 'extra.weight', 'extra.bias': check the names in the layout.",
        "weights: expected a layer for every tensor, got none for 'extra.weight', 'extra.bias'. "
        'Add their layers to the layout, or leave them out: ignore = ["extra"].',
    )


def test_cures_that_are_followed():
    tensors = {f"model.{name}": values for name, values in NETWORK.items()} | {"step": np.ones(1)}
    wanted = read_weights(NETWORK, torch_layout(LAYERS)).sha256
    (reason, *_) = reasons(read_weights, tensors, torch_layout(LAYERS))
    assert reason.endswith('Say where the network is in the file: root = "model".')
    assert read_weights(tensors, torch_layout(LAYERS, root="model")).sha256 == wanted
    tensors = NETWORK | {"step.a": np.ones(1)}
    (reason,) = reasons(read_weights, tensors, torch_layout(LAYERS))
    assert reason.endswith('ignore = ["step"].')
    assert read_weights(tensors, torch_layout(LAYERS, ignore=["step"])).sha256 == wanted


COMPUTED = {
    "pruned": (("head.weight_orig", "head.weight_mask"), "torch.nn.utils.prune.remove"),
    "old weight norm": (("head.weight_g", "head.weight_v"), "remove_weight_norm"),
    "weight norm": (
        ("head.parametrizations.weight.original0", "head.parametrizations.weight.original1"),
        "remove_parametrizations",
    ),
    "spectral norm": (("head.parametrizations.weight.original",), "remove_parametrizations"),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_weights_that_are_computed(name):
    names, cure = COMPUTED[name]
    tensors = {key: values for key, values in NETWORK.items() if key != "head.weight"}
    tensors |= dict.fromkeys(names, np.ones((2, 4)))
    (reason,) = reasons(read_weights, tensors, torch_layout(LAYERS))
    assert cure in reason


CONV = lstm("rnn", 4, 4) | arrays(conv__weight=(4, 3, 3), conv__bias=(4,))
BOTH = lstm("rnn", 3, 4) | lstm("rnn", 3, 4, "_l0_reverse")
REFUSED = {
    "no recurrent layer": (arrays(a__weight=(2, 3)), [{"Linear": "a"}], "run it in another tool"),
    "no weights": ({}, ["ReLU"], "a layer with weights"),
    "layer norm": (
        NETWORK | arrays(n__weight=(2,), n__bias=(3,)), [*LAYERS, {"LayerNorm": "n"}],
        "'n' (nn.LayerNorm): expected weight and bias [features] of one size, got (2,) and (3,)",
    ),
    "order": (NETWORK, LAYERS[::-1], "weights for 2 inputs, which the layer before it gives"),
    "integers": (
        NETWORK | {"head.weight": np.ones((2, 4), np.int8)}, LAYERS, "weights that are floats",
    ),
    "NaN": (NETWORK | {"head.bias": np.full(2, np.nan)}, LAYERS, "finite values in bias"),
    "a bias that is too long": (NETWORK | {"head.bias": np.ones(3)}, LAYERS, "bias of shape (2,)"),
    "half a pair of biases": (
        {k: v for k, v in NETWORK.items() if k != "rnn.bias_hh_l0"}, LAYERS, "'rnn.bias_hh_l0'",
    ),
    "another kind": (NETWORK, [{"GRU": "rnn"}, LAYERS[1]], "3 rows for each unit"),
    "a function that is none": (
        {k: v[:4] for k, v in NETWORK.items() if k.startswith("rnn")},
        [{"RNN": "rnn", "nonlinearity": "sin"}], 'nonlinearity = "tanh" or "relu"',
    ),
    "padding": (CONV, [{"Conv1d": "conv", "padding": 1}, {"LSTM": "rnn"}], "pads the end, too"),
    "groups": (CONV, [{"Conv1d": "conv", "groups": 2}, {"LSTM": "rnn"}], "groups = 1, or as many"),
    "last step of both": (BOTH, [{"LSTM": "rnn"}, "LastStep"], "write FinalState"),
    "state of nothing": (NETWORK, ["FinalState", *LAYERS], "FinalState behind a recurrent layer"),
    "state of an earlier layer": (NETWORK, [*LAYERS, "FinalState"], "write LastStep"),
    "steps are gone": (
        lstm("a", 3, 4) | lstm("b", 4, 4), [{"LSTM": "a"}, "LastStep", {"LSTM": "b"}],
        "Move LastStep or FinalState behind all recurrent layers",
    ),
    "softmax inside": (NETWORK, [LAYERS[0], "Softmax", LAYERS[1]], "softmax as the last layer"),
    "late embedding": (
        NETWORK | arrays(e__weight=(9, 3)), [*LAYERS, {"Embedding": "e"}], "as the first layer",
    ),
    "pooling over nothing": (CONV, [{"MaxPool1d": ""}, {"Conv1d": "conv"}, {"LSTM": "rnn"}],
                             "kernel_size and stride of at least 1"),
    "objects": ({"a": "text"}, LAYERS, "weights that are floats|'rnn.weight_ih_l0'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    tensors, layers, text = REFUSED[name]
    found = " ".join(reasons(read_weights, tensors, torch_layout(layers)))
    assert any(one in found for one in text.split("|")), found


def test_dictionaries_without_an_end():
    endless = {}
    endless["a"] = endless
    assert "dictionaries at most 64 deep" in reasons(read_weights, endless, LAYOUTS[0])[0]


def test_names_that_differ_in_their_separators(tmp_path):
    np.savez(tmp_path / "a.npz", **{"a/b": np.ones(1), "a.b": np.ones(1)})
    found = reasons(read_weights, tmp_path / "a.npz", torch_layout(LAYERS))
    assert 'differ in more than "." and "/"' in found[0]


# --- Without a layout ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "layers"),
    [
        (NETWORK, LAYERS),
        (BOTH | arrays(head__weight=(2, 8)), LAYERS),
        (arrays(head__weight=(2, 4), head__bias=(2,)) | lstm("rnn", 3, 4), LAYERS),
        (arrays(emb__weight=(9, 3)) | NETWORK, [{"Embedding": "emb"}, *LAYERS]),
        (lstm("cell", 3, 4, ""), [{"LSTMCell": "cell"}]),
        (lstm("a", 3, 4) | arrays(**{"a__weight_hr_l0": (2, 4), "a__weight_hh_l0": (16, 2)}),
         [{"LSTM": "a"}]),
    ],
    ids=["chain", "both directions", "by name", "embedding", "cell", "projection"],
)  # fmt: skip
def test_tensors_that_leave_one_reading(tensors, layers):
    draft = draft_layout(tensors)
    assert draft.doubts == ()
    assert draft.layout == torch_layout(layers)
    with pytest.warns(LayoutWarning, match="no layout was given. The tensors are read as"):
        guessed = read_weights(tensors)
    told = read_weights(tensors, torch_layout(layers))
    sha256 = [
        tuple(one.sha256 for one in getattr(model, "programs", (model,)))
        for model in (guessed, told)
    ]
    assert sha256[0] == sha256[1]


DOUBTS = {
    "two heads": (NETWORK | arrays(z__weight=(1, 2)), "write the functions behind them"),
    "a head before": (
        arrays(a__weight=(3, 3), a__bias=(3,)) | lstm("rnn", 3, 4), "write the functions",
    ),
    "an RNN": (
        arrays(rnn__weight_ih_l0=(4, 3), rnn__weight_hh_l0=(4, 4)), 'nonlinearity = "relu"',
    ),
    "a convolution": (CONV, "stride, dilation and whether it is causal"),
    "a normalization": (
        NETWORK | arrays(n__running_mean=(2,), n__running_var=(2,)), "its eps if it is not 1e-5",
    ),
    "layer norm": (NETWORK | arrays(n__weight=(2,), n__bias=(2,)), "check that it is LayerNorm"),
    "slopes": (NETWORK | arrays(n__weight=(2,)), "check that it is PReLU"),
    "no order": (
        arrays(head__weight=(2, 5), head__bias=(2,)) | lstm("rnn", 3, 4),
        "'rnn' reads 3 features, 'head' gives 2: check their order",
    ),
    "several orders": (lstm("a", 4, 4) | lstm("b", 4, 4), "their widths allow several"),
    "unknown tensors": (NETWORK | arrays(other__gamma=(2,)), "'other' has 'gamma'"),
    "no recurrent layer": (arrays(a__weight=(2, 3)), "There is no recurrent layer."),
    "Flax": (arrays(a__kernel=(2, 3)), "These are names of Flax"),
    "odd rows": (arrays(rnn__weight_ih_l0=(20, 3), rnn__weight_hh_l0=(20, 4)), "no layer has"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTS)
def test_tensors_that_leave_several_readings(name):
    tensors, text = DOUBTS[name]
    assert any(text in doubt for doubt in draft_layout(tensors).doubts)
    with pytest.raises(UnsupportedModelError) as caught:
        read_weights(tensors)
    assert "expected a layout, which says what the tensors are, got none" in str(caught.value)
    assert f"# {draft_layout(tensors).doubts[0]}" in str(caught.value)


def test_a_draft_is_a_layout(tmp_path):
    draft = draft_layout(CONV)
    assert draft.layout is not None
    (tmp_path / "layout.toml").write_text(str(draft))
    assert read_layout(tmp_path / "layout.toml") == draft.layout


def test_the_public_names():
    assert edgernn_export.torch_layout is torch_layout
    assert edgernn_export.flax_layout is flax_layout
    assert edgernn_export.read_layout is read_layout
