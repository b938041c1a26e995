"""Layers that change a shape and no value are read; the answers stay those of Keras."""

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.compress.structured import remove_inputs, remove_units
from edgernn_export.float_model.float_run import run
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import answer, randomised, readings

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

#: Shape of the input, layers, steps of the network, whether it answers every step.
NETWORKS = {
    "flatten behind the last step": ((12, 3), lambda: [L.GRU(4), L.Flatten(), L.Dense(2)], 12),
    "flatten at the end": ((12, 3), lambda: [L.LSTM(4), L.Dense(2), L.Flatten()], 12),
    "flatten one step": (
        (1, 3), lambda: [L.GRU(4, return_sequences=True), L.Flatten(), L.Dense(2)], 1,
    ),
    "features alone": ((3,), lambda: [L.Reshape((1, 3)), L.GRU(4), L.Dense(2)], 1),
    "repeated once": ((3,), lambda: [L.RepeatVector(1), L.LSTM(4), L.Dense(2)], 1),
    "one step of two layers": (
        (3,), lambda: [L.Reshape((1, -1)), L.GRU(4), L.Reshape((1, 4)), L.LSTM(3)], 1,
    ),
    "reshaped as it was": ((12, 3), lambda: [L.Reshape((12, 3)), L.GRU(4), L.Dense(2)], 12),
    "any number of steps": (
        (None, 3), lambda: [L.Reshape((-1, 3)), L.GRU(4, return_sequences=True), L.Dense(2)], None,
    ),
    "permuted to itself": ((12, 3), lambda: [L.Permute((1, 2)), L.GRU(4), L.Permute((1,))], 12),
    "a step axis at the end": ((12, 3), lambda: [L.GRU(4), L.Dense(2), L.Reshape((1, 2))], 12),
    "nothing cut, added or repeated": (
        (12, 3),
        lambda: [L.Cropping1D(0), L.ZeroPadding1D(0), L.UpSampling1D(1), L.GRU(4), L.Dense(2)],
        12,
    ),
    "distributed over time": (
        (12, 3),
        lambda: [
            L.TimeDistributed(L.Flatten()),
            L.GRU(4, return_sequences=True),
            L.TimeDistributed(L.Dropout(0.5)),
            L.TimeDistributed(L.Dense(2)),
            L.TimeDistributed(L.Activation("relu")),
        ],
        12,
    ),
}  # fmt: skip


def network(name):
    shape, layers, _ = NETWORKS[name]
    return randomised(keras.Sequential([keras.Input(shape), *layers()]))


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_stay(name, tmp_path):
    model = network(name)
    read = read_keras(model)
    shape, _, steps = NETWORKS[name]
    xs = readings(3, steps or 7)
    wanted = answer(model, xs[:, 0] if len(shape) == 1 else xs)
    ys, _ = run(read, xs)
    got = ys if read.return_sequences else ys[:, -1]
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(got.ravel(), wanted.ravel(), rtol=0, atol=1e-5)
    assert read.steps == steps
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"m{suffix}")
        assert read_keras(tmp_path / f"m{suffix}") == read


def test_flattened_steps_are_refused_with_a_cure_that_can_be_followed():
    model = keras.Sequential(
        [keras.Input((12, 3)), L.GRU(4, return_sequences=True), L.Flatten(name="f"), L.Dense(2)]
    )
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(model)
    assert caught.value.reasons == (
        "'f' (Flatten): expected a layer that does not change the time axis, got shape (12, 4) "
        "turned into (48,). A stream has no steps to join or swap. Train without this layer; "
        "for the last step only, use return_sequences=False.",
    )


def test_a_swap_of_axes_of_one_size_is_seen():
    model = keras.Sequential([keras.Input((3, 3)), L.Permute((2, 1), name="p"), L.GRU(2)])
    with pytest.raises(
        UnsupportedModelError, match=r"'p' \(Permute\): expected a layer that does not"
    ):
        read_keras(model)


def test_the_identity_as_a_cure_keeps_the_answers():
    # "Put a linear Dense ... whose with the identity as kernel": followed to the letter.
    model = randomised(keras.Sequential([keras.Input((12, 3)), L.LSTM(3), L.BatchNormalization()]))
    with pytest.raises(
        UnsupportedModelError, match=r"the identity as kernel after it; the outputs do not change\."
    ):
        read_keras(model)
    given = keras.Input((12, 3))
    between = L.Dense(3, use_bias=False, kernel_initializer="identity")
    recurrent, scaling = model.layers
    cured = keras.Model(given, between(scaling(recurrent(given))))
    xs = readings(2, 12)
    ys, _ = run(read_keras(cured), xs)
    np.testing.assert_allclose(ys[:, -1], answer(model, xs), rtol=0, atol=1e-5)


def test_pruning_gives_them_their_new_width():
    layers = [L.Reshape((1, 3)), L.GRU(4, name="g"), L.Reshape((1, 4)), L.Flatten(), L.Dense(2)]
    model = randomised(keras.Sequential([keras.Input((3,)), *layers]))
    kernel = model.layers[1].cell.kernel
    kernel.assign(np.array(kernel) * np.array([[1.0], [0.0], [1.0]]))
    xs = readings(5, 1)[:, 0]
    smaller = remove_inputs(model)
    assert smaller.kept == (0, 2)
    wanted = answer(model, xs)
    np.testing.assert_allclose(answer(smaller.model, xs[:, [0, 2]]), wanted, rtol=0, atol=1e-6)
    assert read_keras(remove_units(model, layers=["g"], keep=2)).layers[0].units == 2
