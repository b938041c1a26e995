"""From an ONNX model to a float model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Final

from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.program_sets.passes import read_described
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.onnx_reader.constants import FOLDED, folded
from edgernn_export.onnx_reader.convolution_handlers import CONVOLUTIONS
from edgernn_export.onnx_reader.file import AGAIN, OnnxFile, open_onnx
from edgernn_export.onnx_reader.inputs import ToldInputs, inputs_of
from edgernn_export.onnx_reader.layer_handlers import LAYERS
from edgernn_export.onnx_reader.loops.loop_handlers import loops
from edgernn_export.onnx_reader.nodes import nodes_of, weights_of
from edgernn_export.onnx_reader.recurrent_handlers import RECURRENT
from edgernn_export.onnx_reader.shape_handlers import SHAPES
from edgernn_export.onnx_reader.wording import ONNX, unsupported
from edgernn_export.operator_reader.graphs.network import OperatorGraph, described_model
from edgernn_export.operator_reader.graphs.refusals import RefusalRules
from edgernn_export.operator_reader.operators import Handler

#: Operators that may read a value from the last step on, as ReverseSequence gives it.
_TURNING: Final = frozenset(
    {"Gather", "Identity", "Loop", "ReverseSequence", "Scan", "Shape", "Slice", "Transpose"}
)
_PLAIN: Final[dict[str, Handler]] = {**SHAPES, **LAYERS, **CONVOLUTIONS, **RECURRENT}
#: What reads each operator that may depend on the readings.
HANDLERS: Final[dict[str, Handler]] = {**_PLAIN, **loops(_PLAIN)}
#: Kinds that give a value of the axes that they are given, those that nothing reads among them.
_KEEPING: Final = frozenset(LAYERS) - {"Gemm", "MatMul", "Gather"} | {
    "Abs", "Ceil", "Cos", "CumSum", "DequantizeLinear", "Floor", "InstanceNormalization", "Log",
    "LogSoftmax", "LpNormalization", "Mod", "QuantizeLinear", "Round", "Sign", "Sin",
}  # fmt: skip
#: About operators that are refused.
RULES: Final = RefusalRules(
    foldable=frozenset(FOLDED),
    independent=frozenset({"Conv", *RECURRENT}),
    keeping=lambda node, _: node.kind in _KEEPING,
)


def read_onnx(
    source: str | PathLike[str] | bytes | Any,
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
    input_values: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> FloatModel | FloatChunks:
    """Read an ONNX model.

    Args:
        source: a path, the bytes of a file, or an onnx.ModelProto.
        input_names: one per feature; x0, x1, ... by default, of several inputs their names,
            numbered where they have more than one feature.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default, or as those of inputs.
        output_units: physical units, one per output; "" by default.
        input_values: inputs that are the same in every call, by name, such as a sample rate that
            chooses between networks; they are no inputs of the float model.
        input_shapes: shapes of inputs whose sizes the file leaves open, by name; None for a size
            that stays open.

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
    model = stored_onnx(source, input_values, input_shapes)
    labels: dict[str, Any] = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    return read_described(model, labels)


def stored_onnx(
    source: str | PathLike[str] | bytes | Any,
    input_values: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> StoredModel:
    """An ONNX model as calls of described layers.

    Args:
        source: as for `read_onnx`.
        input_values: as there.
        input_shapes: as there.

    Raises:
        BackendUnavailable, FileNotFoundError, UnsupportedModelError: as there.
    """
    file = open_onnx(source)
    told = ToldInputs(values=input_values or {}, shapes=input_shapes or {})
    findings = Findings(wording=ONNX)
    try:
        graph = _graph(file, told, findings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # names that are no text
        refuse(file.name, "texts in UTF-8", f"others ({type(error).__name__})", AGAIN)
    return described_model(graph, findings)


def _graph(file: OnnxFile, told: ToldInputs, findings: Findings) -> OperatorGraph:
    """The graph with its weights."""
    constants = weights_of(file, file.graph, findings)
    findings.refuse()
    names = [one.name for one in (*file.graph.input, *file.graph.output, *file.graph.initializer)]
    if not all(isinstance(name, str) for name in names):  # protobuf gives other texts as bytes
        raise TypeError("bytes")
    declared = [one for one in file.graph.input if one.name not in constants]
    inputs, values = inputs_of(declared, told, findings)
    plain = file.name.replace("'", "_")
    return OperatorGraph(
        name=file.name,
        origin=f"ONNX model '{plain}'",
        inputs=inputs,
        constants=constants | values,
        nodes=nodes_of(file, file.graph, findings),
        outputs=tuple(output.name for output in file.graph.output),
        handlers=HANDLERS,
        folded=folded,
        unsupported=lambda node: unsupported(node, HANDLERS),
        wording=ONNX,
        trimming=frozenset({"Slice"}),
        turning=_TURNING,
        rules=RULES,
    )
