"""Recurrent layers from matrices against the frameworks whose matrices they are."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.float_model.float_run import run
from edgernn_export.keras_reader.program_sets.passes import read_passes
from edgernn_export.keras_reader.reader import read_keras
from tests.support.models.described import in_a_row
from tests.support.models.onnx_recurrent import matrices, one_operator, runtime_answer

torch = pytest.importorskip("torch")

INPUTS, UNITS, STEPS, STREAMS = 3, 5, 20, 20
KINDS = {"SimpleRNN": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}


def close(got, wanted):
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


def of_torch(module, layer, *, backward=False, **form):
    """The described layer of one direction of a layer of torch.nn."""
    end = f"l{layer}{'_reverse' * backward}"
    kind = next(name for name, made in KINDS.items() if type(module) is made)
    arrays = {
        name.removesuffix(f"_{end}"): array.detach().numpy()
        for name, array in module.named_parameters()
        if name.endswith(f"_{end}")
    }
    weights = RecurrentWeights(
        order="torch",
        kernel=arrays["weight_ih"],
        recurrent=arrays["weight_hh"],
        biases=tuple(arrays[name] for name in ("bias_ih", "bias_hh") if name in arrays),
        projection=arrays.get("weight_hr"),
    )
    name = f"rnn_{end}"
    return recurrent(
        kind, name, f"'{name}' (nn.{kind})", weights,
        RecurrentForm(backward=backward, reordered=backward, **form),
    )  # fmt: skip


def streams(seed=3):
    return np.random.default_rng(seed).normal(size=(STREAMS, STEPS, INPUTS)).astype(np.float32)


def torch_answer(module, xs):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")  # oneDNN has none
        return module(torch.tensor(xs))[0].numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_torch_layers_stacks_and_projections(kind):
    torch.manual_seed(0)
    compared = 0
    for layers, bias, projection in itertools.product((1, 3), (True, False), (0, 2)):
        if projection and kind != "LSTM":
            continue
        options = {"proj_size": projection} if projection else {}
        module = KINDS[kind](
            INPUTS, UNITS, num_layers=layers, bias=bias, batch_first=True, **options
        )
        model = read_keras(in_a_row(*(of_torch(module, n) for n in range(layers)), inputs=INPUTS))
        xs = streams()
        close(run(model, xs.astype(np.float64))[0], torch_answer(module, xs))
        compared += 1
    assert compared == (8 if kind == "LSTM" else 4)


@pytest.mark.parametrize("kind", KINDS)
def test_torch_layers_in_both_directions(kind):
    torch.manual_seed(0)
    options = {"proj_size": 2} if kind == "LSTM" else {}
    for more in ({}, options):
        module = KINDS[kind](
            INPUTS, UNITS, num_layers=2, batch_first=True, bidirectional=True, **more
        )
        stages = [
            tuple(of_torch(module, n, backward=backward) for backward in (False, True))
            for n in range(2)
        ]
        chunks = read_passes(in_a_row(*stages, inputs=INPUTS))
        xs = streams()
        close(chunks.run(xs.astype(np.float64)), torch_answer(module, xs))
        assert [one.direction.value for one in chunks.passes] == [
            "forward", "backward", "forward", "backward", "forward"
        ][: len(chunks.passes)]  # fmt: skip


#: Of the operators of ONNX: kind of layer, attributes, and what a form says of them.
OPERATORS = {
    "RNN": ("SimpleRNN", {}, {}),
    "relu RNN": ("SimpleRNN", {"activations": ["Relu"]}, {"function": "relu"}),
    "LSTM": ("LSTM", {}, {}),
    "LSTM with peepholes": ("LSTM", {}, {}),
    "coupled LSTM": ("LSTM", {"input_forget": 1}, {"coupled": True}),
    "coupled LSTM with peepholes": ("LSTM", {"input_forget": 1}, {"coupled": True}),
    "softsign LSTM": (
        "LSTM", {"activations": ["Sigmoid", "Softsign", "Softsign"]}, {"function": "softsign"}
    ),
    "GRU before": ("GRU", {}, {"reset_after": False}),
    "GRU after": ("GRU", {"linear_before_reset": 1}, {}),
    "softsign GRU before": (
        "GRU", {"activations": ["Sigmoid", "Softsign"]},
        {"reset_after": False, "function": "softsign"},
    ),
}  # fmt: skip


def of_onnx(kind, arrays, direction, name, **form):
    """The described layer of one direction of an operator."""
    peepholes = arrays.get("P")
    if peepholes is not None:
        i, o, f = np.split(peepholes[direction], 3)
        peepholes = i, f, o
    weights = RecurrentWeights(
        order="onnx",
        kernel=arrays["W"][direction],
        recurrent=arrays["R"][direction],
        biases=tuple(np.split(arrays["B"][direction], 2)),
        peepholes=peepholes,
    )
    return recurrent(kind, name, f"node {name!r} ({kind})", weights, RecurrentForm(**form))


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_onnx(name):
    pytest.importorskip("onnxruntime")
    kind, attributes, form = OPERATORS[name]
    operator = "RNN" if kind == "SimpleRNN" else kind
    arrays = matrices(operator, INPUTS, UNITS, peepholes="peepholes" in name)
    model = read_keras(in_a_row(of_onnx(kind, arrays, 0, "a", **form), inputs=INPUTS))
    wanted = runtime_answer(one_operator(operator, arrays, **attributes), streams())
    close(run(model, streams().astype(np.float64))[0], wanted)


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_directions_of_onnx(direction):
    pytest.importorskip("onnxruntime")
    both = direction == "bidirectional"
    arrays = matrices("GRU", INPUTS, UNITS, directions=1 + both)
    backward = of_onnx(
        "GRU", arrays, int(both), "b", reset_after=False, backward=True, reordered=True
    )
    forward = of_onnx("GRU", arrays, 0, "f", reset_after=False)
    chunks = read_passes(in_a_row((forward, backward) if both else backward, inputs=INPUTS))
    wanted = runtime_answer(one_operator("GRU", arrays, direction=direction), streams())
    close(chunks.run(streams().astype(np.float64)), wanted)


def test_what_does_not_fit_is_refused_with_all_reasons():
    def reasons(**arrays):
        made = {"kernel": np.ones((8, 3)), "recurrent": np.ones((8, 2)), "order": "torch"} | arrays
        with pytest.raises(UnsupportedModelError) as error:
            recurrent("LSTM", "a", "'a' (nn.LSTM)", RecurrentWeights(**made), RecurrentForm())
        return error.value.reasons

    assert reasons(kernel=np.ones((7, 3))) == (
        "'a' (nn.LSTM): expected a matrix of the readings with 4 rows for each unit, got shape "
        "(7, 3). Save the network again.",
    )
    assert reasons(recurrent=np.ones((8, 3)), biases=(np.full(8, np.nan), np.ones(7))) == (
        "'a' (nn.LSTM): expected the matrix of the state of shape (8, 2), got (8, 3). Save the "
        "network again.",
        "'a' (nn.LSTM): expected a bias of shape (8,), got (7,). Save the network again.",
        "'a' (nn.LSTM): expected finite values in a bias, got 8 NaN or infinite. Training "
        "diverged; train again.",
    )


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"coupled": True, "gate": "tanh"}, "where the forget gate is 1 - i, got tanh"),
        ({"shown": "relu"}, "one function of the candidate and of the cell state, got tanh and"),
    ],
)
def test_what_no_cell_computes_is_refused(form, text):
    weights = RecurrentWeights(order="torch", kernel=np.ones((8, 3)), recurrent=np.ones((8, 2)))
    with pytest.raises(UnsupportedModelError, match=text):
        recurrent("LSTM", "a", "'a' (nn.LSTM)", weights, RecurrentForm(**form))
