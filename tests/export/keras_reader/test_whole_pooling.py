"""Pooling over all steps of a window: Keras's answers, from integers too."""

import keras
import numpy as np
import pytest

from edgernn import load
from edgernn.errors import UnsupportedModelError
from edgernn_export import quantize
from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.networks.front_door import read_network

L = keras.layers
STEPS, INPUTS = 18, 3


def network(*layers, steps=STEPS):
    keras.utils.set_random_seed(4)
    return keras.Sequential([keras.Input((steps, INPUTS)), *layers])


def every(cell):
    return cell(6, return_sequences=True)


NETWORKS = {
    "a GRU": lambda pool: [every(L.GRU), pool(), L.Dense(2)],
    "behind a causal convolution": lambda pool: [
        L.Conv1D(4, 3, padding="causal"), every(L.LSTM), L.BatchNormalization(), pool(), L.Dense(2)
    ],
    "no recurrent layer": lambda pool: [L.Conv1D(5, 3, activation="relu"), pool(), L.Dense(3)],
    "strides, and a softmax": lambda pool: [
        L.Conv1D(5, 3, strides=2, activation="relu"), pool(), L.Dense(3, activation="softmax")
    ],
    "strides before a GRU": lambda pool: [
        L.Conv1D(4, 3, activation="relu"), L.MaxPooling1D(2), every(L.GRU), pool(), L.Dense(2)
    ],
    "a scaling between": lambda pool: [every(L.GRU), L.Rescaling(-2.0, 0.5), pool(), L.Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        ("a GRU", L.GlobalMaxPooling1D),
        ("no recurrent layer", L.GlobalAveragePooling1D),
        ("strides before a GRU", L.GlobalAveragePooling1D),
        ("a scaling between", L.GlobalMaxPooling1D),
        *(
            pytest.param(name, pool, marks=pytest.mark.long)
            for name in NETWORKS
            for pool in (L.GlobalAveragePooling1D, L.GlobalMaxPooling1D)
        ),
    ],
)
def test_the_float_network_answers_as_keras(name, pool):
    model = network(*NETWORKS[name](pool))
    xs = np.random.default_rng(1).normal(size=(9, STEPS, INPUTS))
    read = read_keras(model)
    assert read.window is not None
    assert read.window.steps == STEPS
    got = with_softmax(read, answers(read, xs)[:, -1])
    np.testing.assert_allclose(got, np.asarray(model(xs.astype(np.float32))), atol=2e-6)


@pytest.mark.parametrize(
    "pool",
    [L.GlobalAveragePooling1D, pytest.param(L.GlobalMaxPooling1D, marks=pytest.mark.long)],
)
def test_every_window_has_the_answer_of_the_network(pool, tmp_path):
    """Integers follow the float network, window after window; the native code gives their bits."""
    model = network(*NETWORKS["a GRU"](pool))
    xs = np.random.default_rng(2).normal(size=(40, STEPS, INPUTS))
    made = quantize(model, xs, "w8a16", progress=False)
    wanted = np.asarray(model(xs.astype(np.float32)))
    path = made.save(tmp_path / "pooled.edgernn")
    stream = xs.reshape(-1, INPUTS)
    with load(path, backend="native") as native, load(path, backend="reference") as reference:
        answered = native.run(stream)
        np.testing.assert_array_equal(answered, reference.run(stream))
    got = answered[STEPS - 1 :: STEPS]
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.02 * wanted.std()


@pytest.mark.parametrize(("steps", "rows"), [(18, [3, 16]), (13, [13]), (2, [2]), (1, [])])
def test_stages(steps, rows):
    """Two stages where they save time; a window of one step is what it is."""
    layers = [L.GRU(3, return_sequences=True), L.GlobalAveragePooling1D(), L.Dense(2)]
    model = network(*layers, steps=steps)
    read = read_keras(model)
    assert [layer.depth for layer in read.layers if layer.kind == "delay"] == rows
    xs = np.random.default_rng(1).normal(size=(3, steps, INPUTS))
    got = answers(read, xs)[:, -1]
    np.testing.assert_allclose(got, np.asarray(model(xs.astype(np.float32))), atol=2e-6)


def test_windows_of_any_length_are_refused():
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(network(every(L.GRU), L.GlobalAveragePooling1D(name="p"), steps=None))
    (reason,) = caught.value.reasons
    assert reason.startswith(
        "'p' (GlobalAveragePooling1D): expected windows of a fixed number of steps before a "
        "pooling over all of them, got any number."
    )


def test_windows_that_are_too_wide_are_refused():
    pool = L.GlobalMaxPooling1D(name="p")
    with pytest.raises(UnsupportedModelError, match=r"at most 65536 values.*got 12000 steps of 6"):
        read_keras(network(every(L.GRU), pool, steps=12_000))


def test_the_last_step_alone_is_no_window():
    pool = L.GlobalMaxPooling1D(name="p")
    with pytest.raises(UnsupportedModelError, match="every step of the previous layer"):
        read_keras(network(L.GRU(6), L.RepeatVector(1), pool))


def test_a_mask_is_not_pooled():
    with pytest.raises(UnsupportedModelError, match=r"'p' \(GlobalAveragePooling1D\): expected"):
        read_keras(network(L.Masking(), every(L.GRU), L.GlobalAveragePooling1D(name="p")))


def test_chunks_of_any_length_are_not_pooled():
    model = network(L.Bidirectional(every(L.GRU)), L.GlobalAveragePooling1D(name="p"), L.Dense(2))
    with pytest.raises(UnsupportedModelError) as caught:
        read_network(model)
    assert caught.value.reasons[0].startswith(
        "'p' (GlobalAveragePooling1D): expected a network that reads forward alone"
    )
