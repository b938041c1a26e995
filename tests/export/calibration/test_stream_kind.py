"""Which networks answer windows, and which an endless stream."""

from __future__ import annotations

import keras
import pytest

from edgernn.model.interface import Window
from edgernn_export.keras_reader import read_keras

pytestmark = pytest.mark.tf

L = keras.layers


def network(*layers, steps=12, batch=None):
    shape = keras.Input(batch_shape=(batch, steps, 2)) if batch else keras.Input((steps, 2))
    return keras.Sequential([shape, *layers])


KINDS = {
    "answers once": (network(L.LSTM(3), L.Dense(1)), Window(steps=12)),
    "stack": (network(L.GRU(3, return_sequences=True), L.GRU(2), L.Dense(1)), Window(steps=12)),
    "one reading": (network(L.GRU(3), steps=1), Window(steps=1)),
    "nested": (network(keras.Sequential([L.SimpleRNN(3)])), Window(steps=12)),
    "answers every step": (network(L.LSTM(3, return_sequences=True), L.Dense(1)), None),
    "keeps its state": (network(L.LSTM(3, stateful=True), L.Dense(1), batch=1), None),
    "keeps some state": (
        network(L.GRU(3, stateful=True, return_sequences=True), L.LSTM(3), batch=1), None,
    ),
    "any number of readings": (network(L.LSTM(3), L.Dense(1), steps=None), None),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_kind_of_a_network(name):
    model, window = KINDS[name]
    read = read_keras(model)
    assert read.window == window
    assert read.steps == model.inputs[0].shape[1]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_kind_of_a_file(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    network(L.LSTM(3), L.Dense(1), steps=60).save(path)
    assert read_keras(path).window == Window(steps=60)


def test_a_functional_network():
    given = keras.Input((30, 2))
    model = keras.Model(given, L.Dense(1)(L.GRU(4)(given)))
    assert read_keras(model).window == Window(steps=30)
