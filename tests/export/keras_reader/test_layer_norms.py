"""Layer normalization in Keras networks: the float model computes the same as Keras."""

import keras
import numpy as np
import pytest

from edgernn_export.float_model.float_run import answers
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader import read_keras
from edgernn_export.keras_reader.program_sets.passes import read_passes
from tests.support.models.keras import answer, randomised, readings, sequential

L = keras.layers
XS = readings(steps=20)


def norm(**options):
    return L.LayerNormalization(**options)


def gru(**options):
    return L.GRU(4, return_sequences=True, **options)


ROWS = {
    "between": (lambda: [L.Dense(6), norm(), gru(), norm(), L.Dense(2)],
                ["dense", "layer_norm", "gru", "layer_norm", "dense"]),
    "first": (lambda: [norm(), gru()], ["merge", "layer_norm", "gru"]),
    "last": (lambda: [gru(), norm()], ["gru", "layer_norm"]),
    "without gain": (lambda: [gru(), norm(scale=False), L.Dense(2)],
                     ["gru", "layer_norm", "dense"]),
    "without offset": (lambda: [gru(), norm(center=False, epsilon=0.3), L.Dense(2)],
                       ["gru", "layer_norm", "dense"]),
    "without both": (lambda: [gru(), norm(center=False, scale=False)], ["gru", "layer_norm"]),
    "scaled behind": (lambda: [gru(), norm(), L.BatchNormalization(), L.Rescaling(2.0, 0.5)],
                      ["gru", "layer_norm"]),
    "scaled before": (lambda: [gru(), L.Rescaling(0.5, 0.1), norm(), L.Dense(2)],
                      ["gru", "merge", "layer_norm", "dense"]),
    "a function behind": (lambda: [gru(), norm(), L.Activation("tanh"), L.Dense(2)],
                          ["gru", "layer_norm", "pointwise", "dense"]),
    "of each step": (lambda: [gru(), L.TimeDistributed(norm()), L.Dense(2)],
                     ["gru", "layer_norm", "dense"]),
    "behind a convolution": (lambda: [L.Conv1D(5, 3, padding="causal"), norm(), gru()],
                             ["delay", "dense", "layer_norm", "gru"]),
}  # fmt: skip


#: Those whose weights files hold in different ways.
STORED = ("between", "without gain", "without offset", "of each step")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(name, "") for name in ROWS] + [(n, suffix) for n in STORED for suffix in (".keras", ".h5")],
)
def test_rows_of_layers(name, suffix, tmp_path):
    layers, kinds = ROWS[name]
    source = model = randomised(sequential(*layers()), 3)
    wanted = answer(model, XS)
    if suffix:
        source = tmp_path / f"model{suffix}"
        model.save(source)
    read = read_keras(source)
    assert [layer.kind for layer in read.layers] == kinds
    np.testing.assert_allclose(answers(read, XS), wanted, atol=1e-5)


def test_values_of_several_layers_are_normalized_together():
    given = keras.Input((None, 3))
    first = L.Dense(4, name="dense")(given)
    both = norm()(L.Concatenate()([gru()(first), first, given]))
    model = randomised(keras.Model(given, L.Dense(2)(both + norm()(both))), 4)
    np.testing.assert_allclose(answers(read_keras(model), XS), answer(model, XS), atol=1e-5)


def test_a_layer_that_is_called_twice():
    given, shared = keras.Input((None, 3)), norm(name="shared")
    hidden = shared(gru()(shared(L.Dense(4)(given))))
    model = randomised(keras.Model(given, L.Dense(2)(hidden)), 5)
    read = read_keras(model)
    assert [layer.name for layer in read.layers if layer.kind == "layer_norm"] == [
        "shared", "shared_2",
    ]  # fmt: skip
    np.testing.assert_allclose(answers(read, XS), answer(model, XS), atol=1e-5)


def test_rows_of_one_step_are_normalized_apart():
    """Two readings are one step: the values of both are rows of one layer."""
    layers = [L.Conv1D(4, 2, padding="causal"), norm(), L.MaxPooling1D(2), gru(), L.Dense(2)]
    model = randomised(sequential(*layers), 6)
    read = read_keras(model)
    (layer,) = [layer for layer in read.layers if layer.kind == "layer_norm"]
    assert (layer.count, layer.width, layer.units) == (2, 4, 8)
    wanted = answer(model, XS)
    np.testing.assert_allclose(answers(read, XS)[:, : wanted.shape[1]], wanted, atol=1e-5)


def test_windows():
    given = keras.Input((20, 3))
    hidden = norm()(L.LSTM(4)(norm()(L.Dense(5)(given))))
    model = randomised(keras.Model(given, L.Dense(2)(hidden)), 7)
    read = read_keras(model)
    assert read.window.steps == 20
    np.testing.assert_allclose(answers(read, XS)[:, -1], answer(model, XS), atol=1e-5)


def test_chunks_that_are_read_both_ways():
    both = L.Bidirectional(L.GRU(4, return_sequences=True))
    model = randomised(sequential(L.Dense(5), norm(), both, norm(), gru(), L.Dense(2)), 8)
    read = read_passes(model)
    assert isinstance(read, FloatChunks)
    np.testing.assert_allclose(read.run(XS), answer(model, XS), atol=1e-5)


def test_masked_steps():
    given = keras.Input((None, 3))
    hidden = norm()(gru()(norm()(L.Dense(4)(L.Masking(-5.0)(given)))))
    model = randomised(keras.Model(given, L.Dense(2)(hidden)), 9)
    assert read_keras(model).mask == -5.0


def test_parameters_that_are_not_finite():
    from edgernn.errors import UnsupportedModelError

    model = sequential(gru(), norm(name="n"))
    model.get_layer("n").gamma.assign([1.0, np.nan, 1.0, 1.0])
    with pytest.raises(UnsupportedModelError, match="finite values in gamma, got 1 NaN"):
        read_keras(model)
