"""Keras networks with attention, over their own steps and over those of an encoder."""

from __future__ import annotations

import keras
import numpy as np

L = keras.layers


def hybrid(kind: str, steps: int = 8) -> keras.Model:
    """An LSTM and attention over its sequence, whose last step is answered."""
    x = keras.Input((steps, 3))
    if kind == "last state":
        s, h, _ = L.LSTM(6, return_sequences=True, return_state=True)(x)
        y = L.Attention(name="attends")([L.Reshape((1, 6))(h), s])
        return keras.Model(x, L.Dense(2)(L.Concatenate()([L.Reshape((6,))(y), h])))
    s = L.LSTM(6, return_sequences=True)(x)
    if kind == "dot":
        y = L.Attention(use_scale=True, dropout=0.1, name="attends")([s, s])
    elif kind == "causal":
        y = L.Attention(name="attends")([s, L.Dense(5)(s), L.Dense(6)(s)], use_causal_mask=True)
        y = L.GRU(4, return_sequences=True)(y)
    elif kind == "additive":
        y = L.AdditiveAttention(name="attends")([L.Dense(5)(s), L.Dense(4)(s), L.Dense(5)(s)])
    elif kind == "scaled":
        y = L.Attention(name="attends")([s, L.BatchNormalization()(s)])
    elif kind == "named":
        attends = L.MultiHeadAttention(1, 4, value_dim=3, name="attends")
        y = attends(value=L.Dense(5)(s), key=L.Dense(4)(s), query=s)
    else:
        y = L.MultiHeadAttention(int(kind), 4, value_dim=3, name="attends")(s, s)
    return keras.Model(x, L.Dense(2)(L.Dropout(0.2)(y)[:, -1]))


def translator(kind: str, steps: int = 7) -> keras.Model:
    """An encoder and a decoder that attends to it."""
    past, future = keras.Input((steps, 3), name="past"), keras.Input((None, 2), name="future")
    s, h, c = L.LSTM(6, return_sequences=True, return_state=True)(past)
    if kind == "alone":
        d = L.GRU(6, return_sequences=True)(future)
    else:
        d = L.LSTM(6, return_sequences=True)(future, initial_state=[h, c])
    if kind == "additive":
        a = L.AdditiveAttention(name="attends")([d, L.Dense(4)(s), L.Dense(6)(s)])
    elif kind == "2":
        a = L.MultiHeadAttention(2, 4, name="attends")(d, s)
    else:
        a = L.Attention(name="attends")([d, s])
    return keras.Model([past, future], L.Dense(2, name="answer")(L.Concatenate()([d, a])))


def with_weights(model: keras.Model, seed: int = 1) -> keras.Model:
    """Other weights than those a layer begins with."""
    rng = np.random.default_rng(seed)
    model.set_weights([
        np.abs(w) + 0.5 if w.ndim == 0 else w * 1.5 + 0.1 * np.abs(rng.normal(size=w.shape))
        for w in model.get_weights()
    ])  # fmt: skip
    return model


def readings(count: int, steps: int, features: int, seed: int = 0) -> np.ndarray:
    """Random walks, float32 [B, T, I]."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.normal(0, 0.4, (count, steps, features)), axis=1)
    return walks.astype(np.float32)
