"""A float network as one Keras step with explicit states: the stock way to stream it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.float_run import state_widths
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatModel,
    FloatSimpleRNN,
)

#: Layers that have a cell in Keras with the same weights.
STEPPED: Final = (FloatSimpleRNN, FloatLSTM, FloatGRU, FloatDense)


def reason_against_steps(model: FloatModel, window: object = None) -> str:
    """Why a network cannot be compared one step for one reading; "" if it can.

    Args:
        model: the float network.
        window: of the integer model; None if it streams.
    """
    if window is not None:
        return "a window model runs its whole window for each answer; peers run one step"
    if model.rate is not None:
        return "the network answers every few readings; peers answer every step"
    if model.mask is not None:
        return "the network leaves masked readings out; peers take every reading for a step"
    if model.input_ports or model.output_ports:
        return "the network has several inputs or outputs; peers have one of each"
    return ""


def reason_against(model: FloatModel, window: object = None) -> str:
    """Why a network has no stock Keras step; "" if it has one.

    Args:
        model: the float network.
        window: of the integer model; None if it streams.
    """
    reason = reason_against_steps(model, window)
    if reason:
        return reason
    if model.routes:
        return "the network is not a chain of layers; the stock step is built of chains"
    others = sorted({layer.kind for layer in model.layers if not isinstance(layer, STEPPED)})
    if others:
        return f"no stock step for {', '.join(others)} layers (SimpleRNN, LSTM, GRU and Dense only)"
    return ""


def keras_step(model: FloatModel) -> Any:
    """A Keras model of one step with the float network's weights.

    Args:
        model: a network without `reason_against`.

    Returns:
        A `keras.Model` with inputs x [1, I] and the states [1, H] in the order of the layers, and
        outputs y [1, O] (logits) and the new states.
    """
    import keras

    x = keras.Input((model.inputs,), batch_size=1, name="x")
    values: Any = x
    inputs: list[Any] = []
    outputs: list[Any] = []
    for layer in model.layers:
        made = _keras_layer(layer)
        if isinstance(layer, FloatDense):
            values = made(values)
        else:
            first = len(inputs)
            own = [
                keras.Input((width,), batch_size=1, name=state_name(first + number))
                for number, width in enumerate(state_widths(layer))
            ]
            values, new = made(values, own)
            inputs += own
            outputs += new if isinstance(new, (list, tuple)) else [new]
        made.set_weights(_keras_weights(layer))
    return keras.Model([x, *inputs], [values, *outputs])


def state_name(number: int) -> str:
    """Name of an input that takes a state; names are in alphabetical order."""
    return f"state_{number:03d}"


def _keras_layer(layer: FloatLayer) -> Any:
    from keras import layers

    if isinstance(layer, FloatDense):
        return layers.Dense(layer.units, layer.activation, use_bias=layer.use_bias)
    if isinstance(layer, FloatSimpleRNN):
        return layers.SimpleRNNCell(layer.units, layer.activation, use_bias=layer.use_bias)
    assert isinstance(layer, (FloatLSTM, FloatGRU))
    named: dict[str, Any] = {
        "recurrent_activation": layer.recurrent_activation,
        "use_bias": layer.use_bias,
    }
    if isinstance(layer, FloatLSTM):
        return layers.LSTMCell(layer.units, **named)
    return layers.GRUCell(layer.units, reset_after=layer.reset_after, **named)


def _keras_weights(layer: FloatLayer) -> list[FloatArray]:
    """Weights in Keras's order; gates have the same order there."""
    assert isinstance(layer, STEPPED)
    weights = [layer.kernel.T]
    if not isinstance(layer, FloatDense):
        weights.append(layer.recurrent.T)
    if not layer.use_bias:
        return weights
    if isinstance(layer, FloatGRU) and layer.reset_after:
        return [*weights, np.array([layer.bias, layer.recurrent_bias])]
    return [*weights, layer.bias]


def convert(step: Any, xs: npt.NDArray[Any] | None = None) -> bytes:
    """A Keras step as a .tflite file by TensorFlow's converter.

    Args:
        step: from `keras_step`.
        xs: readings [T, I] that the ranges of INT8 come from; None keeps float.

    Returns:
        The file's content: float, or INT8 with INT8 inputs, outputs and states.
    """
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
    state = zero_states(step)
    names: Sequence[str] = [v.name for v in step.inputs]
    for x in xs.astype(np.float32)[:, None]:
        yield dict(zip(names, (x, *state), strict=True))
        state = [np.asarray(v) for v in step([x, *state])[1:]]


def zero_states(step: Any) -> list[npt.NDArray[np.float32]]:
    """The states that a stream begins with."""
    return [np.zeros(v.shape, np.float32) for v in step.inputs[1:]]
