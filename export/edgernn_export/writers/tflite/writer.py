"""Write an integer model as a one-step .tflite file, without a converter in between.

The file has one signature, "step": inputs "x" and one int16 vector per state (named as in
`IntegerModel.states`), outputs "y" and the new states under the same names with "_out" appended.
For a model with several inputs or outputs, these replace "x" or "y", by their names.
Where a step takes several readings, an input holds them one behind another, the oldest first.
Everything is integer; the metadata entry "edgernn" holds the interface as JSON.

Of programs that share states, one file has a signature for each, by the program's name, and stores
equal constants once; the metadata hold all interfaces and the handovers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgernn.backends.step_graph import PortTensor, StepPorts, step_ports
from edgernn.container import interface_json, programs_json
from edgernn.model.formats import UNIT, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Golden
from edgernn.model.layers import Dense, DenseActivation
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.model.routes import MODEL_INPUT
from edgernn_export.writers.routed import RoutedVectors
from edgernn_export.writers.tflite import ops
from edgernn_export.writers.tflite.affine import narrowed, operand, operand_scale
from edgernn_export.writers.tflite.cells import Site, emit
from edgernn_export.writers.tflite.graph import Graph, GraphFile, Tensor, is_power_of_two

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
        BackendUnavailable: flatbuffers is not installed.
    """
    graph, inputs, outputs = build(model)
    interface = replace(model.interface(), golden=golden)
    return graph.finish(inputs, outputs, interface_json.dumps(interface).encode())


def write_tflite_programs(programs: ProgramSet, goldens: Sequence[Golden]) -> bytes:
    """Return the bytes of a .tflite file with a signature for every program.

    Args:
        programs: the set.
        goldens: self-test vectors of the programs, in their order.

    Returns:
        The file; the same programs and vectors give the same bytes.

    Raises:
        BackendUnavailable: flatbuffers is not installed.
    """
    file = GraphFile(shared=True)
    for model in programs.programs:
        graph, inputs, outputs = build(model, file)
        graph.sign(model.name, inputs, outputs)
    about = programs.interfaces()
    pairs = zip(about.programs, goldens, strict=True)
    told = tuple(replace(interface, golden=golden) for interface, golden in pairs)
    return file.finish(programs_json.dumps(replace(about, programs=told)).encode())


def build(
    model: IntegerModel, file: GraphFile | None = None
) -> tuple[Graph, dict[str, Tensor], dict[str, Tensor]]:
    """The graph of one step with its inputs and outputs by signature name.

    Args:
        model: what it computes.
        file: receives it; by default a new one.
    """
    graph, ports = Graph(model.name, file), step_ports(model)
    inputs = {port.name: _input(graph, model, port) for port in ports.inputs}
    vectors = TensorVectors(graph, model, _rows(graph, ports, list(inputs.values())))
    for spec in model.states:
        inputs[spec.name] = graph.tensor(spec.name, spec.units, "int16", spec.format.scale)
    carried: dict[str, Tensor] = {}
    for index, (layer, route) in enumerate(zip(model.layers, model.wiring, strict=False)):
        site = Site(
            graph=graph,
            precision=model.precision,
            fed=vectors.fed(layer, route),
            states=tuple(inputs[spec.name] for spec in layer.states),
            scale=_output_scale(model, index),
        )
        y, new = emit(layer, site)
        vectors.add(layer, y)
        for spec, tensor in zip(layer.states, new, strict=True):
            carried[f"{spec.name}_out"] = tensor
    values = vectors.values("output", model.wiring[-1])
    outputs: dict[str, Tensor] = {}
    for port in ports.outputs:
        parts = vectors.cut(port.name, values, port.channels.start, port.width)
        outputs[port.name] = _put_out(graph, model, port, parts)
    return graph, inputs, outputs | carried


class TensorVectors(RoutedVectors[Tensor]):
    """The vectors of a model as tensors.

    Args:
        graph: receives what makes them.
        model: the model.
        inputs: codes of the model's input.
    """

    def __init__(self, graph: Graph, model: IntegerModel, inputs: Sequence[Tensor]) -> None:
        """Start with no layers."""
        super().__init__(inputs, tokens=bool(model.input.vocabulary))
        self.graph = graph
        self.precision = model.precision
        routes = ({part.source for part in route} for route in model.wiring)
        self._readers = sum(MODEL_INPUT in sources for sources in routes)

    def width(self, tensor: Tensor) -> int:
        """Number of elements."""
        return tensor.width

    def part(self, name: str, tensor: Tensor, start: int, width: int) -> Tensor:
        """Consecutive elements of a tensor."""
        return ops.part(self.graph, name, tensor, start, width)

    def operand(self, name: str, value: Tensor) -> Tensor:
        """O(v) of clause 2.7."""
        return operand(self.graph, name, value, self.precision)

    def input_operand(self, name: str, codes: Tensor) -> Tensor:
        """The codes; read by several layers, under a scale that none of them has to change."""
        if codes.dtype != self.precision.operand_dtype.name:
            return narrowed(self.graph, name, codes)
        if self._readers < 2 or is_power_of_two(codes.scale):
            return codes
        return ops.relabel(self.graph, codes, operand_scale(UNIT.scale, self.precision))

    def held_operand(self, name: str, codes: Tensor) -> Tensor:
        """The codes under the scale of operands."""
        return ops.input_operand(self.graph, name, codes, self.precision)

    def input_value(self, name: str, codes: Tensor) -> Tensor:
        """The codes as int16."""
        return ops.codes(self.graph, name, codes)


def _input(graph: Graph, model: IntegerModel, port: PortTensor) -> Tensor:
    """The tensor of an input, labeled with the real scale where one number can say it.

    Otherwise the tensor's name says where to look, and it has the scale under which it joins
    the hidden state's operand.
    """
    scale = _common_scale(model.input.scale[port.channels])
    dtype = model.code_dtype.name
    if scale is not None and not np.any(model.input.offset[port.channels]):
        return graph.tensor(port.name, port.width, dtype, scale)
    states = model.layers[0].states
    nominal = operand_scale(states[0].format.scale if states else UNIT.scale, model.precision)
    return graph.tensor(f"{port.name}.scales_in_metadata", port.width, dtype, nominal)


def _rows(graph: Graph, ports: StepPorts, tensors: list[Tensor]) -> list[Tensor]:
    """The readings of a step, each as its parts of the inputs one behind another."""
    readings = ports.inputs[0].readings
    if len(tensors) == 1 or readings == 1:
        return tensors
    widths = [tensor.width // readings for tensor in tensors]
    return [
        ops.part(graph, f"{port.name}.reading{row}", tensor, row * width, width)
        for row in range(readings)
        for port, tensor, width in zip(ports.inputs, tensors, widths, strict=True)
    ]


def _output_scale(model: IntegerModel, index: int) -> float:
    """Scale written on the output of a Dense layer that has no table."""
    layer = model.layers[index]
    inner = any(part.source == index for route in model.wiring[:-1] for part in route)
    if inner or not isinstance(layer, Dense) or layer.activation not in _FREE:
        return UNIT.scale
    sources = np.repeat(*np.transpose([(part.source, part.width) for part in model.wiring[-1]]))
    port = next(port for port in step_ports(model).outputs if index in sources[port.channels])
    return _common_scale(model.output.scale[port.channels]) or UNIT.scale


def _put_out(
    graph: Graph, model: IntegerModel, port: PortTensor, parts: Sequence[Tensor]
) -> Tensor:
    """The tensor of an output; that of a network is labeled as `_input` labels."""
    y = ops.joined(graph, f"{port.name}.y", parts)
    scale = _common_scale(model.output.scale[port.channels])
    if scale is None or scale == y.scale or not (model.routes or model.output.ports):
        return y
    return ops.relabel(graph, y, scale)


_FREE = (DenseActivation.LINEAR, DenseActivation.RELU)


def _common_scale(scales: FloatArray) -> float | None:
    """The one scale of all channels as float32, if there is one in a sane range."""
    first = float(np.float32(scales[0]))
    low, high = _SCALE_BOUNDS
    return first if np.all(scales == scales[0]) and low < first < high else None
