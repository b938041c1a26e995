"""What is read runs as Keras runs it: every cell, every option, every folding."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from edgernn.errors import ShapeError
from edgernn_export.float_model.float_run import initial_state, run, softmax
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import answer, randomised, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

ATOL = 1e-5


def agree(model, xs=None, *, atol=ATOL):
    """Read a Keras model and compare every output it gives; return the float model."""
    read = read_keras(model)
    xs = readings(inputs=read.inputs) if xs is None else xs
    ys, _ = run(read, xs)
    wanted = answer(model, xs)
    got = softmax(ys) if read.final_activation == "softmax" else ys
    got = got if wanted.ndim == 3 else got[:, -1]
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(got, wanted, rtol=0, atol=atol)
    assert read.return_sequences == (wanted.ndim == 3)
    with TemporaryDirectory() as folder:
        for suffix in (".keras", ".h5"):
            model.save(Path(folder) / f"m{suffix}")
            assert read_keras(Path(folder) / f"m{suffix}") == read
    return read


GATED = [
    (cell, {"recurrent_activation": gate, "use_bias": bias, "return_sequences": sequences, **more})
    for gate, bias, sequences in itertools.product(
        ("sigmoid", "hard_sigmoid"), (True, False), (True, False)
    )
    for cell, more in (
        ("LSTM", {}),
        ("GRU", {"reset_after": True}),
        ("GRU", {"reset_after": False}),
    )
]
PLAIN = [
    ("SimpleRNN", {"activation": activation, "use_bias": bias, "return_sequences": sequences})
    for activation, bias, sequences in itertools.product(
        ("tanh", "relu"), (True, False), (True, False)
    )
]


@pytest.mark.parametrize(("cell", "options"), GATED + PLAIN)
def test_cells(cell, options):
    model = sequential(getattr(L, cell)(5, **options), L.Dense(2))
    read = agree(model)
    assert read.parameters == model.count_params()
    assert not read.stateful


@pytest.mark.parametrize("cell", ["SimpleRNNCell", "LSTMCell", "GRUCell"])
def test_rnn_around_a_cell(cell):
    agree(sequential(L.RNN(getattr(L, cell)(4), return_sequences=True), L.Dense(2)))


@pytest.mark.parametrize("cell", ["SimpleRNN", "LSTM", "GRU"])
def test_stateful_chunks(cell):
    layer = getattr(L, cell)(4, stateful=True, return_sequences=True)
    model = sequential(layer, L.Dense(2), batch=2)
    read = read_keras(model)
    assert read.stateful
    xs = readings(2, 12)
    state = initial_state(read, 2)
    for low, high in ((0, 4), (4, 5), (5, 12)):
        ys, state = run(read, xs[:, low:high], state)
        wanted = answer(model, xs[:, low:high])
        np.testing.assert_allclose(ys, wanted, rtol=0, atol=ATOL)


def test_stack_of_eight():
    cells = itertools.cycle((L.LSTM, L.GRU, L.SimpleRNN))
    layers = [next(cells)(3, return_sequences=True) for _ in range(8)]
    read = agree(sequential(*layers, L.Dense(1)))
    assert len(read.layers) == 9


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("distributed", [False, True])
def test_dense_heads(activation, distributed):
    def dense(units):
        inner = L.Dense(units, activation=activation)
        return L.TimeDistributed(inner) if distributed else inner

    read = agree(sequential(L.GRU(4, return_sequences=True), dense(5), dense(3)))
    assert [layer.activation for layer in read.layers[1:]] == [activation] * 2


def test_dense_before_and_between_recurrent_layers():
    layers = (
        L.Dense(4, activation="tanh"),
        L.LSTM(4, return_sequences=True),
        L.Dense(3, use_bias=False),
        L.GRU(4),
    )
    model = sequential(*layers)
    assert agree(model).parameters == model.count_params()


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (lambda: L.Activation("relu"), "relu"),
        (lambda: L.Activation("tanh"), "tanh"),
        (lambda: L.Activation("sigmoid"), "sigmoid"),
        (lambda: L.Activation("linear"), "linear"),
        (lambda: L.ReLU(), "relu"),
    ],
)
def test_activation_layers_merge_into_the_dense_before(layer, activation):
    read = agree(sequential(L.GRU(4), L.Dense(3), L.Dropout(0.2), layer(), L.Dense(2)))
    assert read.layers[1].activation == activation
    assert len(read.layers) == 3


@pytest.mark.parametrize(
    "tail",
    [
        lambda: [L.Dense(3, activation="softmax")],
        lambda: [L.TimeDistributed(L.Dense(3, activation="softmax"))],
        lambda: [L.Dense(3), L.Softmax()],
        lambda: [L.Dense(3), L.Activation("softmax"), L.Identity()],
        lambda: [L.Dense(3, activation="relu"), L.Softmax()],
    ],
)
def test_final_softmax_stays_outside(tail):
    read = agree(sequential(L.GRU(4, return_sequences=True), *tail()))
    assert read.final_activation == "softmax"
    ys, _ = run(read, readings())
    assert np.abs(ys.sum(axis=-1) - 1.0).max() > 0.01


def test_layers_that_do_nothing():
    idle = [
        L.Dropout(0.5),
        L.SpatialDropout1D(0.5),
        L.GaussianNoise(1.0),
        L.GaussianDropout(0.5),
        L.ActivityRegularization(l1=0.1),
        L.Activation("linear"),
        L.Identity(),
    ]
    recurrent = L.LSTM(
        4,
        dropout=0.5,
        recurrent_dropout=0.5,
        unroll=True,
        kernel_regularizer="l2",
        kernel_constraint="max_norm",
        bias_initializer="ones",
    )
    read = agree(sequential(*idle, recurrent, L.Dense(2), steps=12), readings(steps=12))
    assert len(read.layers) == 2


def adapted(**options):
    layer = L.Normalization(**options)
    layer.adapt(np.random.default_rng(5).normal(3.0, 4.0, (8, 6, 3)))
    return layer


SCALINGS = {
    "normalization": lambda: adapted(),
    "inverse normalization": lambda: adapted(invert=True),
    "normalization over all": lambda: adapted(axis=None),
    "given statistics": lambda: L.Normalization(mean=[1.0, -2.0, 0.5], variance=[4.0, 0.25, 9.0]),
    "rescaling": lambda: L.Rescaling(0.25, offset=-1.5),
    "rescaling per feature": lambda: L.Rescaling([0.5, 2.0, -1.0], offset=[0.1, 0.2, 0.3]),
    "batch normalization": lambda: L.BatchNormalization(),
    "batch normalization, bare": lambda: L.BatchNormalization(
        center=False, scale=False, epsilon=0.01
    ),
}


def scaled(*layers):
    """Randomise all but Normalization, whose statistics are already its own."""
    model = keras.Sequential([keras.Input((None, 3)), *layers])
    for layer in model.layers:
        if not isinstance(layer, L.Normalization):
            randomised(layer)
    return model


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize(
    "recurrent",
    [
        lambda: L.SimpleRNN(4, use_bias=False),
        lambda: L.LSTM(4),
        lambda: L.GRU(4),
        lambda: L.GRU(4, reset_after=False, use_bias=False),
    ],
)
def test_scalings_fold_into_the_layer_after(name, recurrent):
    read = agree(scaled(SCALINGS[name](), recurrent(), L.Dense(2)))
    assert len(read.layers) == 2


@pytest.mark.parametrize("name", SCALINGS)
def test_scalings_fold_back_into_the_last_dense(name):
    read = agree(scaled(L.GRU(4, return_sequences=True), L.Dense(3), SCALINGS[name]()), atol=5e-5)
    assert len(read.layers) == 2


def test_scalings_between_layers():
    layers = (
        L.Rescaling(0.5),
        adapted(),
        L.LSTM(3, return_sequences=True),
        L.BatchNormalization(),
        L.Dropout(0.1),
        L.Rescaling(2.0, offset=0.25),
        L.GRU(3),
        L.BatchNormalization(),
        L.Dense(4, use_bias=False),
        L.BatchNormalization(),
        L.Activation("relu"),
        L.BatchNormalization(),
        L.Dense(2),
    )
    read = agree(scaled(*layers))
    assert [layer.kind for layer in read.layers] == ["lstm", "gru", "dense", "dense"]


def functional(nested=False):
    given = keras.Input((12, 3), batch_size=2)
    inner = keras.Sequential([keras.Input((12, 3)), L.Rescaling(0.5), L.GRU(4)], name="gru")
    x = inner(given) if nested else L.GRU(4, name="same")(L.Rescaling(0.5)(given))
    head = keras.Input((4,))
    tail = keras.Model(head, L.Dense(2, name="same")(head), name="tail")
    return randomised(keras.Model(given, tail(x) if nested else L.Dense(2, name="y")(x)))


@pytest.mark.parametrize("nested", [False, True])
def test_functional_models_of_one_path(nested):
    agree(functional(nested))


def test_names_are_made_plain_and_distinct():
    inner = keras.Sequential([keras.Input((None, 3)), L.GRU(3, return_sequences=True, name="a b")])
    model = sequential(L.GRU(3, return_sequences=True, name="a.b"), inner, L.Dense(2, name="-d"))
    read = agree(model)
    assert [layer.name for layer in read.layers] == ["a_b", "a_b_2", "d"]


def test_names_and_units_of_channels():
    model = sequential(L.GRU(3), L.Dense(2))
    plain = read_keras(model)
    assert (plain.input_names, plain.input_units) == (("x0", "x1", "x2"), ("", "", ""))
    assert (plain.output_names, plain.output_units) == (("y0", "y1"), ("", ""))
    named = read_keras(
        model,
        input_names=["a", "b", "c"],
        input_units=["V"] * 3,
        output_names=["d", "e"],
        output_units=["°C", "%"],
    )
    assert (named.input_names, named.input_units) == (("a", "b", "c"), ("V",) * 3)
    assert (named.output_names, named.output_units) == (("d", "e"), ("°C", "%"))
    assert named.sha256 == plain.sha256
    with pytest.raises(
        ShapeError, match=r"input_names: expected 3 strings, .* x0, x1, x2, got \['a'\]"
    ):
        read_keras(model, input_names=["a"])
    with pytest.raises(ShapeError, match=r"output_units: expected 2 strings, got 'mm'"):
        read_keras(model, output_units="mm")


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [L.GRU(4), L.Dense(3), L.BatchNormalization(axis=1), L.Dense(2)],
        lambda: [L.GRU(4), L.Dense(3), L.Softmax(axis=1)],
        lambda: [L.BatchNormalization(axis=2), L.GRU(4, return_sequences=True), L.Softmax(axis=2)],
    ],
)
def test_the_last_axis_by_its_number(layers):
    agree(sequential(*layers()))
