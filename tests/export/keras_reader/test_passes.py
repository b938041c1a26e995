"""Networks that read chunks in both directions: Keras's own answers are the oracle."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.errors import (
    CalibrationError,
    QuantizationError,
    UnsupportedModelError,
)
from edgernn_export.cells import SVDF
from edgernn_export.keras_reader.program_sets.passes import has_passes, read_passes
from edgernn_export.quantizer.quantizer import quantize
from tests.exactness.twin.passes import chunk_answer

keras = pytest.importorskip("keras")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")


def sequential(*layers, inputs=(None, 3), dtype="float32"):
    keras.utils.set_random_seed(5)
    return keras.Sequential([keras.Input(inputs, dtype=dtype), *layers])


def merged(mode):
    return sequential(
        L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode=mode),
        L.Bidirectional(L.SimpleRNN(3), merge_mode=mode),
        L.Dense(2),
    )


def branches():
    """States of a Bidirectional, halves that are not joined, the readings again."""
    keras.utils.set_random_seed(5)
    x = keras.Input((None, 3), name="sensor")
    y, f_h, _, b_h, _ = L.Bidirectional(L.LSTM(4, return_sequences=True, return_state=True))(x)
    ahead, behind = L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=None)(
        L.Concatenate()([x, y])
    )
    last = L.Bidirectional(L.LSTM(2))(L.Subtract()([ahead, behind]))
    return keras.Model(x, L.Dense(2)(L.Concatenate()([last, f_h, b_h])))


def own_backward():
    half = L.GRU(3, go_backwards=True, return_sequences=True, reset_after=False)
    return sequential(
        L.Bidirectional(L.LSTM(3, return_sequences=True), backward_layer=half),
        L.LSTM(4),
        L.Dense(2),
    )


def text():
    return sequential(
        L.Embedding(20, 6, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0)),
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
        L.Bidirectional(L.LSTM(4)),
        L.Dense(1, activation="sigmoid"),
        inputs=(None,),
        dtype="int32",
    )


def last_step(layers):
    """The last step of all outputs: of it, the backward half has read one reading."""
    x = y = keras.Input((None, 3))
    for _ in range(layers):
        y = L.Bidirectional(L.GRU(4, return_sequences=True))(y)
    return keras.Model(x, L.Dense(2)(y[:, -1] * 2.0))


NETWORKS = {
    "concat": lambda: sequential(L.Bidirectional(L.LSTM(4)), L.Dense(2)),
    **{mode: lambda mode=mode: merged(mode) for mode in ("sum", "ave", "mul")},
    "text": text,
    "every step": lambda: sequential(
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
        L.BatchNormalization(),
        L.TimeDistributed(L.Dense(2, activation="softmax")),
        inputs=(7, 3),
    ),
    "without a head": lambda: sequential(
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
    ),
    "one direction": lambda: sequential(L.GRU(4, go_backwards=True)),
    "there and back": lambda: sequential(
        L.GRU(4, go_backwards=True, return_sequences=True),
        L.Dense(3, activation="relu"),
        L.GRU(3, go_backwards=True),
    ),
    "convolution": lambda: sequential(
        L.Conv1D(5, 3, padding="causal", activation="relu"),
        L.Bidirectional(L.RNN(L.LSTMCell(4), return_sequences=True)),
        L.LSTM(4),
        L.Dropout(0.1),
        L.Dense(3, activation="softmax"),
    ),
    "branches": branches,
    "own backward layer": own_backward,
    "last step": lambda: last_step(1),
    "last step of two layers": lambda: last_step(2),
}
#: Passes of each network: fewer than recurrent layers where a direction joins several.
PASSES = {
    "concat": 2, "sum": 3, "ave": 3, "mul": 3, "text": 3, "every step": 2, "without a head": 3,
    "one direction": 1, "there and back": 2, "convolution": 3, "branches": 4,
    "own backward layer": 3, "last step": 2, "last step of two layers": 3,
}  # fmt: skip


def readings(model, count, steps, seed=0):
    rng = np.random.default_rng(seed)
    if len(model.inputs[0].shape) == 2:
        return rng.integers(0, 20, (count, steps, 1)).astype(float)
    return rng.normal(size=(count, steps, 3))


def answers(model, xs):
    given = xs[..., 0] if len(model.inputs[0].shape) == 2 else xs
    return np.asarray(model(given, training=False))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_integer_network_answers_as_keras(name):
    model = NETWORKS[name]()
    assert has_passes(model)
    chunks = read_passes(model)
    assert len(chunks.passes) == PASSES[name]
    xs = readings(model, 5, 7)
    wanted = answers(model, xs)
    ys = chunks.run(xs)
    if chunks.programs[-1].final_activation == "softmax":
        ys = np.exp(ys) / np.exp(ys).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(ys, wanted, atol=1e-6)
    made = quantize(model, readings(model, 40, 7, seed=1), "w8a16")
    assert made.chunk.max_steps == 7
    with edgernn.load(made, "reference") as session:
        got = session.run_many(list(xs), softmax=session.interface.output.softmax)
        codes = session.interface.quantize(xs[0])
        passes = [one.tolist() for one in session.pass_codes(codes).values()]
    assert passes == chunk_answer(made, codes.tolist())
    assert np.abs(np.array(got) - wanted).max() < 0.12 * wanted.std()


def earlier_steps():
    """SVDF keeps earlier steps, as a convolution does; a step of one value is of the last step."""
    keras.utils.set_random_seed(5)
    x = keras.Input((None, 3))
    y = SVDF(4, 3)(L.Bidirectional(L.GRU(3, return_sequences=True))(x))
    whole = L.Dense(3, activation="tanh")(L.Reshape((1, 4))(L.GRU(4)(x)))
    last = L.Bidirectional(L.GRU(2))(y)
    return keras.Model(x, L.Dense(2)(L.Concatenate()([L.Reshape((3,))(whole), last])))


def halves_in_reverse_order(**options):
    """The first half reads backward; Keras reverses what the second one gives."""
    ahead, back = L.GRU(3, **options), L.GRU(3, go_backwards=True, **options)
    return L.Bidirectional(back, backward_layer=ahead)


@pytest.mark.parametrize(
    "make",
    [
        earlier_steps,
        lambda: sequential(halves_in_reverse_order(), L.Dense(2)),
        lambda: sequential(
            halves_in_reverse_order(return_sequences=True), L.GRU(3, go_backwards=True)
        ),
        lambda: sequential(L.Bidirectional(L.GRU(2)), L.Reshape((1, 4)), L.Dense(2)),
        lambda: sequential(
            L.GRU(3, go_backwards=True), L.Reshape((1, 3)), L.LSTM(4), inputs=(1, 3)
        ),
    ],
)
def test_the_order_and_the_number_of_steps_are_those_of_keras(make):
    model = make()
    xs = readings(model, 4, model.inputs[0].shape[1] or 9)
    ys = read_passes(model).run(xs)
    assert ys.ndim == 2
    np.testing.assert_allclose(ys, answers(model, xs).reshape(ys.shape), atol=1e-6)


def test_a_file_reads_as_the_live_network(tmp_path):
    for name in ("branches", "own backward layer", "text"):
        model = NETWORKS[name]()
        wanted = read_passes(model)
        for suffix in ("keras", "h5"):
            path = tmp_path / f"{name.replace(' ', '_')}.{suffix}"
            model.save(path)
            got = read_passes(path)
            assert got.passes == wanted.passes
            assert [p.sha256 for p in got.programs] == [p.sha256 for p in wanted.programs]


def test_layers_in_several_passes_are_stored_once():
    made = quantize(text(), readings(text(), 40, 7))
    tables = [layer for layer in made.layers if layer.kind == "embedding"]
    readers = [m for m in made.programs if any(la.kind == "embedding" for la in m.layers)]
    assert (len(tables), len(readers)) == (1, 2)


def test_the_length_of_chunks():
    made = quantize(NETWORKS["concat"](), readings(NETWORKS["concat"](), 3, 50), max_steps=20)
    assert (made.chunk.min_steps, made.chunk.max_steps) == (1, 20)
    fixed = NETWORKS["every step"]()
    made = quantize(fixed, readings(fixed, 3, 50))
    assert (made.chunk.min_steps, made.chunk.max_steps) == (7, 7)
    with pytest.raises(QuantizationError, match="expected 7, which the network's input takes"):
        quantize(fixed, readings(fixed, 3, 50), max_steps=8)
    with pytest.raises(CalibrationError, match="chunks of 7 steps"):
        quantize(fixed, readings(fixed, 3, 6))
    with pytest.raises(QuantizationError, match="got 40000"):
        quantize(NETWORKS["concat"](), readings(fixed, 3, 6), max_steps=40000)
    with pytest.raises(QuantizationError, match="a network that reads forward only"):
        quantize(sequential(L.GRU(3)), readings(fixed, 3, 6), max_steps=8)


@pytest.mark.parametrize("option", [{"stream": "endless"}, {"window": 5}, {"hop": 2}])
def test_streams_are_refused_with_both_cures(option):
    model = NETWORKS["concat"]()
    with pytest.raises(QuantizationError, match=r"--max-steps\), or train without Bidirectional"):
        quantize(model, readings(model, 3, 6), **option)


def reversed_outputs():
    return sequential(L.GRU(4, go_backwards=True, return_sequences=True))


def both_orders():
    x = keras.Input((None, 3))
    back = L.GRU(4, go_backwards=True, return_sequences=True)(x)
    ahead = L.GRU(4, return_sequences=True)(x)
    return keras.Model(x, L.GRU(3)(L.Add()([ahead, back])))


def step_of_a_half():
    x = keras.Input((None, 3))
    _, y = L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode=None)(x)
    return keras.Model(x, L.Dense(2)(y[:, -1]))


def stateful():
    x = keras.Input((None, 3), batch_size=1)
    return keras.Model(x, L.Bidirectional(L.GRU(3, stateful=True))(x))


def steps_of_one_value():
    return sequential(L.Bidirectional(L.GRU(2)), L.Reshape((1, 4)), L.LSTM(3))


def stateful_beside():
    x = keras.Input((None, 3), batch_size=1)
    y = L.Bidirectional(L.GRU(3, return_sequences=True))(x)
    return keras.Model(x, L.LSTM(3, stateful=True)(y))


def two_inputs():
    one, two = keras.Input((None, 3)), keras.Input((None, 3))
    return keras.Model([one, two], L.Bidirectional(L.GRU(3))(L.Add()([one, two])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (reversed_outputs, "outputs in the reverse order"),
        (
            lambda: sequential(
                L.Embedding(20, 6, mask_zero=True),
                L.Bidirectional(L.GRU(3)),
                inputs=(None,),
                dtype="int32",
            ),
            "pass chunks of different lengths without padding",
        ),
        (both_orders, "one of them in the reverse order"),
        (two_inputs, "Concatenate the inputs into one"),
        (step_of_a_half, "takes one step of the outputs of a backward layer"),
        (stateful, "Every chunk starts from the zero state"),
        (stateful_beside, "Every chunk starts from the zero state"),
        (
            lambda: sequential(halves_in_reverse_order(return_sequences=True), L.Dense(2)),
            "outputs in the reverse order",
        ),
        (steps_of_one_value, "got only its last step"),
        (
            lambda: sequential(L.Bidirectional(L.GRU(3, return_sequences=True)), L.Lambda(abs)),
            "Lambda",
        ),
        (
            lambda: sequential(L.Conv1D(3, 2, strides=2), L.Bidirectional(L.GRU(3)), inputs=(8, 3)),
            "one output per reading in a network that reads backward",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(UnsupportedModelError, match=message):
        read_passes(make())
