"""Small networks under quantization-aware training, and how they compare with the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import stream
from tests.support.models.keras import sequential

#: Recurrent layers by name: class of keras.layers, and its arguments.
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "simple_rnn": ("SimpleRNN", {}),
    "simple_rnn_relu": ("SimpleRNN", {"activation": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm_hard": ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
    "gru_after": ("GRU", {}),
    "gru_before": ("GRU", {"reset_after": False}),
    "gru_hard": ("GRU", {"recurrent_activation": "hard_sigmoid"}),
}


def recurrent(cell: str, units: int = 6, **options: Any) -> Any:
    import keras

    kind, arguments = CELLS[cell]
    return getattr(keras.layers, kind)(units, **({"return_sequences": True} | arguments | options))


def network(*layers: Any, share: float = 1.0, inputs: int = 3, **options: Any) -> Any:
    """A Keras model with random weights, all of them scaled by ``share``."""
    model = sequential(*layers, inputs=inputs, **options)
    for variable in model.weights:
        variable.assign(variable * share)
    return model


def streams(count: int, steps: int, inputs: int = 3, seed: int = 1) -> FloatArray:
    """Smooth streams [B, T, I] that float32 holds exactly."""
    made = np.stack([stream(steps, inputs, seed=100 * seed + i) for i in range(count)])
    return made.astype(np.float32).astype(np.float64)


def fed(model: Any, xs: FloatArray) -> Any:
    """Readings [B, T, I] as a Keras model takes them: a tensor, or a list of several inputs."""
    from keras import ops

    widths = [1 if len(given.shape) == 2 else int(given.shape[-1]) for given in model.inputs]
    parts = np.split(xs, np.cumsum(widths)[:-1], axis=-1)
    made = [
        ops.convert_to_tensor(x, given.dtype) for given, x in zip(model.inputs, parts, strict=True)
    ]
    return made if len(made) > 1 else made[0]


def codes(model: Any, xs: FloatArray, *, jit: bool = False) -> FloatArray:
    """Codes [B, T, O] the training graph makes of physical readings [B, T, I]."""
    import keras

    inner = keras.Model(model.input, model.get_layer("dequantize_output").input)
    if keras.backend.backend() != "tensorflow":
        return inner.predict_on_batch(fed(model, xs))
    import tensorflow as tf

    run = tf.function(lambda x: inner(x, training=False), jit_compile=jit)
    return np.asarray(run(fed(model, xs)))


def reference_codes(model: IntegerModel, xs: FloatArray) -> FloatArray:
    """Codes [B, T, O] of the reference."""
    return Reference(model).run(model.interface().quantize(xs))[0].astype(np.float64)


def moved(model: Any, xs: FloatArray, size: float = 0.05, rounds: int = 3, seed: int = 3) -> Any:
    """Move all weights as training would; let shifts and multipliers follow in forward passes."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        for variable in model.trainable_variables:
            variable.assign(variable + rng.normal(size=variable.shape) * size)
        model(fed(model, xs[:, :2]), training=True)
    return model


def gradients(model: Any, xs: FloatArray, ys: FloatArray) -> list[FloatArray]:
    """Gradients of the mean squared error, in the order of the trainable variables."""
    import keras
    import tensorflow as tf

    inputs, targets = fed(model, xs), tf.constant(ys, tf.float32)

    @tf.function
    def run() -> Any:
        with tf.GradientTape() as tape:
            answers = tf.concat(keras.tree.flatten(model(inputs)), axis=-1)
            loss = tf.reduce_mean(tf.square(answers - targets))
        return tape.gradient(loss, model.trainable_variables)

    return [np.asarray(tf.convert_to_tensor(found), dtype=np.float64) for found in run()]
