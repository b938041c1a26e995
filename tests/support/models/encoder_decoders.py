"""Encoder-decoder networks of Keras, as people train them."""

from __future__ import annotations

import keras
import numpy as np

L = keras.layers


def forecaster():
    """The states of an LSTM, handed to another one."""
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    _, h, c = L.LSTM(5, return_state=True, name="reads")(past)
    y = L.LSTM(5, return_sequences=True, name="writes")(future, initial_state=[h, c])
    return keras.Model([past, future], L.Dense(2, name="answer")(y), name="forecaster")


def translator(activation="tanh"):
    """Tokens on both sides, one table for one of them, and an initial state that is computed."""
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    x = L.GRU(6, return_sequences=True)(L.Embedding(11, 4)(source))
    output, h = L.GRU(5, return_state=True)(x)
    begin = L.Dense(7, activation=activation, name="begin")(L.Concatenate()([output, h]))
    y = L.GRU(7, return_sequences=True, name="writes")(
        L.Embedding(9, 3)(target), initial_state=begin
    )
    words = L.Dense(9, activation="softmax", name="words")(y)
    return keras.Model([source, target], words, name="translator")


def stacked():
    """Two layers, each of which hands its states to one of the decoder; both give answers."""
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    x, h1 = L.GRU(5, return_sequences=True, return_state=True)(past)
    x, h2, c2 = L.LSTM(4, return_sequences=True, return_state=True)(x)
    seen = L.Dense(1, name="seen")(x)
    y = L.GRU(5, return_sequences=True)(future, initial_state=h1)
    y, _, _ = L.LSTM(4, return_sequences=True, return_state=True)(y, initial_state=[h2, c2])
    return keras.Model([past, future], [seen, L.Dense(2, name="answer")(y)], name="stacked")


#: By name: what makes it, and the names of its inputs by program.
ENCODER_DECODERS = {
    "forecaster": (forecaster, {"encode": "past", "decode": "future"}),
    "translator": (translator, {"encode": "source", "decode": "target"}),
    "computed linearly": (lambda: translator(None), {"encode": "source", "decode": "target"}),
    "stacked": (stacked, {"encode": "past", "decode": "future"}),
}


def trained(name):
    """A network with weights that are not those a layer begins with."""
    keras.utils.set_random_seed(3)
    model = ENCODER_DECODERS[name][0]()
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.normal(size=w.shape) * 0.2 for w in model.get_weights()])
    return model


def sequences(model, count=2, steps=(9, 6), seed=1):
    """Sequences by the names of the inputs: reals [B, T, I], or tokens [B, T]."""
    rng = np.random.default_rng(seed)
    return {
        given.name: rng.integers(0, 8, size=(count, length)).astype("int32")
        if len(given.shape) == 2
        else rng.normal(size=(count, length, given.shape[2]))
        for given, length in zip(model.inputs, steps, strict=True)
    }
