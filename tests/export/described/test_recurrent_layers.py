"""Recurrent layers from matrices against the frameworks whose matrices they are."""

from __future__ import annotations

import itertools
import math
import re
import warnings

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.described.onnx_forms import KINDS as KINDS_OF_ONNX
from edgernn_export.described.onnx_forms import recurrent_forms
from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.float_model.float_run import run
from edgernn_export.keras_reader.program_sets.passes import read_passes
from edgernn_export.keras_reader.reader import read_keras
from tests.support.models.described import in_a_row

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


@pytest.mark.parametrize(
    ("attributes", "texts"),
    [
        ({"color": 1, "clip": -1.0}, ["only attributes of LSTM, got color=1", "a clip above 0"]),
        ({"direction": "sideways"}, ["direction forward or reverse or bidirectional, got 'side"]),
        ({"input_forget": 3}, ["input_forget 0 or 1, got 3"]),
        ({"activations": ["Tanh"]}, ["3 activations, got 1"]),
        (
            {"activations": ["Sigmoid", "Gelu", "Mish"]},
            ["activations of Affine, Elu, HardSigmoid, .*ThresholdedRelu, got Gelu, Mish"],
        ),
        (
            {"activations": ["Sigmoid", "Affine", "Affine"], "activation_alpha": [1.0]},
            ["activation_alpha of Affine, got 1 values.", "activation_beta of Affine, got 0 val"],
        ),
        (
            {"activations": ["HardSigmoid", "Tanh", "Elu"], "activation_alpha": [0.2, 1.0, 0.5]},
            ["2 values of activation_alpha, those of HardSigmoid, Elu, got 3"],
        ),
        ({"activation_alpha": [math.nan]}, ["finite values of activation_alpha, got"]),
        (
            {"activations": ["Elu"] * 3, "activation_alpha": [1.0, 1.0, math.inf], "clip": "much"},
            [r"numbers as clip, got \['much'\]", "finite values of activation_alpha, got"],
        ),
    ],
)
def test_attributes_that_say_nothing_that_is_computed(attributes, texts):
    with pytest.raises(UnsupportedModelError) as error:
        recurrent_forms("LSTM", "node 'rnn' (LSTM)", attributes)
    assert len(error.value.reasons) == len(texts)
    for reason, text in zip(error.value.reasons, texts, strict=True):
        assert reason.startswith("node 'rnn' (LSTM): expected ")
        assert re.search(text, reason)


def test_any_attributes_give_forms_or_reasons():
    rng, read = np.random.default_rng(4), 0
    values = (0, 1, -1, 0.5, math.nan, math.inf, 1e300, "", "Tanh", "forward", [], [0.25], None, {})
    functions = ("Tanh", "Sigmoid", "Elu", "Affine", "HardSigmoid", "ScaledTanh", "Mish", 3)
    names = (
        "activations", "activation_alpha", "activation_beta", "clip", "direction", "layout",
        "input_forget", "linear_before_reset", "hidden_size", "unknown",
    )  # fmt: skip
    for _ in range(3000):
        operator = str(rng.choice(["RNN", "GRU", "LSTM"]))
        given = {
            name: values[rng.integers(len(values))]
            for name in rng.choice(names, rng.integers(0, 4), replace=False)
        }
        if rng.random() < 0.5:
            count = len(KINDS_OF_ONNX[operator][1])
            given["activations"] = [functions[k] for k in rng.integers(len(functions), size=count)]
            given["activation_alpha"] = list(rng.choice([0.2, 1.5], rng.integers(0, count + 1)))
        try:
            forms = recurrent_forms(operator, "'rnn'", given)
        except UnsupportedModelError as error:
            assert all(reason.startswith("'rnn': expected ") for reason in error.reasons)
            continue
        assert 1 <= len(forms) <= 2
        read += 1
    assert 300 < read < 2700


def test_values_for_all_activations_where_both_readings_agree():
    attributes = {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3, 9, 9]}
    (form,) = recurrent_forms("LSTM", "'rnn'", attributes)
    assert form.gate == "ramp(slope=0.3,offset=0.5,low=0.0,high=1.0)"


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
        ({"clip": 3.0}, "with peepholes, got sigmoid, tanh and tanh, and a clip at 3"),
        ({"shown": "relu"}, "in an LSTM with peepholes, got sigmoid, tanh and relu. Train with"),
    ],
)
def test_what_no_cell_computes_is_refused(form, text):
    weights = RecurrentWeights(
        order="torch",
        kernel=np.ones((8, 3)),
        recurrent=np.ones((8, 2)),
        peepholes=(np.ones(2),) * 3,
    )
    with pytest.raises(UnsupportedModelError, match=text):
        recurrent("LSTM", "a", "'a' (nn.LSTM)", weights, RecurrentForm(**form))
