"""From a TFLite model to a float model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from typing import Any, Final

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.program_sets.passes import read_described
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.operator_reader.graphs.network import GraphInput, OperatorGraph, described_model
from edgernn_export.operator_reader.operators import Handler, OperatorNode, ValueName
from edgernn_export.tflite_reader.constants import folded
from edgernn_export.tflite_reader.convolution_handlers import CONVOLUTIONS
from edgernn_export.tflite_reader.file import (
    AGAIN,
    TfliteFile,
    dtype_name,
    open_tflite,
    plain,
)
from edgernn_export.tflite_reader.layer_handlers import LAYERS
from edgernn_export.tflite_reader.loops.loop_records import LoopGraph
from edgernn_export.tflite_reader.loops.while_loops import WHILE
from edgernn_export.tflite_reader.recurrent_handlers import RECURRENT
from edgernn_export.tflite_reader.shape_handlers import SHAPES
from edgernn_export.tflite_reader.wording import TFLITE, unsupported
from edgernn_export.tflite_schema.tables import FlatSubGraph, FlatTensor

#: What reads each operator that may depend on the readings.
HANDLERS: Final[dict[str, Handler]] = {**SHAPES, **LAYERS, **CONVOLUTIONS, **RECURRENT, **WHILE}
#: A node that the file does not have: what it takes is an output of the network.
_OUTPUT: Final = "output"
#: Operators that know what to do with steps from the last one on, or leave them as they are.
_TURNING: Final = frozenset(
    {"BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "EXPAND_DIMS", "GATHER",
     "RESHAPE", "REVERSE_V2", "SHAPE", "SLICE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE",
     "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "WHILE"}
)  # fmt: skip


def read_tflite(
    source: str | PathLike[str] | bytes,
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel | FloatChunks:
    """Read a TFLite model of real numbers.

    Args:
        source: a path, or the bytes of a file.
        input_names: one per feature; x0, x1, ... by default, of several inputs their names,
            numbered where they have more than one feature.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default, or as those of inputs.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model, or that of whole chunks for a network that reads backward.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the model holds something edgernn does not execute, is quantized, or
            is damaged; the error lists everything found.
    """
    labels: dict[str, Any] = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    return read_described(stored_tflite(source), labels)


def stored_tflite(source: str | PathLike[str] | bytes) -> StoredModel:
    """A TFLite model as calls of described layers.

    Args:
        source: as for `read_tflite`.

    Raises:
        FileNotFoundError, UnsupportedModelError: as there.
    """
    findings = Findings(wording=TFLITE)
    try:
        file = open_tflite(source)
        graph = _graph(file, findings)
    except UnicodeDecodeError:
        name = "model.tflite" if isinstance(source, bytes) else str(source).rpartition("/")[2]
        refuse(name, "texts in UTF-8", "others", AGAIN)
    return described_model(graph, findings)


def _graph(file: TfliteFile, findings: Findings) -> OperatorGraph:
    """The graph with its weights; a value is called by the number of its tensor."""
    tensors = file.graph.tensors or []
    operators = file.graph.operators or []
    constants = _constants(file, file.graph, findings)
    findings.refuse()
    names = _Names(file)
    given = [i for i in file.graph.inputs or () if str(i) not in constants]
    inputs = {i: names.of(i, tensors[i], "input") for i in dict.fromkeys(given)}
    # Inputs keep their names, by which messages and channels call them.
    values = {i: inputs.get(i, str(i)) for i in range(len(tensors))}
    nodes = [
        _node(file, file.graph, place, values, names, findings) for place in range(len(operators))
    ]
    findings.refuse()
    outputs = []
    for index in dict.fromkeys(file.graph.outputs or ()):
        name = names.of(index, tensors[index], "output")
        outputs.append(name)
        nodes.append(
            OperatorNode(
                kind=_OUTPUT,
                name=name,
                origin=f"output '{name}'",
                inputs=(ValueName(values[index]),),
                outputs=(name,),
                attributes={},
            )
        )
    return OperatorGraph(
        name=file.name,
        origin=f"TFLite model '{file.name.replace(chr(39), '_')}'",
        inputs=tuple(
            GraphInput(name=name, sizes=_sizes(tensors[i]), dtype=dtype_name(tensors[i]))
            for i, name in inputs.items()
        ),
        constants=constants,
        nodes=nodes,
        outputs=tuple(outputs),
        handlers=HANDLERS | {_OUTPUT: lambda _, operator: [operator.traced(0)]},
        folded=folded,
        unsupported=lambda node: unsupported(node, HANDLERS),
        wording=TFLITE,
        trimming=frozenset({"STRIDED_SLICE", "SLICE"}),
        turning=_TURNING,
    )


class _Names:
    """Names that differ: of inputs, outputs and operators."""

    def __init__(self, file: TfliteFile) -> None:
        self._labels = file.labels
        self._used: set[str] = set()

    def of(self, index: int, tensor: FlatTensor, kind: str) -> str:
        """The name of an input or output: that of the signature, or of its tensor."""
        return self.free(self._labels.get(index, "").replace("'", "_") or plain(tensor) or kind)

    def free(self, name: str) -> str:
        """A name, numbered where it is used already."""
        made, count = name, 0
        while made in self._used or made.isdecimal():
            count += 1
            made = f"{name}_{count}"
        self._used.add(made)
        return made


def _sizes(tensor: FlatTensor) -> tuple[int | None, ...]:
    shape, open_shape = tensor.shape or [], tensor.shapeSignature or []
    sizes = open_shape if len(open_shape) == len(shape) else shape
    return tuple(size if size > 0 else None for size in sizes)


def _constants(file: TfliteFile, graph: FlatSubGraph, findings: Findings) -> dict[str, Any]:
    """What operators of a graph read that the file has; None for states of the interpreter."""
    tensors = graph.tensors or []
    read = {i for one in graph.operators or () for i in one.inputs or () if i >= 0}
    found: dict[str, Any] = {}
    for index in sorted(read | set(graph.outputs or ())):
        if tensors[index].isVariable:
            found[str(index)] = None
        elif file.is_constant(tensors[index]):
            try:
                found[str(index)] = file.array(tensors[index])
            except UnsupportedModelError as error:
                findings.reasons += error.reasons
    return found


def _node(
    file: TfliteFile,
    graph: FlatSubGraph,
    place: int,
    values: Mapping[int, str],
    names: _Names,
    findings: Findings,
    *,
    inside: bool = False,
) -> OperatorNode:
    """An operator with its options as attributes; a loop inside a loop has no graphs."""
    operator = (graph.operators or [])[place]
    kind = file.kind(operator)
    tensors = graph.tensors or []
    first = plain(tensors[operator.outputs[0]]) if operator.outputs else ""
    name = names.free(first or f"operator_{place}")
    options = operator.builtinOptions
    told: dict[str, Any] = {} if options is None else {
        entry.name: getattr(options, entry.name) for entry in fields(options)
    }  # fmt: skip
    if kind == "WHILE" and not inside:
        for part, key in (("condition", "condSubgraphIndex"), ("body", "bodySubgraphIndex")):
            told[part] = _loop_graph(file, told.get(key, 0), findings)
    return OperatorNode(
        kind=kind,
        name=name,
        origin=f"operator '{name}' ({kind})",
        inputs=tuple(ValueName(values[i]) if i >= 0 else None for i in operator.inputs or ()),
        outputs=tuple(values[i] for i in operator.outputs or ()),
        attributes=told,
    )


def _loop_graph(file: TfliteFile, number: int, findings: Findings) -> LoopGraph | None:
    """The graph of a body or of a condition; None where there is none of this number."""
    graphs = file.model.subgraphs or []
    if not 0 <= number < len(graphs):
        return None
    graph = graphs[number]
    values = {i: str(i) for i in range(len(graph.tensors or ()))}
    names = _Names(file)
    count = len(graph.operators or ())
    return LoopGraph(
        inputs=tuple(str(i) for i in graph.inputs or ()),
        outputs=tuple(str(i) for i in graph.outputs or ()),
        nodes=[
            _node(file, graph, place, values, names, findings, inside=True)
            for place in range(count)
        ],
        constants=_constants(file, graph, findings),
    )
