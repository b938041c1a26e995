"""Masking and mask_zero: what Keras answers to masked readings, and which networks are refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export import quantize
from edgernn_export.evaluation.answers import float_network
from edgernn_export.keras_reader.reader import read_keras
from tests.support.models.keras import randomised

pytestmark = [
    pytest.mark.tf,
    # Keras says so of nested models too, which hand the mask of their last layer on.
    pytest.mark.filterwarnings("ignore:Layer .* does not support masking"),
]
L = keras.layers


def masked_streams(mask, batch=5, steps=14, inputs=3, seed=0):
    """float32 streams [B, T, I], masked in front, in the middle, behind, throughout."""
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(batch, steps, inputs)).astype(np.float32)
    masked = rng.random((batch, steps)) < 0.3
    masked[0, :4] = masked[1, -5:] = masked[2, 5:9] = masked[3] = True
    xs[masked] = mask
    return xs


def chain(mask, *, functional=False, steps=None, sequences=True):
    layers = [
        L.Masking(mask), L.Dense(4, activation="relu"), L.LSTM(4, return_sequences=True),
        L.Dropout(0.5), L.GRU(3, return_sequences=True), L.TimeDistributed(L.Dense(3)),
        L.SimpleRNN(4, return_sequences=sequences), L.Dense(2, activation="tanh"),
    ]  # fmt: skip
    given = keras.Input((steps, 3))
    if not functional:
        return randomised(keras.Sequential([given, *layers]))
    x = given
    for layer in layers:
        x = layer(x)
    return randomised(keras.Model(given, x))


def branches(mask):
    """Two branches with the mask, joined in two ways."""
    given = keras.Input((None, 3))
    x = L.Masking(mask)(given)
    a, b = L.GRU(3, return_sequences=True)(x), L.LSTM(3, return_sequences=True)(x)
    y = L.Concatenate()([L.Add()([a, b]), a])
    return randomised(keras.Model(given, L.Dense(2)(L.GRU(4, return_sequences=True)(y))))


def nested(mask):
    """The recurrent layers are those of a model inside."""
    inner_given = keras.Input((None, 3))
    inner = keras.Model(inner_given, L.GRU(4, return_sequences=True)(inner_given))
    given = keras.Input((None, 3))
    return randomised(keras.Model(given, L.Dense(2)(inner(L.Masking(mask)(given)))))


MODELS = {
    "sequential": lambda m: chain(m),
    "functional": lambda m: chain(m, functional=True),
    "last step": lambda m: chain(m, sequences=False),
    "branches": branches,
    "nested": nested,
}


def answers(model, source, xs):
    """What the float network answers, in the shape of Keras's answer, and that answer."""
    found = np.stack(float_network(read_keras(source)).whole([*xs.astype(np.float64)], print_none))
    wanted = model(xs, training=False)
    return found if len(wanted.shape) == 3 else found[:, -1], np.asarray(wanted)


def print_none(_):
    """Hear of steps."""


@pytest.mark.parametrize("mask", [0.0, -1.1])
@pytest.mark.parametrize("name", MODELS)
def test_masked_steps_are_those_of_keras(name, mask):
    model = MODELS[name](mask)
    assert read_keras(model).mask == np.float32(mask)
    found, wanted = answers(model, model, masked_streams(mask))
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("name", ["functional", "branches", "nested"])
def test_from_a_file(name, tmp_path):
    model = MODELS[name](-1.1)
    model.save(tmp_path / "m.keras")
    found, wanted = answers(model, tmp_path / "m.keras", masked_streams(-1.1))
    assert np.abs(found - wanted).max() < 1e-5


def test_a_window_leaves_its_masked_readings_out():
    model = chain(2.0, steps=6, sequences=False)
    xs = masked_streams(2.0, steps=6, batch=8)
    network = read_keras(model)
    assert network.window.steps == 6
    found = float_network(network).last(xs.astype(np.float64), print_none)
    assert np.abs(found - np.asarray(model(xs))).max() < 1e-5


def words(steps=None, **options):
    given = keras.Input((steps,), dtype="int32")
    y = L.GRU(4, **options)(L.Embedding(7, 3, mask_zero=True)(given))
    return randomised(keras.Model(given, L.Dense(2)(y)))


@pytest.mark.parametrize("suffix", ["", ".keras"])
def test_token_0_is_no_step(suffix, tmp_path):
    source = model = words(return_sequences=True)
    if suffix:
        source = tmp_path / f"words{suffix}"
        model.save(source)
    network = read_keras(source)
    assert network.mask == 0.0
    tokens = np.random.default_rng(1).integers(0, 7, (4, 12))
    tokens[0, :5] = tokens[1, -4:] = 0
    streams = [*tokens[..., None].astype(np.float64)]
    found = np.stack(float_network(network).whole(streams, print_none))
    assert np.abs(found - np.asarray(model(tokens))).max() < 1e-5


def test_ranges_know_nothing_of_masked_readings():
    model, rng = chain(-1e6), np.random.default_rng(4)
    xs = [rng.uniform(-1, 1, (t, 3)) for t in (90, 150, 61)]
    padded = [
        np.concatenate([x, np.full((t, 3), -1e6)]) for x, t in zip(xs, (60, 0, 89), strict=True)
    ]
    plain, other = quantize(model, xs), quantize(model, np.stack(padded))
    assert np.abs(plain.input.scale).max() < 0.02
    assert np.array_equal(plain.input.scale, other.input.scale)
    assert plain.layers == other.layers and plain.output.masked == other.output.masked


def after(layer, *, sequences=True):
    """A layer between a mask and a recurrent layer."""
    return [L.Masking(9.0, name="m"), layer, L.GRU(3, name="g", return_sequences=sequences)]


def past_the_layers(given):
    x = L.Masking(9.0)(given)
    return L.Dense(2, name="d")(L.Concatenate()([L.GRU(3, return_sequences=True)(x), x]))


def own_mask(given):
    seen = keras.ops.any(keras.ops.not_equal(given, 3.0), axis=-1)
    return L.GRU(3, name="g")(L.Masking(9.0)(given), mask=seen)


def of_one_branch(given):
    masked, plain = L.GRU(3)(L.Masking(9.0, name="m")(given)), L.GRU(3, name="p")(given)
    return L.Concatenate()([masked, plain])


def attending(given):
    s = L.GRU(3, return_sequences=True)(L.Masking(9.0, name="m")(given))
    return L.Attention(name="a")([s * 2.0, s])[:, -1]


REFUSED = {
    "convolution": (
        after(L.Conv1D(3, 2, padding="causal", name="c")),
        "'c' (Conv1D): expected a layer that sees the mask of 'm' (Masking)",
    ),
    "reshape": (
        after(L.Reshape((-1, 3), name="r")),
        "'g' (GRU): expected a layer that sees the mask of 'm' (Masking), got one that does not",
    ),
    "nan": ([L.Masking(float("nan"), name="m"), L.GRU(3)], "'m' (Masking): expected a finite"),
    "behind a scaling": (
        [L.Rescaling(2.0, name="s"), L.Masking(name="m"), L.GRU(3)],
        "'m' (Masking): expected Masking of the input itself, got one after 's' (Rescaling)",
    ),
    "zeros": (
        [L.Masking(), L.GRU(3, name="g", zero_output_for_mask=True)],
        "'g' (GRU): expected zero_output_for_mask=False with a mask",
    ),
    "past": (past_the_layers, "expected an output of recurrent layers, which a masked step"),
    "own mask": (own_mask, "'g' (GRU): expected the mask of a Masking layer"),
    "attention": (attending, "'a' (Attention): expected attention in a network without a mask"),
    "one branch": (of_one_branch, "'p' (GRU): expected a layer that sees the mask of 'm'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    layers, reason = REFUSED[name]
    given = keras.Input((12, 3))
    model = (
        keras.Model(given, layers(given))
        if callable(layers)
        else keras.Sequential([given, *layers])
    )
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(model)
    assert any(reason in found for found in caught.value.reasons), caught.value.reasons


def test_the_cure_of_a_mask_behind_a_scaling_does_not_change_the_network():
    """The reading -1 becomes the mask value 0: the cure is Masking(-1) before the scaling."""
    gru = L.GRU(3, return_sequences=True)
    refused = keras.Sequential([keras.Input((None, 1)), L.Rescaling(0.5, 0.5), L.Masking(), gru])
    cured = keras.Sequential([keras.Input((None, 1)), L.Masking(-1.0), L.Rescaling(0.5, 0.5), gru])
    xs = masked_streams(-1.0, inputs=1)
    with pytest.raises(UnsupportedModelError, match="with the reading that the layer turns into"):
        read_keras(refused)
    assert np.array_equal(np.asarray(refused(xs)), np.asarray(cured(xs)))
    found, wanted = answers(cured, cured, xs)
    assert np.abs(found - wanted).max() < 1e-5


def test_two_inputs_and_two_tokens_have_no_mask():
    a, b = keras.Input((None, 2), name="a"), keras.Input((None, 2), name="b")
    x = L.Concatenate()([L.Masking(name="m")(a), L.Masking(name="n")(b)])
    with pytest.raises(UnsupportedModelError, match="the only input of a network, got one of 2"):
        read_keras(keras.Model([a, b], L.GRU(3)(x)))
    pair = keras.Input((None, 2), dtype="int32")
    rows = L.Reshape((-1, 6))(L.Embedding(5, 3, mask_zero=True, name="e")(pair))
    with pytest.raises(UnsupportedModelError, match="mask_zero of one token per step, got 2"):
        read_keras(keras.Model(pair, L.GRU(3)(rows)))
