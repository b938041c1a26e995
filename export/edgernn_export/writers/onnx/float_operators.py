"""The float ONNX form: a float model in ONNX's own LSTM, GRU and RNN operators, cells as Scans.

It is a stand-alone model for programs that quantize or run elsewhere; edgernn itself does not
execute it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.backends.step_graph import StepPorts, named_ports
from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Port
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn_export.float_model.float_run import state_widths
from edgernn_export.float_model.gate_orders import in_order_of
from edgernn_export.float_model.model import (
    RECURRENT,
    FloatAttention,
    FloatCell,
    FloatDelay,
    FloatDense,
    FloatDenseRows,
    FloatEmbedding,
    FloatGRU,
    FloatLayer,
    FloatLayerNorm,
    FloatLSTM,
    FloatMemory,
    FloatMerge,
    FloatModel,
    FloatPointwise,
    FloatPReLU,
    FloatSimpleRNN,
)
from edgernn_export.writers.onnx.float_steps import (
    Fed,
    LayerNodes,
    append_cell,
    append_delay,
    append_pointwise,
)
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeRows, joined, sliced
from edgernn_export.writers.onnx.memories.float_memories import append_memory
from edgernn_export.writers.routed import cut

_DENSE_OPERATORS: Final = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
_MERGE_OPERATORS: Final = {
    MergeOperation.SUM: "Sum",
    MergeOperation.PRODUCT: "Mul",
    MergeOperation.MAXIMUM: "Max",
    MergeOperation.MINIMUM: "Min",
}


def write_onnx_float(model: FloatModel) -> bytes:
    """Write a float model as an ONNX graph over whole sequences, in float32.

    Inputs: ``x`` [T, B, I] and every state, ``<layer>.h`` and for an LSTM ``<layer>.c``, [1, B, H];
    T and B are free. Registered cells have the states of their record, delays of convolutions
    ``<layer>.h``, the rows they hold. All states of a stream begin with zeros: if the value for the
    rows before it is another number, a delay's state is the rows less that. Outputs: ``y`` [T, B,
    O] (probabilities where the model ends in a softmax) and every final state as ``<name>_out``. A
    stream cut into chunks is continued through the states.

    For a model with several inputs or outputs, these replace ``x`` or ``y`` by their names. Of a
    model that answers every R readings, a step is one of T, and reads [R*I] as
    `edgernn.model.interface.Rate.blocks` cuts a stream. Steps before the first answer
    (`Rate.unanswered`) are run like others; then all states except those of delays start again.

    Args:
        model: the float model.

    Returns:
        The file's bytes; same model, same bytes.

    Raises:
        ModelError: names of inputs, outputs and states collide.
        UnsupportedModelError: several inputs, and a step that reads several readings; or a mask.
    """
    if model.mask is not None:
        raise UnsupportedModelError(
            [
                f"{model.name}: expected a network without a mask for a float ONNX file, got one "
                f"that masks {model.mask:g}. Export the integer model: a session leaves its "
                "masked readings out."
            ]
        )
    g, ports = GraphBuilder(model.name or "edgernn"), _ports(model)
    made: dict[int, Sequence[NodeRows]] = {
        MODEL_INPUT: [
            NodeRows(g.input(port.name, np.float32, ["T", "B", port.width]), port.width)
            for port in ports.inputs
        ]
    }
    final: list[tuple[str, str, int]] = []
    for index, (layer, route) in enumerate(zip(model.layers, model.wiring, strict=False)):
        names, widths = _states(layer), state_widths(layer)
        for name, width in zip(names, widths, strict=True):
            g.input(name, np.float32, [1, "B", width])
        fed, start = _along(g, made, route), _start(layer)
        begun = [_plus(g, "Add", *one) for one in zip(names, start, strict=True)]
        value, carried = WRITTEN[type(layer)](g, layer, fed, begun)
        left = [_plus(g, "Sub", *one) for one in zip(carried, start, strict=True)]
        out = [f"{name}_out" for name in names]
        final.extend(zip(out, left, widths, strict=True))
        made[index] = [NodeRows(value, layer.units)]
    for name, value, width in _outputs(g, model, ports, _along(g, made, model.wiring[-1])):
        g.output(value, name, np.float32, ["T", "B", width])
    for name, tensor, units in final:
        g.output(tensor, name, np.float32, [1, "B", units])
    return g.to_bytes({"edgernn_float_model_sha256": model.sha256})


def _states(layer: FloatLayer) -> list[str]:
    """Names of a layer's states, in their order."""
    kinds = layer.state_names if isinstance(layer, (FloatCell, FloatMemory)) else ("h", "c")
    return [f"{layer.name}.{kind}" for kind, _ in zip(kinds, state_widths(layer), strict=False)]


def _start(layer: FloatLayer) -> list[FloatArray | None]:
    """What each state of a recurrent layer begins with; None for zeros.

    In a file all states are zero where a stream begins.
    """
    widths = state_widths(layer)
    if not isinstance(layer, RECURRENT) or layer.start is None:
        return [None for _ in widths]
    return list(np.split(layer.start, np.cumsum(widths)[:-1]))


def _plus(g: GraphBuilder, operator: str, state: str, start: FloatArray | None) -> str:
    """A state with what it begins with added or subtracted."""
    return state if start is None else g.node(operator, state, g.constant(start, np.float32))


def _ports(model: FloatModel) -> StepPorts:
    if model.input_ports and model.step_inputs != model.inputs:
        raise UnsupportedModelError(
            [
                f"{model.name}: expected one input for a float ONNX file of a model with "
                f"several readings per step, got {len(model.input_ports)}. Train with one "
                "input and slice it, or export the integer model."
            ]
        )
    return named_ports(
        model.input_ports or (Port(name="x", width=model.step_inputs),),
        model.output_ports or (Port(name="y", width=model.outputs),),
        [name for layer in model.layers for name in _states(layer)],
    )


def _outputs(
    g: GraphBuilder, model: FloatModel, ports: StepPorts, values: Sequence[NodeRows]
) -> Iterator[tuple[str, str, int]]:
    """Name, tensor and width of every output."""
    softmax = [port.softmax for port in model.output_ports]
    given: set[str] = set()
    for number, port in enumerate(ports.outputs):
        value = joined(g, _cut(g, values, port.channels.start, port.width))
        if softmax[number] if softmax else model.final_activation == "softmax":
            value = g.node("Softmax", value, axis=-1)
        elif value in given:  # a tensor is one output
            value = g.node("Identity", value)
        given.add(value)
        yield port.name, value, port.width


def _along(g: GraphBuilder, made: Mapping[int, Sequence[NodeRows]], route: Route) -> list[NodeRows]:
    """What a route leads to, one tensor behind another."""
    parts = (_cut(g, made[part.source], part.start, part.width) for part in route)
    return [rows for part in parts for rows in part]


def _cut(
    g: GraphBuilder, tensors: Sequence[NodeRows], start: int, width: int
) -> Sequence[NodeRows]:
    widths = [rows.width for rows in tensors]
    return cut(tensors, widths, start, width, lambda _, *part: sliced(g, *part))


def _merge(g: GraphBuilder, layer: FloatMerge, fed: Fed, _: list[str]) -> LayerNodes:
    """One operator for all vectors, before it what scales them, if anything does."""
    vectors = []
    for number, (gain, offset) in enumerate(zip(layer.gain, layer.offset, strict=True)):
        value = joined(g, _cut(g, fed, number * layer.units, layer.units))
        if np.any(gain != 1.0):
            value = g.node("Mul", value, g.constant(gain, np.float32))
        if np.any(offset):
            value = g.node("Add", value, g.constant(offset, np.float32))
        vectors.append(value)
    if layer.operation is MergeOperation.HYPOTENUSE:
        squares = [g.node("Mul", vector, vector) for vector in vectors]
        return g.node("Sqrt", g.node("Add", *squares)), ()
    return g.node(_MERGE_OPERATORS[layer.operation], *vectors), ()


def _prelu(g: GraphBuilder, layer: FloatPReLU, fed: Fed, _: list[str]) -> LayerNodes:
    return g.node("PRelu", joined(g, fed), g.constant(layer.slope, np.float32)), ()


def _layer_norm(g: GraphBuilder, layer: FloatLayerNorm, fed: Fed, _: list[str]) -> LayerNodes:
    """One operator, of rows where there are several."""
    value = joined(g, fed)
    if layer.count > 1:
        shape = g.constant([0, 0, layer.count, layer.width], np.int64)
        value = g.node("Reshape", value, shape)
    constants = [g.constant(values, np.float32) for values in (layer.gain, layer.offset)]
    value = g.node("LayerNormalization", value, *constants, axis=-1, epsilon=layer.epsilon)
    if layer.count > 1:
        value = g.node("Reshape", value, g.constant([0, 0, layer.units], np.int64))
    return value, ()


def _embedding(g: GraphBuilder, layer: FloatEmbedding, fed: Fed, _: list[str]) -> LayerNodes:
    """The rows that tokens number: float32 [T, B, U]."""
    index = g.cast(joined(g, fed), np.int64)
    rows = g.node("Gather", g.constant(layer.table, np.float32), index, axis=0)
    return g.node("Reshape", rows, g.constant([0, 0, layer.units], np.int64)), ()


def _recurrent(
    g: GraphBuilder, layer: FloatSimpleRNN | FloatLSTM | FloatGRU, fed: Fed, states: list[str]
) -> LayerNodes:
    """Append one recurrent operator."""
    operator, attributes, recurrent_bias = _operator(layer)
    biases = [_ordered(layer, layer.bias), _ordered(layer, recurrent_bias)]
    weights = [
        g.constant(_ordered(layer, layer.kernel)[None], np.float32),
        g.constant(_ordered(layer, layer.recurrent)[None], np.float32),
        g.constant(np.concatenate(biases)[None], np.float32),
    ]
    no_lengths = ""
    inputs = [joined(g, fed), *weights, no_lengths, *states]
    sequence, *final = g.nodes(
        operator, inputs, 1 + len(states), hidden_size=layer.units, **attributes
    )
    return g.node("Squeeze", sequence, g.constant([1], np.int64)), tuple(final)


def _operator(
    layer: FloatSimpleRNN | FloatLSTM | FloatGRU,
) -> tuple[str, dict[str, Any], FloatArray]:
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


def _ordered(layer: FloatSimpleRNN | FloatLSTM | FloatGRU, rows: FloatArray) -> FloatArray:
    """Rows of all gates in ONNX's gate order."""
    return in_order_of(rows, type(layer).__name__.removeprefix("Float"), "onnx")


def _dense(g: GraphBuilder, layer: FloatDense, fed: Fed, _: list[str]) -> LayerNodes:
    weights: npt.NDArray[np.float64] = np.ascontiguousarray(layer.kernel.T)
    value = g.node("MatMul", joined(g, fed), g.constant(weights, np.float32))
    if layer.use_bias:
        value = g.node("Add", value, g.constant(layer.bias, np.float32))
    if layer.activation != "linear":
        value = g.node(_DENSE_OPERATORS[layer.activation], value)
    return value, ()


def _dense_rows(g: GraphBuilder, layer: FloatDenseRows, fed: Fed, states: list[str]) -> LayerNodes:
    """The same Dense of every row."""
    width = layer.dense.inputs
    shape = g.constant([0, 0, layer.count, width], np.int64)
    rows = NodeRows(g.node("Reshape", joined(g, fed), shape), width)
    value, _ = _dense(g, layer.dense, [rows], states)
    return g.node("Reshape", value, g.constant([0, 0, layer.units], np.int64)), ()


#: float layer -> what appends it
WRITTEN: Final[dict[type, Callable[[GraphBuilder, Any, Fed, list[str]], LayerNodes]]] = {
    FloatSimpleRNN: _recurrent,
    FloatLSTM: _recurrent,
    FloatGRU: _recurrent,
    FloatCell: append_cell,
    FloatDense: _dense,
    FloatDenseRows: _dense_rows,
    FloatMerge: _merge,
    FloatEmbedding: _embedding,
    FloatDelay: append_delay,
    FloatPointwise: append_pointwise,
    FloatPReLU: _prelu,
    FloatLayerNorm: _layer_norm,
    FloatMemory: append_memory,
    FloatAttention: append_memory,
}
