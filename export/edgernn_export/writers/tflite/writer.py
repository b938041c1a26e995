"""Write an integer model as a one-step .tflite file, without a converter in between.

The file has one signature, "step": inputs "x" and one int16 vector per state (named as in
`IntegerModel.states`), outputs "y" and the new states under the same names with "_out" appended.
Everything is integer; the metadata entry "edgernn" holds the interface as JSON.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.container import interface_json
from edgernn.model.formats import UNIT, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.layers import Dense, DenseActivation
from edgernn_export.writers.tflite.affine import operand, operand_scale
from edgernn_export.writers.tflite.cells import Site, emit
from edgernn_export.writers.tflite.graph import Graph, Tensor

#: Output scales outside these bounds stand in the metadata only: float32 products with them
#: would leave the range in which a power of two changes the exponent alone.
_SCALE_BOUNDS = (2.0**-60, 2.0**60)


def write_tflite(model: IntegerModel, golden: Golden | None = None) -> bytes:
    """Return the bytes of a .tflite file that computes NUMERICS.md bit by bit.

    Args:
        model: the integer model.
        golden: self-test vector stored with the model's interface.

    Returns:
        The file; the same model and golden vector give the same bytes.

    Raises:
        BackendUnavailable: no TFLite schema is installed.
    """
    graph, inputs, outputs = build(model)
    interface = replace(model.interface(), golden=golden)
    return graph.finish(inputs, outputs, interface_json.dumps(interface).encode())


def build(model: IntegerModel) -> tuple[Graph, dict[str, Tensor], dict[str, Tensor]]:
    """The graph of one step with its inputs and outputs by signature name."""
    graph = Graph(model.name)
    x = _input(graph, model)
    inputs = {"x": x}
    for spec in model.states:
        inputs[spec.name] = graph.tensor(spec.name, spec.units, "int16", spec.format.scale)
    outputs: dict[str, Tensor] = {}
    y = x
    for index, layer in enumerate(model.layers):
        if index:
            x = operand(graph, f"{layer.name}.o_x", y, model.precision)
        states = tuple(inputs[spec.name] for spec in layer.states)
        scale = _output_scale(model, index)
        site = Site(graph=graph, precision=model.precision, x=x, states=states, scale=scale)
        y, new = emit(layer, site)
        for spec, tensor in zip(layer.states, new, strict=True):
            outputs[f"{spec.name}_out"] = tensor
    return graph, inputs, {"y": y, **outputs}


def _input(graph: Graph, model: IntegerModel) -> Tensor:
    """The tensor "x", labelled with the real scale where one number can say it.

    Otherwise the tensor's name says where to look, and it carries the scale under which it joins
    the hidden state's operand.
    """
    scale = _common_scale(model.input.scale)
    dtype = model.precision.operand_dtype.name
    if scale is not None and not np.any(model.input.offset):
        return graph.tensor("x", model.input.width, dtype, scale)
    states = model.layers[0].states
    nominal = operand_scale(states[0].format.scale if states else UNIT.scale, model.precision)
    return graph.tensor("x.scales_in_metadata", model.input.width, dtype, nominal)


def _output_scale(model: IntegerModel, index: int) -> float:
    """Scale written on the output of a Dense layer that has no table."""
    layer = model.layers[index]
    last = index == len(model.layers) - 1
    if last and isinstance(layer, Dense) and layer.activation in _FREE:
        return _common_scale(model.output.scale) or UNIT.scale
    return UNIT.scale


_FREE = (DenseActivation.LINEAR, DenseActivation.RELU)


def _common_scale(scales: FloatArray) -> float | None:
    """The one scale of all channels as float32, if there is one in a sane range."""
    first = float(np.float32(scales[0]))
    low, high = _SCALE_BOUNDS
    return first if np.all(scales == scales[0]) and low < first < high else None
