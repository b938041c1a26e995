"""From an ONNX model to a float model."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.program_sets.passes import read_described
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.onnx_reader.constants import folded
from edgernn_export.onnx_reader.convolution_handlers import CONVOLUTIONS
from edgernn_export.onnx_reader.file import AGAIN, OnnxFile, open_onnx
from edgernn_export.onnx_reader.layer_handlers import LAYERS
from edgernn_export.onnx_reader.loops.loop_handlers import loops
from edgernn_export.onnx_reader.nodes import nodes_of
from edgernn_export.onnx_reader.recurrent_handlers import RECURRENT
from edgernn_export.onnx_reader.shape_handlers import SHAPES
from edgernn_export.onnx_reader.wording import ONNX, unsupported
from edgernn_export.operator_reader.network import GraphInput, OperatorGraph, described_model
from edgernn_export.operator_reader.operators import Handler

#: Operators that may read a value from the last step on, as ReverseSequence gives it.
_TURNING: Final = frozenset(
    {"Gather", "Identity", "Loop", "ReverseSequence", "Scan", "Shape", "Slice", "Transpose"}
)
_PLAIN: Final[dict[str, Handler]] = {**SHAPES, **LAYERS, **CONVOLUTIONS, **RECURRENT}
#: What reads each operator that may depend on the readings.
HANDLERS: Final[dict[str, Handler]] = {**_PLAIN, **loops(_PLAIN)}


def read_onnx(
    source: str | PathLike[str] | bytes | Any,
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel | FloatChunks:
    """Read an ONNX model.

    Args:
        source: a path, the bytes of a file, or an onnx.ModelProto.
        input_names: one per feature; x0, x1, ... by default, of several inputs their names,
            numbered where they have more than one feature.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default, or as those of inputs.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model, or that of whole chunks for a network that reads backward.

    Raises:
        BackendUnavailable: onnx is not installed.
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the model holds something edgernn does not execute, or is damaged;
            the error lists everything found.

    Warns:
        StreamKindWarning: the states of the network are its inputs and outputs.
    """
    model = stored_onnx(source)
    labels: dict[str, Any] = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    return read_described(model, labels)


def stored_onnx(source: str | PathLike[str] | bytes | Any) -> StoredModel:
    """An ONNX model as calls of described layers.

    Args:
        source: as for `read_onnx`.

    Raises:
        BackendUnavailable, FileNotFoundError, UnsupportedModelError: as there.
    """
    file = open_onnx(source)
    findings = Findings(wording=ONNX)
    try:
        graph = _graph(file, findings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # names that are no text
        refuse(file.name, "texts in UTF-8", f"others ({type(error).__name__})", AGAIN)
    return described_model(graph, findings)


def _graph(file: OnnxFile, findings: Findings) -> OperatorGraph:
    """The graph with its weights."""
    constants: dict[str, Any] = {}
    for tensor in file.graph.initializer:
        try:
            constants[tensor.name] = file.array(tensor)
        except UnsupportedModelError as error:
            findings.reasons += error.reasons
    findings.refuse()
    names = [one.name for one in (*file.graph.input, *file.graph.output, *file.graph.initializer)]
    if not all(isinstance(name, str) for name in names):  # protobuf gives other texts as bytes
        raise TypeError("bytes")
    plain = file.name.replace("'", "_")
    return OperatorGraph(
        name=file.name,
        origin=f"ONNX model '{plain}'",
        inputs=tuple(
            _input(given, findings) for given in file.graph.input if given.name not in constants
        ),
        constants=constants,
        nodes=nodes_of(file, file.graph, findings),
        outputs=tuple(output.name for output in file.graph.output),
        handlers=HANDLERS,
        folded=folded,
        unsupported=lambda node: unsupported(node, HANDLERS),
        wording=ONNX,
        trimming=frozenset({"Slice"}),
        turning=_TURNING,
    )


def _input(given: Any, findings: Findings) -> GraphInput:
    import onnx

    tensor = given.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except (KeyError, TypeError, ValueError):
        dtype = "unknown"
    if not given.type.HasField("tensor_type") or not tensor.HasField("shape"):
        plain = given.name.replace("'", "_")
        findings.add(
            f"input '{plain}'", "a tensor with a number of axes", "another input",
            "Export the network with shapes.",
        )  # fmt: skip
    sizes = tuple(
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None
        for size in tensor.shape.dim
    )
    return GraphInput(name=given.name, sizes=sizes, dtype=dtype)
