"""Any activation, in cells, behind layers and by itself: what is read computes what Keras does."""

import h5py
import keras
import numpy as np
import pytest

from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.float_model.model import FloatCell, FloatGRU, FloatLSTM, FloatSimpleRNN
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import answer, readings, sequential

L = keras.layers
XS = readings(steps=20)
FUNCTIONS = [
    "relu", "silu", "softsign", "hard_tanh", "linear", "elu", "selu", "gelu", "mish", "softplus",
    "hard_sigmoid", "leaky_relu", "relu6", "tanh_shrink", "exponential",
]  # fmt: skip
#: Forms in which Keras takes a function: an object, a function, what it stores of both.
FORMS = {
    "layer": lambda: L.ReLU(max_value=1.5),
    "slope": lambda: L.LeakyReLU(negative_slope=0.1),
    "elu": lambda: L.ELU(alpha=0.4),
    "nested": lambda: L.Activation("softsign"),
    "function": lambda: keras.activations.mish,
    "operation": lambda: keras.ops.softplus,
    "stored": lambda: {
        "class_name": "ReLU", "config": {"max_value": 2.0}, "module": "keras.layers",
        "registered_name": None,
    },
}  # fmt: skip


def close(model, tmp_path, xs=XS, kinds=None):
    """The float models of a network, alive and stored, which answer as Keras does."""
    model.save(tmp_path / "model.keras")
    wanted = answer(model, xs)
    for source in (model, tmp_path / "model.keras"):
        read = read_keras(source)
        got = with_softmax(read, answers(read, xs))
        np.testing.assert_allclose(got[:, -wanted.shape[1] :], wanted, rtol=2e-4, atol=2e-5)
        if kinds is not None:
            assert [layer.kind for layer in read.layers] == kinds
    return read


def cell(kind, **options):
    """A layer by the name of its kind of cell."""
    if kind == "rnn":
        return L.SimpleRNN(4, return_sequences=True, **options)
    if kind == "lstm":
        return L.LSTM(4, return_sequences=True, **options)
    return L.GRU(4, return_sequences=True, reset_after=kind == "gru_after", **options)


@pytest.mark.parametrize("kind", ["lstm", "gru_after", "gru_before", "rnn"])
def test_cells_of_all_functions(kind, tmp_path):
    for function in FUNCTIONS:
        if function in ("exponential", "tanh_shrink") and kind != "rnn":
            continue  # what grows without end is compared with nothing
        model = sequential(cell(kind, activation=function, name="cell"), L.Dense(2))
        model.set_weights([0.3 * weight for weight in model.get_weights()])
        layer = close(model, tmp_path).layers[0]
        usual = kind == "rnn" and function == "relu"
        assert isinstance(layer, FloatSimpleRNN if usual else FloatCell)


@pytest.mark.parametrize("gate", ["hard_sigmoid", "hard_tanh", "softsign", "sparse_sigmoid"])
@pytest.mark.parametrize("kind", ["lstm", "gru_after", "gru_before"])
def test_gates_of_other_functions(kind, gate, tmp_path):
    model = sequential(cell(kind, recurrent_activation=gate, name="cell"), L.Dense(2))
    model.set_weights([0.3 * weight for weight in model.get_weights()])
    layer = close(model, tmp_path).layers[0]
    assert isinstance(layer, FloatCell) == (gate != "hard_sigmoid")


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_functions(form, tmp_path):
    function = FORMS[form]()
    layers = [L.LSTM(4, activation=function, return_sequences=True), L.Dense(2, function)]
    close(sequential(*layers), tmp_path)


def test_usual_functions_have_the_layers_they_had(tmp_path):
    for layer, kind in [
        (L.LSTM(4, recurrent_activation="hard_sigmoid"), FloatLSTM),
        (L.GRU(4), FloatGRU),
        (L.SimpleRNN(4, activation="relu"), FloatSimpleRNN),
    ]:
        model = sequential(layer, L.Dense(2, activation="tanh"))
        assert type(read_keras(model).layers[0]) is kind


@pytest.mark.parametrize(
    ("layers", "kinds"),
    [
        ([L.LeakyReLU, "GRU", L.ELU], ["merge", "pointwise", "gru", "pointwise"]),
        (["GRU", L.ReLU], ["gru", "merge"]),
        (
            ["GRU", lambda: L.Dense(3, "softplus"), lambda: L.PReLU(shared_axes=[1])],
            ["gru", "dense", "pointwise", "prelu"],
        ),
        (
            ["GRU", lambda: L.Dense(3, "tanh"), lambda: L.ReLU(1.0, 0.1, 0.2)],
            ["gru", "dense", "pointwise"],
        ),
        (
            ["GRU", lambda: L.Rescaling(0.5, 0.1), lambda: L.Activation("tanh")],
            ["gru", "merge", "pointwise"],
        ),
        (
            ["GRU", lambda: L.TimeDistributed(L.LeakyReLU()), lambda: L.Dense(2, "softmax")],
            ["gru", "pointwise", "dense"],
        ),
        (
            [lambda: L.Conv1D(4, 3, padding="causal", activation="gelu"), "GRU"],
            ["delay", "dense", "pointwise", "gru"],
        ),
        (["GRU", lambda: L.Dense(3, "swish"), lambda: L.Rescaling(2.0), lambda: L.Dense(2)],
         ["gru", "dense", "pointwise", "dense"]),
    ],
)  # fmt: skip
def test_layers_of_their_own(layers, kinds, tmp_path):
    made = [L.GRU(4, return_sequences=True) if one == "GRU" else one() for one in layers]
    close(sequential(*made), tmp_path, kinds=kinds)


def test_operations_on_tensors(tmp_path):
    given = keras.Input((None, 3))
    x = keras.ops.clip(L.GRU(4, return_sequences=True)(given), -0.3, 0.4)
    x = keras.activations.gelu(keras.ops.gelu(x), approximate=False)
    x = keras.ops.leaky_relu(keras.activations.relu(x, max_value=0.3), negative_slope=0.3)
    x = L.Dense(3)(keras.ops.softsign(x))
    outputs = keras.ops.elu(x, alpha=0.5)
    close(keras.Model(given, outputs), tmp_path)


def test_functions_behind_strides(tmp_path):
    layers = [
        L.Conv1D(4, 2, strides=2, activation="silu"),
        L.PReLU(shared_axes=[1]),
        L.Conv1D(3, 3, padding="causal", activation="elu"),
        L.LSTM(4, return_sequences=True),
        L.Dense(2),
    ]
    close(sequential(*layers), tmp_path)


def test_slopes_that_no_axis_shares_may_be_alike(tmp_path):
    model = sequential(L.GRU(4, return_sequences=True), L.PReLU(name="p"), L.Dense(2), steps=20)
    model.get_layer("p").set_weights([np.tile([0.1, 0.2, -0.3, 1.5], (20, 1))])
    close(model, tmp_path)


@pytest.mark.parametrize("kind", ["lstm", "gru_after", "gru_before"])
@pytest.mark.parametrize("function", ["tanh", "relu"])
def test_hard_sigmoid_of_keras_2(kind, function, tmp_path):
    """A file of Keras 2 means clip(0.2 x + 0.5, 0, 1), in cells and in layers."""

    def of_keras2(x):
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    def network(hard):
        options = {"activation": function, "recurrent_activation": hard}
        return sequential(cell(kind, **options), L.Dense(2, activation=hard))

    model, oracle = network("hard_sigmoid"), network(of_keras2)
    oracle.set_weights([0.3 * weight for weight in model.get_weights()])
    model.set_weights(oracle.get_weights())
    path = tmp_path / "model.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = b"2.15.0"
    read = read_keras(path)
    np.testing.assert_allclose(answers(read, XS), answer(oracle, XS), rtol=2e-4, atol=2e-5)
    assert read.layers[-1].function == "hard_sigmoid_keras2"
