"""The nodes of an ONNX graph as operators, the bodies of its loops and its conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.onnx_reader.file import AGAIN, OnnxFile
from edgernn_export.onnx_reader.wording import ONNX
from edgernn_export.operator_reader.operators import (
    ConditionBranch,
    OperatorNode,
    ValueName,
    leading_to,
)

#: Operators with a body, which runs once for every step.
_WITH_BODY: Final = ("Loop", "Scan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepBody:
    """What a loop runs at every step.

    Attributes:
        inputs: names of what it is given.
        constants: its own weights by name.
        nodes: operators, each behind those that it reads.
        outputs: names of its results.
        captured: names of values of the graph around it that it reads; the loop has them as
            further inputs.
        told: its documentation string.
    """

    inputs: tuple[str, ...]
    constants: Mapping[str, Any]
    nodes: tuple[OperatorNode, ...]
    outputs: tuple[str, ...]
    captured: tuple[str, ...]
    told: str = ""


def nodes_of(file: OnnxFile, graph: Any, findings: Findings) -> list[OperatorNode]:
    """All operators of a graph, with attributes as Python has them.

    Args:
        file: of the graph.
        graph: a GraphProto.
        findings: receives reasons.

    Raises:
        TypeError: names are no texts.
    """
    return _nodes(file, graph, findings, inside=False)


def weights_of(file: OnnxFile, graph: Any, findings: Findings) -> dict[str, Any]:
    """The weights of a graph, by name.

    Args:
        file: of the graph.
        graph: a GraphProto.
        findings: receives reasons.
    """
    constants: dict[str, Any] = {}
    for tensor in graph.initializer:
        try:
            constants[tensor.name] = file.array(tensor)
        except UnsupportedModelError as error:
            findings.reasons += error.reasons
    return constants


def _nodes(file: OnnxFile, graph: Any, findings: Findings, *, inside: bool) -> list[OperatorNode]:
    texts = [name for proto in graph.node for name in (*proto.input, *proto.output)]
    if not all(isinstance(name, str) for name in texts):  # protobuf gives other texts as bytes
        raise TypeError("bytes")
    nodes, names = [], set()
    for place, proto in enumerate(graph.node):
        name = (proto.name or next(iter(proto.output), "") or f"node_{place}").replace("'", "_")
        kind = proto.op_type if proto.domain in ("", "ai.onnx") else (
            f"{proto.domain}.{proto.op_type}"
        )  # fmt: skip
        origin = f"node '{name}' ({kind})"
        twice = [output for output in proto.output if output and output in names]
        if twice:
            findings.add(
                origin, "results that no other node gives", f"{twice[0]!r:.60} twice",
                AGAIN,
            )  # fmt: skip
        names |= set(proto.output)
        attributes = _attributes(proto, file, origin, findings)
        inputs = tuple(ValueName(one) if one else None for one in proto.input)
        if kind in _WITH_BODY and not inside and hasattr(attributes.get("body"), "node"):
            body = _body(file, attributes["body"], findings)
            attributes["body"] = body
            attributes["own_inputs"] = len(inputs)
            inputs += tuple(ValueName(one) for one in body.captured)
        nodes.append(
            OperatorNode(
                kind=kind,
                name=name,
                origin=origin,
                inputs=inputs,
                outputs=tuple(proto.output),
                attributes=attributes,
                version=file.version,
            )
        )
    return nodes


def _body(file: OnnxFile, graph: Any, findings: Findings) -> StepBody:
    """The body of a loop; loops inside it stay what they are, and are refused."""
    constants = weights_of(file, graph, findings)
    nodes = leading_to(
        (one.name for one in graph.output), _nodes(file, graph, findings, inside=True)
    )
    inputs = tuple(one.name for one in graph.input)
    outputs = tuple(one.name for one in graph.output)
    if not all(isinstance(name, str) for name in (*inputs, *outputs, *constants)):
        raise TypeError("bytes")
    known = {*inputs, *constants, *(name for node in nodes for name in node.outputs)}
    read = dict.fromkeys(name for node in nodes for name in node.reads())
    return StepBody(
        inputs=inputs,
        constants=constants,
        nodes=tuple(nodes),
        outputs=outputs,
        captured=tuple(name for name in (*read, *outputs) if name and name not in known),
        told=graph.doc_string,
    )


def _branch(file: OnnxFile, graph: Any) -> ConditionBranch:
    """The operators that a condition may choose."""
    findings = Findings(wording=ONNX)
    constants = weights_of(file, graph, findings)
    nodes = _nodes(file, graph, findings, inside=False)
    return ConditionBranch(
        constants=constants,
        nodes=tuple(nodes),
        outputs=tuple(one.name for one in graph.output),
        reasons=tuple(findings.reasons),
    )


def _attributes(proto: Any, file: OnnxFile, origin: str, findings: Findings) -> dict[str, Any]:
    import onnx

    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        try:
            value = onnx.helper.get_attribute_value(attribute)
            if isinstance(value, onnx.TensorProto):
                value = file.array(value)
            elif isinstance(value, onnx.GraphProto) and proto.op_type == "If":
                value = _branch(file, value)
            elif isinstance(value, bytes):
                value = value.decode("utf-8")
            elif attribute.type == onnx.AttributeProto.STRINGS:
                value = [text.decode("utf-8") for text in value]
        except UnsupportedModelError as error:
            findings.reasons += error.reasons
            continue
        except (TypeError, ValueError):
            findings.add(origin, f"a value of {attribute.name!r:.40}", "none", AGAIN)
            continue
        found[attribute.name] = list(value) if isinstance(value, (tuple, list)) else value
    return found
