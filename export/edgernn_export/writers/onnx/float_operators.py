"""The float ONNX form: a float model in ONNX's own LSTM, GRU and RNN operators.

It is a stand-alone model for programs that quantize or run elsewhere; edgernn itself does not
execute it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import (
    FloatDense,
    FloatGRU,
    FloatLSTM,
    FloatMerge,
    FloatModel,
    FloatRecurrent,
    FloatSimpleRNN,
)
from edgernn_export.writers.onnx.graph import GraphBuilder

#: Positions of ONNX's gates i o f c in our i f g o; GRU's z r h are our z r n.
_LSTM_ORDER: Final = (0, 3, 1, 2)
_DENSE_OPERATORS: Final = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def write_onnx_float(model: FloatModel) -> bytes:
    """Write a float model as an ONNX graph over whole sequences, in float32.

    Inputs: ``x`` [T, B, I] and every state, ``<layer>.h`` and for an LSTM ``<layer>.c``, [1, B, H];
    T and B are free. Outputs: ``y`` [T, B, O] (probabilities where the model ends in a softmax) and
    every final state as ``<name>_out``. A stream cut into chunks is continued through the states.

    Args:
        model: the float model.

    Returns:
        The file's bytes; same model, same bytes.

    Raises:
        UnsupportedModelError: the model is no chain, or has several outputs.
    """
    if model.routes or model.output_ports:
        raise UnsupportedModelError(
            [
                f"{model.name}: expected a chain of layers with one output for the float form, got "
                "branches. Quantize the model and export that to ONNX."
            ]
        )
    g = GraphBuilder(model.name or "edgernn")
    value = g.input("x", np.float32, ["T", "B", model.inputs])
    final: list[tuple[str, str, int]] = []
    for layer in model.layers:
        if isinstance(layer, FloatDense):
            value = _dense(g, layer, value)
            continue
        assert not isinstance(layer, FloatMerge)  # no chain has one
        names = [f"{layer.name}.{s}" for s in ("h", "c")[: 1 + isinstance(layer, FloatLSTM)]]
        for name in names:
            g.input(name, np.float32, [1, "B", layer.units])
        value, carried = _recurrent(g, layer, value, names)
        final.extend((f"{n}_out", t, layer.units) for n, t in zip(names, carried, strict=True))
    if model.final_activation == "softmax":
        value = g.node("Softmax", value, axis=-1)
    g.output(value, "y", np.float32, ["T", "B", model.outputs])
    for name, tensor, units in final:
        g.output(tensor, name, np.float32, [1, "B", units])
    return g.to_bytes({"edgernn_float_model_sha256": model.sha256})


def _recurrent(
    g: GraphBuilder, layer: FloatRecurrent, x: str, states: list[str]
) -> tuple[str, tuple[str, ...]]:
    """Append one recurrent operator; returns its outputs [T, B, H] and final states [1, B, H]."""
    operator, attributes, recurrent_bias = _operator(layer)
    biases = [_ordered(layer, layer.bias), _ordered(layer, recurrent_bias)]
    weights = [
        g.constant(_ordered(layer, layer.kernel)[None], np.float32),
        g.constant(_ordered(layer, layer.recurrent)[None], np.float32),
        g.constant(np.concatenate(biases)[None], np.float32),
    ]
    no_lengths = ""
    inputs = [x, *weights, no_lengths, *states]
    sequence, *final = g.nodes(
        operator, inputs, 1 + len(states), hidden_size=layer.units, **attributes
    )
    return g.node("Squeeze", sequence, g.constant([1], np.int64)), tuple(final)


def _operator(layer: FloatRecurrent) -> tuple[str, dict[str, Any], FloatArray]:
    """ONNX operator of a layer, its attributes, and the bias added to the recurrent product."""
    if isinstance(layer, FloatSimpleRNN):
        name = {"tanh": "Tanh", "relu": "Relu"}[layer.activation]
        return "RNN", {"activations": [name]}, np.zeros_like(layer.bias)
    if isinstance(layer, FloatGRU):
        attributes = _activations(layer.recurrent_activation, 1)
        attributes["linear_before_reset"] = int(layer.reset_after)
        return "GRU", attributes, layer.recurrent_bias
    return "LSTM", _activations(layer.recurrent_activation, 2), np.zeros_like(layer.bias)


def _activations(gate: str, tanhs: int) -> dict[str, Any]:
    """Activations of an operator: the gates', then ``tanhs`` times tanh."""
    if gate == "sigmoid":
        return {"activations": ["Sigmoid"] + ["Tanh"] * tanhs}
    # ONNX's own default slope is 0.2, Keras 3 divides by 6.
    return {
        "activations": ["HardSigmoid"] + ["Tanh"] * tanhs,
        "activation_alpha": [1.0 / 6.0],
        "activation_beta": [0.5],
    }


def _ordered(layer: FloatRecurrent, rows: FloatArray) -> FloatArray:
    """Rows of all gates in ONNX's gate order."""
    if not isinstance(layer, FloatLSTM):
        return rows
    blocks = np.split(rows, 4)
    return np.concatenate([blocks[i] for i in _LSTM_ORDER])


def _dense(g: GraphBuilder, layer: FloatDense, x: str) -> str:
    weights: npt.NDArray[np.float64] = np.ascontiguousarray(layer.kernel.T)
    value = g.node("MatMul", x, g.constant(weights, np.float32))
    if layer.use_bias:
        value = g.node("Add", value, g.constant(layer.bias, np.float32))
    if layer.activation == "linear":
        return value
    return g.node(_DENSE_OPERATORS[layer.activation], value)
