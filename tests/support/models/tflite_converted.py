"""TFLite files of TensorFlow's converter, of Keras layers and of the form that Keras 2 wrote.

As a script (`python -m tests.support.models.tflite_converted FOLDER`) it writes FOLDER/*.tflite,
for each the readings that the interpreter was given, and what it answered, in .npz.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

T, F = 9, 3


def _keras_networks():
    """Networks by name: fixed streams and steps, as the converter of Keras 3 needs them."""
    import keras

    layers = keras.layers

    def row(*parts, shape=(T, F), dtype="float32"):
        return keras.Sequential([keras.Input(shape, batch_size=1, dtype=dtype), *parts])

    def residual():
        given = keras.Input((T, F), batch_size=1)
        both = layers.GRU(4, return_sequences=True)(given), layers.Dense(4, "silu")(given)
        return keras.Model(given, layers.Dense(2)(layers.Add()(both)))

    return {
        "lstm": row(layers.LSTM(4, return_sequences=True), layers.Dense(2, activation="relu")),
        "lstm_last": row(layers.LSTM(4), layers.Dense(2)),
        "hard_lstm": row(
            layers.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid"), layers.Dense(2)
        ),
        "gru": row(
            layers.GRU(24, return_sequences=True), layers.Dense(2)
        ),  # 8 bits need 1024 weights
        "gru_before": row(layers.GRU(4, reset_after=False), layers.Dense(2)),
        "rnn": row(layers.SimpleRNN(4, return_sequences=True), layers.Dense(2)),
        "cells": row(
            layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True),
            layers.Dense(2),
        ),
        "both": row(layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.Dense(2)),
        "both_last": row(layers.Bidirectional(layers.LSTM(4)), layers.Dense(2)),
        "convolution": row(
            layers.Conv1D(5, 3, padding="causal", dilation_rate=2, activation="relu"),
            layers.GRU(4, return_sequences=True),
            layers.Dense(2, activation="tanh"),
        ),
        "tokens": row(
            layers.Embedding(7, 3),
            layers.GRU(4),
            layers.Dense(2, activation="softmax"),
            shape=(T,),
            dtype="int32",
        ),
        "residual": residual(),
        "masked": row(layers.Masking(), layers.GRU(4), layers.Dense(2)),
    }


def _fused(tf, rng, units, *, backward=False):
    """An LSTM as the CPU code of Keras 2 has it, which the converter turns into one operator."""
    shapes = ((F, 4 * units), (units, 4 * units), (4 * units,))
    arrays = [tf.constant(rng.normal(size=shape).astype(np.float32) / 2) for shape in shapes]
    marks = {
        "api_implements": f"lstm_{int(rng.integers(1 << 30))}", "api_preferred_device": "CPU",
        "time_major": False, "go_backwards": backward,
    }  # fmt: skip

    @tf.function(experimental_attributes=marks, autograph=False)
    def standard_lstm(x, h, c, kernel, recurrent, bias):
        rows = tf.transpose(tf.reverse(x, [1]) if backward else x, [1, 0, 2])

        def step(t, h, c, made):
            z = tf.matmul(rows[t], kernel) + tf.matmul(h, recurrent) + bias
            i, f, g, o = tf.split(z, 4, 1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            return t + 1, h, c, made.write(t, h)

        made = tf.TensorArray(tf.float32, size=T, element_shape=[1, units])
        _, h, c, made = tf.while_loop(
            lambda t, *_: t < T, step, [tf.constant(0), h, c, made]
        )  # fmt: skip
        return h, tf.transpose(made.stack(), [1, 0, 2]), h, c, tf.constant(0.0)

    zeros = tf.zeros([1, units])
    return lambda x: standard_lstm(x, zeros, zeros, *arrays)


def _fused_networks(tf, rng):
    """Functions by name, of [1, T, F]."""
    head = tf.constant(rng.normal(size=(4, 2)).astype(np.float32))
    first, second = _fused(tf, rng, 4), _fused(tf, rng, 4, backward=True)
    return {
        "fused": lambda x: tf.nn.relu(tf.tensordot(first(x)[1], head, 1)),
        "fused_both": lambda x: tf.concat([first(x)[1], tf.reverse(second(x)[1], [1])], 2),
        "fused_both_last": lambda x: tf.concat([first(x)[0], second(x)[0]], 1),
    }


def _named(network):
    return lambda x: {"y": network(x)}


def _converted(tf, model, *, half=False, **settings):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    for name, value in settings.items():
        setattr(converter, name, value)
    if half:
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _main(folder):
    import tensorflow as tf

    rng, files = np.random.default_rng(0), {}
    for name, model in _keras_networks().items():
        model.set_weights(
            [rng.normal(size=w.shape).astype(np.float32) / 2 for w in model.get_weights()]
        )
        files[name] = _converted(tf, model)
        if name == "gru":
            model.save(folder / "gru.keras")
            small = {"optimizations": [tf.lite.Optimize.DEFAULT]}
            files["small_gru"] = _converted(tf, model, **small)
            files["half_gru"] = _converted(tf, model, half=True, **small)
    for name, network in _fused_networks(tf, rng).items():
        module = tf.Module()
        given = [tf.TensorSpec((1, T, F), tf.float32, name="x")]
        module.run = tf.function(_named(network), given, autograph=False)
        with tempfile.TemporaryDirectory() as place:
            tf.saved_model.save(module, place, signatures=module.run)
            files[name] = tf.lite.TFLiteConverter.from_saved_model(place).convert()
    for name, content in files.items():
        (folder / f"{name}.tflite").write_bytes(content)
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        shape, streams, wanted = given["shape"], [], []
        for _ in range(20):
            xs = rng.normal(size=shape) if len(shape) > 2 else rng.integers(0, 7, shape)
            interpreter.reset_all_variables()
            interpreter.set_tensor(given["index"], xs.astype(given["dtype"]))
            interpreter.invoke()
            streams.append(xs.astype(given["dtype"]))
            wanted.append(interpreter.get_tensor(result["index"]))
        np.savez(
            folder / f"{name}.npz", streams=np.concatenate(streams), wanted=np.concatenate(wanted)
        )


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
