"""Functional Keras models with branches, random weights, and what Keras answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from tests.support.models.keras import randomised


def _inputs() -> tuple[Any, Any]:
    import keras

    return keras.Input((None, 3), name="a"), keras.Input((None, 2), name="b")


def _gru(units: int = 4, **options: Any) -> Any:
    import keras

    return keras.layers.GRU(units, return_sequences=True, **options)


def merge(kind: str, count: int = 2) -> Any:
    """A merge of recurrent layers that read one input, and a Dense behind it."""
    import keras

    a, _ = _inputs()
    joined = getattr(keras.layers, kind)()([_gru(name=f"g{n}")(a) for n in range(count)])
    return keras.Model(a, keras.layers.Dense(2)(joined))


def operators() -> Any:
    """What users write with +, -, * and [...], on layers and on inputs."""
    import keras

    a, b = _inputs()
    hidden = _gru()(a)
    left, right = hidden[..., 1:3], hidden[:, :, -2:]
    joined = [left + b, left - right, left * b, keras.ops.maximum(left, b), hidden[..., :1]]
    return keras.Model([a, b], keras.layers.Dense(2)(keras.ops.concatenate(joined, axis=-1)))


def residual() -> Any:
    """A stack of recurrent layers around each of which its input goes."""
    import keras

    a, _ = _inputs()
    hidden = keras.layers.Dense(4)(keras.layers.Rescaling(0.5, offset=0.1)(a))
    for _ in range(3):
        hidden = keras.layers.Add()([hidden, _gru()(hidden)])
        hidden = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization()(hidden))
    return keras.Model(a, keras.layers.Dense(2)(hidden))


def two_inputs() -> Any:
    """Both inputs joined, and two outputs, one of them a softmax."""
    import keras

    a, b = _inputs()
    joined = keras.layers.Concatenate()([_gru()(a), keras.layers.Normalization(mean=[1, 2],
        variance=[3, 4])(b)])  # fmt: skip
    level = keras.layers.Dense(2, name="level")(joined)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(joined)
    return keras.Model([a, b], [level, kind])


def shared() -> Any:
    """A Dense and a GRU that are called twice each."""
    import keras

    a, _ = _inputs()
    dense, gru = keras.layers.Dense(3, activation="tanh", name="d"), _gru(3, name="g")
    return keras.Model(a, keras.layers.Dense(2)(gru(dense(gru(dense(a))))))


def nested() -> Any:
    """A model with two outputs, called twice inside another."""
    import keras

    given = keras.Input((None, 3))
    hidden = _gru(3)(given)
    relu = keras.layers.ReLU()(keras.layers.Add()([hidden, given]))
    inner = keras.Model(given, [hidden, relu], name="inner")
    a, _ = _inputs()
    first, second = inner(a)
    third, fourth = inner(second)
    return keras.Model(a, {"z": keras.layers.Dense(2)(first), "m": keras.layers.Average()([third,
        fourth, first])})  # fmt: skip


def branched_dense() -> Any:
    """A linear Dense that is read as it is, active and scaled."""
    import keras

    a, _ = _inputs()
    dense = keras.layers.Dense(4, name="d")(_gru()(a))
    active = keras.layers.Activation("sigmoid")(dense)
    scaled = keras.layers.BatchNormalization()(dense)
    gate = keras.layers.Dense(1, activation="sigmoid")(active)
    return keras.Model(a, [dense, keras.layers.Multiply()([scaled, gate]), active])


def last_step() -> Any:
    """Two recurrent layers that give their last step, by three ways to say so."""
    import keras

    a, _ = _inputs()
    first = keras.layers.LSTM(4)(a)
    _, second = keras.layers.GRU(4, return_state=True)(a)
    third = _gru()(a)[:, -1]
    joined = keras.layers.Concatenate()([first + second, third])
    return keras.Model(a, [keras.layers.Dense(2)(joined), first])


NETWORKS = {
    **{
        f"{kind}-{count}": (lambda kind=kind, count=count: merge(kind, count))
        for kind, count in (
            ("Add", 2), ("Add", 3), ("Subtract", 2), ("Multiply", 2), ("Multiply", 3),
            ("Average", 3), ("Maximum", 2), ("Minimum", 3), ("Concatenate", 2),
        )
    },
    "operators": operators,
    "residual": residual,
    "two inputs": two_inputs,
    "shared": shared,
    "nested": nested,
    "branched dense": branched_dense,
    "last step": last_step,
}  # fmt: skip


def network(name: str) -> Any:
    """One of `NETWORKS` with small random weights, whose answers float32 holds to 1e-7."""
    model = randomised(NETWORKS[name]())
    for variable in model.weights:
        if variable.name in {"kernel", "recurrent_kernel"}:
            variable.assign(variable * 0.5)
    return model


def predicted(model: Any, xs: FloatArray) -> FloatArray:
    """What Keras predicts for the channels [B, T, I] of all inputs, all outputs side by side."""
    import keras

    widths = [int(tensor.shape[-1]) for tensor in model.inputs]
    parts = np.split(xs.astype(np.float32), np.cumsum(widths)[:-1], axis=-1)
    answers = keras.tree.flatten(model.predict(parts if len(parts) > 1 else parts[0], verbose=0))
    return np.concatenate(answers, axis=-1, dtype=np.float64)
