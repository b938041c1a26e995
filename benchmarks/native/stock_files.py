"""Files for the TFLite runtimes: our integer step, and Keras steps by TFLite's own converter.

Made in a process of its own: TensorFlow cannot share one with a TFLite runtime.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.native.contenders import (
    LONGEST_STREAM,
    NETWORKS,
    integer_model,
    network_stream,
    same_float_model,
)
from edgernn.model.formats import Precision

#: What the converter makes: its float file, and its file with int8 weights, inputs and states.
STOCK_FORMS = ("float", "int8, converter")


def tflite_path(folder: Path, network: str, form: str) -> Path:
    """The file of one network in one form."""
    return folder / f"{network.replace('/', '_')}.{form.split(',')[0]}.tflite"


def write_files(folder: Path) -> None:
    """Write every network in every form."""
    from edgernn_export.writers.tflite.writer import write_tflite

    for network in NETWORKS:
        content = write_tflite(integer_model(network, Precision.W8A8))
        tflite_path(folder, network, "w8a8").write_bytes(content)
        step = keras_step(network)
        for form in STOCK_FORMS:
            xs = None if form == "float" else network_stream(network, LONGEST_STREAM)
            tflite_path(folder, network, form).write_bytes(convert(step, xs))


def keras_step(network: str) -> Any:
    """A Keras cell and Dense as one step with explicit state, with the float model's weights."""
    import keras

    cell, units, inputs = NETWORKS[network]
    layers: tuple[Any, ...] = same_float_model(network).layers
    recurrent, last = layers
    x = keras.Input((inputs,), batch_size=1, name="x")
    names = ["state_0", "state_1"] if cell == "lstm" else ["state_0"]
    states = [keras.Input((units,), batch_size=1, name=name) for name in names]
    layer = keras.layers.LSTMCell(units) if cell == "lstm" else keras.layers.GRUCell(units)
    dense = keras.layers.Dense(last.units)
    h, new = layer(x, states)
    model = keras.Model(
        [x, *states], [dense(h), *(new if isinstance(new, (list, tuple)) else [new])]
    )
    bias = recurrent.bias if cell == "lstm" else [recurrent.bias, recurrent.recurrent_bias]
    layer.set_weights([recurrent.kernel.T, recurrent.recurrent.T, np.array(bias)])
    dense.set_weights([last.kernel.T, last.bias])
    return model


def convert(step: Any, xs: npt.NDArray[Any] | None) -> bytes:
    """The step as a .tflite file: float, or int8 with the ranges of readings [T, I]."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(step)
    if xs is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _samples(step, xs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    # Keras prints where it saved what the converter reads; standard output belongs to the figures.
    with contextlib.redirect_stdout(io.StringIO()):
        content: bytes = converter.convert()
    return content


def _samples(step: Any, xs: npt.NDArray[Any]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Inputs of every step of a stream."""
    state = [np.zeros(v.shape, np.float32) for v in step.inputs[1:]]
    names = [v.name for v in step.inputs]
    for x in xs.astype(np.float32)[:, None]:
        yield dict(zip(names, (x, *state), strict=True))
        state = [np.asarray(v) for v in step([x, *state])[1:]]
