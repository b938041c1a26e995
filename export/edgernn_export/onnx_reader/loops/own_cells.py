"""Registered cells in the float ONNX files of edgernn, which are Scans over the steps.

The body says which cell it is. That is believed only after the file that edgernn would write for
this cell has been made, with weights that stand for those of the file, and compared node by node.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.affine import Source
from edgernn.model.formats import FloatArray
from edgernn_export.described.recurrent_layers import RecurrentForm, registered_layer
from edgernn_export.float_model.cell_plans import weight_shapes
from edgernn_export.float_model.model import FloatCell, FloatModel
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.onnx_reader.file import open_onnx
from edgernn_export.onnx_reader.nodes import StepBody, nodes_of
from edgernn_export.operator_reader import recurrences
from edgernn_export.operator_reader.operators import Operator, numbers
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Atom, AxisKind, Traced, alone, is_constant
from edgernn_export.writers.onnx.float_operators import write_onnx_float

#: What is wrong in what a body says of itself.
_WRONG: Final = (EdgeRnnError, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnCell:
    """A registered cell in a body.

    Attributes:
        kind: of the cell.
        units: width of its output.
        options: of the cell.
        weights: by name, matrices [R, N].
        state_widths: widths of its states.
    """

    kind: str
    units: int
    options: Mapping[str, Any]
    weights: Mapping[str, FloatArray]
    state_widths: tuple[int, ...]


def own_results(trace: CallTrace, operator: Operator) -> list[Any] | None:
    """The results of a Scan that edgernn wrote: last states, and the outputs of all steps.

    Args:
        trace: takes calls.
        operator: the Scan.

    Returns:
        None for any other one.

    Raises:
        OperatorRefused: it begins with only some of its states.
    """
    body = operator.attribute("body")
    plain = {"body", "own_inputs", "num_scan_inputs"}
    if not isinstance(body, StepBody) or not body.told or set(operator.node.attributes) != plain:
        return None
    own, rows = operator.attribute("own_inputs"), int(operator.attribute("num_scan_inputs"))
    states, read = operator.inputs[: own - rows], operator.inputs[own - rows : own]
    if not read or not all(isinstance(value, Traced) and value.rank == 3 for value in read):
        return None
    affine = [affine_of(value.tensor) for value in read]
    sources = {(id(one[0].call), one[0].index) for one in affine if one is not None}
    if None in affine or len(sources) != 1:
        return None
    maps = [(one[1], one[2]) for one in affine if one is not None]
    captured = dict(zip(body.captured, operator.inputs[own:], strict=True))
    cell = own_cell(body, captured, maps)
    if cell is None:
        return None
    layer = registered_layer(
        cell.kind, trace.name, trace.origin, cell.units, cell.options, cell.weights, RecurrentForm()
    )
    begun = all(isinstance(state, Traced) for state in states)
    if not begun:
        layer.start = np.concatenate([_row(state) for state in states])
    (source,) = {id(one[0].call): one[0] for one in affine if one is not None}.values()
    width = maps[0][0].shape[1]
    value = Traced((*read[0].axes[:2], (Atom(AxisKind.FEATURES, width),)), alone(source))
    made = recurrences.recurrent(
        trace, value, (0, 1, 2), [layer], [state if begun else None for state in states],
        units=cell.units,
    )  # fmt: skip
    ends = [
        made.state(index, "BF").with_axis(1, (Atom(AxisKind.FEATURES, width),))
        for index, width in enumerate(cell.state_widths)
    ]
    return [*ends, made.sequence("TBF")]


def _row(state: Any) -> FloatArray:
    """What all streams begin with.

    Raises:
        OperatorRefused: they begin with different states.
    """
    if not is_constant(state) or state.ndim != 2 or (state != state[:1]).any():
        raise OperatorRefused(
            "all initial states as inputs, or the same constants for all streams", "others",
            "Export the network again.",
        )  # fmt: skip
    row: FloatArray = numbers(state)[0]
    return row


def own_cell(
    body: StepBody, constants: Mapping[str, Any], maps: Sequence[tuple[FloatArray, FloatArray]]
) -> OwnCell | None:
    """The cell that a body says it is, if edgernn would write it like this.

    Args:
        body: of a Scan.
        constants: what it captures, by name.
        maps: matrix [R, I] and bias [R] of each row that the Scan takes steps of.

    Returns:
        None for other bodies.
    """
    try:
        told = json.loads(body.told)
        kind, units, options = str(told["cell"]), int(told["units"]), dict(told["options"])
        inputs = maps[0][0].shape[1]
        shapes = weight_shapes(kind, inputs, units, options)
        given = [*constants.values(), *(array for one in maps for array in one)]
        if sum(map(math.prod, shapes.values())) > sum(np.size(array) for array in given):
            return None
        layer = _with_placeholders(kind, options, shapes)
        compared = _Comparison(layer=layer, constants={**body.constants, **constants})
        if not (compared.maps(maps) and compared.body(_written(layer), body)):
            return None
    except _WRONG:
        return None
    if set(compared.found) != set(shapes):
        return None
    return OwnCell(
        kind=kind, units=units, options=options, weights=compared.found,
        state_widths=layer.state_widths,
    )  # fmt: skip


def _with_placeholders(
    kind: str, options: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> FloatCell:
    """The cell with weights that occur nowhere else."""
    draw = np.random.default_rng(0)
    weights = {
        name: draw.normal(size=shape).astype(np.float32).astype(np.float64)
        for name, shape in shapes.items()
    }
    return FloatCell.of(kind, "cell", options, weights)


def _written(layer: FloatCell) -> tuple[StepBody, Mapping[str, Any]]:
    """The body that edgernn writes for a cell, and the constants that it captures."""
    model = FloatModel(
        name="cell",
        layers=(layer,),
        input_names=tuple(f"x{index}" for index in range(layer.inputs)),
        input_units=("",) * layer.inputs,
        output_names=tuple(f"y{index}" for index in range(layer.units)),
        output_units=("",) * layer.units,
    )
    file = open_onnx(write_onnx_float(model))
    (scan,) = [one for one in nodes_of(file, file.graph, Findings()) if one.kind == "Scan"]
    arrays = {tensor.name: file.array(tensor) for tensor in file.graph.initializer}
    return scan.attributes["body"], arrays


@dataclass(slots=True, kw_only=True, eq=False)
class _Comparison:
    """A file compared with the one that edgernn would write.

    Attributes:
        layer: the cell with placeholders.
        constants: of the file, by name.
        found: weights of the file by name, [R, N].
    """

    layer: FloatCell
    constants: Mapping[str, Any]
    found: dict[str, FloatArray] = field(default_factory=dict)

    def maps(self, maps: Sequence[tuple[FloatArray, FloatArray]]) -> bool:
        """Take the matrices that readings are multiplied by, in the order of the writer."""
        names = [name for name, sources in self.layer.plan.terms.items() if Source.X in sources]
        if len(names) != len(maps):
            return False
        for name, (kernel, bias) in zip(names, maps, strict=True):
            self.found |= {f"{name}.x": kernel, f"{name}.bias": bias}
        shapes = {name: values.shape for name, values in self.layer.by_name.items()}
        return all(values.shape == shapes[name] for name, values in self.found.items())

    def body(self, wanted: tuple[StepBody, Mapping[str, Any]], body: StepBody) -> bool:
        """Whether two bodies are the same, up to names and weights."""
        other, arrays = wanted
        if len(other.inputs) != len(body.inputs) or len(other.nodes) != len(body.nodes):
            return False
        names = dict(zip(other.inputs, body.inputs, strict=True))
        for one, node in zip(other.nodes, body.nodes, strict=True):
            if one.kind != node.kind or dict(one.attributes) != dict(node.attributes):
                return False
            if len(one.inputs) != len(node.inputs) or len(one.outputs) != len(node.outputs):
                return False
            for given, own in zip(one.inputs, node.inputs, strict=True):
                if given is None or own is None:
                    if given is not own:
                        return False
                elif given.name in arrays:
                    if not self._same(arrays[given.name], self.constants.get(own.name)):
                        return False
                elif names.get(given.name) != own.name:
                    return False
            names |= dict(zip(one.outputs, node.outputs, strict=True))
        return [names.get(name) for name in other.outputs] == list(body.outputs)

    def _same(self, wanted: Any, found: Any) -> bool:
        """Whether constants are equal; a placeholder is any constant of its shape."""
        if not is_constant(found) or found.shape != wanted.shape or found.dtype != wanted.dtype:
            return False
        for name, values in self.layer.by_name.items():
            if values.T.shape == wanted.shape and np.array_equal(values.T, wanted):
                weight = found.astype(np.float64).T
                return np.array_equal(self.found.setdefault(name, weight), weight)
        return np.array_equal(found, wanted)


def affine_of(tensor: CallResult) -> tuple[CallResult, FloatArray, FloatArray] | None:
    """What a tensor is made of by a matrix and a bias: the tensor, [R, I] and [R]."""
    call, bias = tensor.call, np.zeros(())
    if call.layer is not None and call.layer.stored_class == "Add" and len(call.inputs) == 1:
        added = (call.arguments or {}).get("argument 2", (call.arguments or {}).get("argument 1"))
        if added is None:
            return None
        bias, call = np.asarray(added, dtype=np.float64).reshape(-1), call.inputs[0].call
    if call.layer is None or call.layer.stored_class != "Dense" or len(call.inputs) != 1:
        return None
    kernel = np.asarray(call.layer.kernel, dtype=np.float64).T
    if call.layer.use_bias or getattr(call.layer, "activation", "linear") != "linear":
        return None
    return call.inputs[0], kernel, np.broadcast_to(bias, (len(kernel),)).copy()
