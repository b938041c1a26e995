"""Gradients against distance: closed form for linear networks, finite differences for others."""

import json

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError
from edgernn_export.inspection import gradients
from tests.support.models.keras import answer, readings, sequential

pytestmark = pytest.mark.tf


def linear_rnn(recurrent, kernel, sequences=False):
    import keras

    units = len(recurrent)
    layer = keras.layers.SimpleRNN(
        units, activation="linear", use_bias=False, return_sequences=sequences
    )
    network = keras.Sequential([keras.Input((None, len(kernel))), layer])
    layer.set_weights([np.array(kernel, np.float32), np.array(recurrent, np.float32)])
    return network


@pytest.mark.parametrize("sequences", [False, True])
def test_a_linear_network_has_the_powers_of_its_matrix(sequences):
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    recurrent, kernel = 0.9 * turned @ np.diag([1, 0.9, 0.8, 0.7, 0.6]), rng.normal(size=(2, 5))
    found = gradients(linear_rnn(recurrent, kernel, sequences), steps=30).networks[0]
    jacobians = [kernel @ np.linalg.matrix_power(recurrent, k) for k in range(30)]
    expected = [np.linalg.norm(jacobian) for jacobian in jacobians]
    np.testing.assert_allclose(found.norms, expected, rtol=1e-4)


@pytest.mark.parametrize("decay", [0.8, 1.1])
def test_the_factor_per_step_is_that_of_one_unit(decay):
    found = gradients(linear_rnn([[decay]], [[0.5]]), steps=40).networks[0]
    np.testing.assert_allclose(found.norms, 0.5 * decay ** np.arange(40), rtol=1e-4)
    assert found.per_step == pytest.approx(decay, rel=1e-4)


@pytest.mark.parametrize("cell", ["SimpleRNN", "LSTM", "GRU"])
def test_gradients_are_finite_differences(cell):
    import keras

    network = sequential(getattr(keras.layers, cell)(4), keras.layers.Dense(2))
    xs = readings(batch=2, steps=6)
    found = gradients(network, xs, steps=6).networks[0]
    squares, step = np.zeros((2, 6)), 1e-2
    for t in range(6):
        for channel in range(3):
            moved = [xs.copy(), xs.copy()]
            moved[0][:, t, channel] += step
            moved[1][:, t, channel] -= step
            ahead, behind = (answer(network, one) for one in moved)
            squares[:, t] += np.square((ahead - behind) / (2 * step)).sum(axis=1)
    expected = np.sqrt(squares.mean(axis=0))[::-1]
    np.testing.assert_allclose(found.norms, expected, rtol=0.02, atol=2e-4)


def test_many_outputs_are_estimated_from_random_directions():
    rng = np.random.default_rng(1)
    recurrent, kernel = 0.9 * np.linalg.qr(rng.normal(size=(64, 64)))[0], rng.normal(size=(1, 64))
    found = gradients(linear_rnn(recurrent, kernel), steps=12).networks[0]
    expected = np.linalg.norm(kernel) * 0.9 ** np.arange(12)
    np.testing.assert_allclose(found.norms, expected, rtol=0.5)
    assert found.per_step == pytest.approx(0.9, abs=0.06)


def test_untrained_networks_stand_beside_it(tmp_path):
    import keras

    network = sequential(keras.layers.GRU(8), keras.layers.Dense(1))
    found = gradients(network, steps=20, compare=True, sequences=4)
    names = [one.name for one in found.networks]
    assert names[1:] == ["untrained SimpleRNN", "untrained LSTM", "untrained GRU"]
    lstm = found["untrained LSTM"].per_step
    assert lstm < 1.0
    record = json.loads(found.to_json())
    assert [len(one["norms"]) for one in record["networks"]] == [20] * 4
    assert "10 back" in found.table() and "20 back" not in found.table()
    assert found.plot(tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    again = gradients(network, steps=20, compare=True, sequences=4)
    assert again.record() == found.record()


def test_layers_of_cells_have_a_width_too():
    import keras

    cells = [keras.layers.LSTMCell(5), keras.layers.GRUCell(3)]
    network = sequential(keras.layers.RNN(cells), keras.layers.Dense(1))
    found = gradients(network, steps=4, compare=True, sequences=1)
    assert len(found.networks) == 4


def test_recordings_are_cut_into_sequences():
    network = linear_rnn([[0.5]], [[1.0]])
    found = gradients(network, np.zeros((95, 1)), steps=30)
    assert found.steps == 30
    with pytest.raises(EdgeRnnError, match="expected at least 30 of 1 channels"):
        gradients(network, np.zeros((20, 1)), steps=30)


def test_other_networks_are_refused():
    import keras

    tokens = keras.Sequential(
        [keras.Input((None,), dtype="int32"), keras.layers.Embedding(5, 3), keras.layers.GRU(2)]
    )
    with pytest.raises(EdgeRnnError, match=r"one input \[B, T, I\] of real readings"):
        gradients(tokens)
