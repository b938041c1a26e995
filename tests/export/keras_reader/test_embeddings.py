"""Embeddings of Keras: what is read, live and stored, what it computes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import (
    PruningError,
    QuantizationError,
    ReadingError,
    ShapeError,
    UnsupportedModelError,
)
from edgernn.model.formats import Precision
from edgernn.model.layers import Embedding
from edgernn.model.routes import MODEL_INPUT, RoutePart
from edgernn_export import quantize
from edgernn_export.compress.structured import remove_units
from edgernn_export.float_model.embeddings import FloatEmbedding
from edgernn_export.float_model.float_run import run, with_softmax
from edgernn_export.float_model.model import FloatDense, FloatModel
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from edgernn_firmware_sim.reference.reference import Reference

keras = pytest.importorskip("keras")
layers = keras.layers


def words(dtype="int32", steps=None, **options):
    """Tokens of 50 kinds in, a softmax over them out."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((steps,), dtype=dtype),
            layers.Embedding(50, 8, **options),
            layers.GRU(12, return_sequences=True),
            layers.Dense(50, activation="softmax"),
        ],
        name="words",
    )


def words_and_reals():
    """A token and three reals, as inputs of their own."""
    keras.utils.set_random_seed(2)
    token, wind = (
        keras.Input((None,), name="token", dtype="int32"),
        keras.Input((None, 3), name="wind"),
    )
    both = layers.Concatenate()([layers.Embedding(20, 4, name="table")(token), wind])
    hidden = layers.LSTM(10, return_sequences=True)(both)
    return keras.Model([token, wind], layers.Dense(2)(hidden), name="both")


def two_tokens():
    """Two tokens a step, whose rows a Reshape puts one behind another."""
    keras.utils.set_random_seed(3)
    tokens = keras.Input((None, 2), dtype="int64")
    rows = layers.Reshape((-1, 8))(layers.Embedding(9, 4)(tokens))
    return keras.Model(tokens, layers.Dense(1)(layers.SimpleRNN(6)(rows)), name="two")


RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 50, (3, 40))
MIXED = [RNG.integers(0, 20, (3, 40)), RNG.normal(size=(3, 40, 3))]
PAIRS = RNG.integers(0, 9, (3, 40, 2))
NETWORKS = {
    "words": (words, TOKENS, TOKENS[..., None], (50,)),
    "float input": (lambda: words("float32"), TOKENS, TOKENS[..., None], (50,)),
    "both": (words_and_reals, MIXED, np.concatenate([MIXED[0][..., None], MIXED[1]], -1),
             (20, 0, 0, 0)),
    "two": (two_tokens, PAIRS, PAIRS, (9, 9)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_run_is_that_of_keras(name):
    make, fed, xs, vocabulary = NETWORKS[name]
    network = make()
    model = read_keras(network)
    assert model.vocabulary == vocabulary
    ys = with_softmax(model, run(model, xs.astype(np.float64))[0])
    wanted = network.predict(fed, verbose=0)
    np.testing.assert_allclose(ys if wanted.ndim == 3 else ys[:, -1], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", NETWORKS)
def test_stored_networks_are_the_live_ones(name, suffix, tmp_path):
    network = NETWORKS[name][0]()
    path = tmp_path / f"network.{suffix}"
    network.save(path)
    assert read_keras(path).sha256 == read_keras(network).sha256


def test_what_is_read():
    model = read_keras(words_and_reals())
    embedding = model.layers[0]
    assert isinstance(embedding, FloatEmbedding)
    assert (embedding.inputs, embedding.units, embedding.table.shape) == (1, 4, (20, 4))
    assert model.routes[0] == (RoutePart(source=MODEL_INPUT, start=0, width=1),)
    assert [port.name for port in model.input_ports] == ["token", "wind"]
    assert read_keras(words(steps=7)).steps == 7


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore")
def test_quantized(name, precision):
    """The table's largest magnitude is 127; answers are as close as those of other networks."""
    make, _, xs, vocabulary = NETWORKS[name]
    model = read_keras(make())
    integer = quantize(model, xs.astype(np.float64), precision.value, progress=False)
    assert integer.input.vocabulary == vocabulary
    embedding = next(layer for layer in integer.layers if isinstance(layer, Embedding))
    table = next(layer for layer in model.layers if isinstance(layer, FloatEmbedding)).table
    assert np.abs(embedding.table).max() == 127
    scale = 256 * embedding.output_scale
    assert np.abs(embedding.table * scale - table).max() <= scale / 2 * (1 + 1e-6)
    ys, _ = run(model, xs.astype(np.float64))
    q_ys, _ = Reference(integer).run(integer.interface().quantize(xs))
    error = integer.interface().dequantize(q_ys) - ys
    most = {Precision.W8A8: 5e-2, Precision.W8A16: 1e-2}[precision]  # of networks never trained
    assert np.square(error).sum() < most * np.square(ys - ys.mean()).sum()


@pytest.mark.filterwarnings("ignore")
def test_tables_keep_8_bits_and_have_no_range():
    model = read_keras(words())
    xs = TOKENS[..., None].astype(np.float64)
    integer = quantize(model, xs, "w4a8", progress=False)
    assert np.abs(integer.layers[0].table).max() == 127
    with pytest.raises(QuantizationError, match=r"expected no range for 'x0', whose 50 tokens are"):
        quantize(model, xs, input_range={"x0": (0, 49)}, progress=False)
    with pytest.raises(QuantizationError, match="expected names among"):
        quantize(model, xs, weight_bits={model.layers[0].name: 4}, progress=False)


@pytest.mark.parametrize("token", [50, -1, 0.5])
def test_calibration_with_what_is_no_token_is_refused(token):
    xs = TOKENS[..., None].astype(np.float64)
    xs[1, 7] = token
    with pytest.raises(ReadingError, match="'letter': expected a token, an integer from 0 to 49"):
        quantize(words(), xs, input_names=["letter"], progress=False)


def behind_a_layer():
    x = keras.Input((None, 1))
    rows = layers.Reshape((-1, 3))(layers.Embedding(5, 3)(layers.Dense(1)(x)))
    return keras.Model(x, layers.GRU(4)(rows))


def tokens_read_twice():
    x = keras.Input((None,), dtype="int32")
    real = layers.Reshape((-1, 1))(x)
    return keras.Model(x, layers.GRU(4)(layers.Concatenate()([layers.Embedding(5, 3)(x), real])))


def rows_in_an_axis():
    x = keras.Input((None, 2), dtype="int32")
    rows = layers.Dense(5)(layers.Embedding(5, 3)(x))
    return keras.Model(x, layers.GRU(4)(layers.Reshape((-1, 10))(rows)))


def large_table():
    x = keras.Input((None,), dtype="int32")
    return keras.Model(x, layers.GRU(4)(layers.Embedding(32_769, 1)(x)))


REFUSED = {
    "behind a layer": (behind_a_layer, "expected an embedding of an integer input, got an"),
    "read twice": (tokens_read_twice, "only embeddings after an input that one of them reads"),
    "rows in an axis": (rows_in_an_axis, r"rows of several tokens in one axis.*Reshape\(\("),
    "large table": (large_table, "a table of at most 32768 tokens, got 32769"),
    "integers without a table": (
        lambda: keras.Sequential([keras.Input((None, 3), dtype="int32"), layers.GRU(4)]),
        "expected a dense float input, got int32",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    make, message = REFUSED[name]
    with pytest.raises(UnsupportedModelError, match=f"(?s){message}"):
        read_keras(make())


def test_removal_of_units_does_not_take_embeddings():
    with pytest.raises(PruningError, match=r"over readings, got an embedding. Train it with fewer"):
        remove_units(words(), layers={"gru": 6})


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_onnx_form(name):
    """Tokens are float32 like all inputs of that form; it answers as the float run does."""
    ort = pytest.importorskip("onnxruntime")
    make, _, xs, _ = NETWORKS[name]
    model = read_keras(make())
    session = ort.InferenceSession(write_onnx_float(model), providers=["CPUExecutionProvider"])
    values = xs.astype(np.float32).swapaxes(0, 1)
    cuts = np.cumsum([port.width for port in model.input_ports])[:-1]
    given = [
        entry for entry in session.get_inputs() if entry.shape[1] == "B" and "." not in entry.name
    ]
    fed = dict(zip([e.name for e in given], np.split(values, cuts, axis=2), strict=False))
    for entry in session.get_inputs():
        if entry.name not in fed:
            fed[entry.name] = np.zeros((1, 3, entry.shape[2]), np.float32)
    got = session.run(["y"], fed)[0].swapaxes(0, 1)
    wanted = with_softmax(model, run(model, xs.astype(np.float64))[0])
    np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=0)


def test_float_models_refuse_what_contradicts_itself():
    model = read_keras(words())
    embedding, gru, head = model.layers
    behind = FloatEmbedding(name="t", table=np.ones((3, 1)), tokens=12)
    names = {"input": 8, "output": 12}
    labels = {f"{k}_names": tuple("abcdefghijkl"[:n]) for k, n in names.items()}
    labels |= {f"{k}_units": ("",) * n for k, n in names.items()}
    with pytest.raises(ShapeError, match="expected to read the input of words"):
        FloatModel(name="words", layers=(gru, behind), **labels)
    with pytest.raises(ShapeError, match="at most 32768 rows, got 1 tokens and 32769 rows"):
        FloatEmbedding(name="t", table=np.ones((32_769, 1)))
    assert isinstance(head, FloatDense)
    with pytest.raises(ReadingError, match="'x0': expected a token"):
        run(model, np.full((1, 2, 1), 50.0))
    assert embedding.parameters == 400
