"""Model <-> record and tensors, the content of an .edgernn file (FORMAT.md sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from edgernn.container.codec import (
    CHANNELS,
    Members,
    from_object,
    from_parts,
    pairs,
    to_object,
)
from edgernn.container.defects import FormatDefect, format_error
from edgernn.container.extensions import (
    EXTENSIONS,
    SURROUNDINGS,
    extensions,
    is_extended,
    read_extensions,
    read_surroundings,
    surroundings,
    with_mask,
)
from edgernn.container.frame import SEALED_VERSIONS
from edgernn.container.interface_json import (
    INPUT_PORT,
    OUTPUT_PORT,
    RATE,
    WINDOW,
    read_ports,
    read_vocabulary,
)
from edgernn.container.stored.stored_layers import (
    CHAIN_KINDS,
    NETWORK_VERSION,
    StoredTensors,
    has_unit_scales,
    layer_record,
    layer_tensors,
    read_layer,
)
from edgernn.container.stored.tensors import NamedTensors, SparseBudget, TensorTable
from edgernn.container.strict_json import Node
from edgernn.model.formats import MAX_WIDTH, Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec, Rate, Window
from edgernn.model.layers import Layer
from edgernn.model.routes import MAX_PARTS, MODEL_INPUT, Route, RoutePart
from edgernn.model.storage import Storage

#: Makes a layer of its record and the tensors of its model.
LayerReader = Callable[[Node, StoredTensors], Layer]
#: The version of models with a preparation or decisions: that of networks with two more members.
SURROUNDED_VERSION: Final = "6"
#: The version of models that have what no earlier version holds: that of networks with those of the
#: members of `EXTENSIONS` that the model has.
EXTENDED_VERSION: Final = "7"
#: Inputs of all layers of a network together: what a reader looks at, whatever a file repeats.
MAX_NETWORK_INPUTS: Final = 1 << 20

_OUTPUT: Final[Members] = {**CHANNELS, "softmax": Node.flag}
_PROVENANCE: Final[Members] = {
    "float_model_sha256": Node.text,
    "calibration_sha256": Node.text,
    "seeds": pairs(Node.integer),
    "versions": pairs(Node.text),
    "settings": pairs(Node.text),
}


def sealed_version(model: IntegerModel) -> str:
    """The version that is written: 4 where 3 cannot hold the model, then 6, then 7."""
    if is_extended(model):
        return EXTENDED_VERSION
    if model.preparation is not None or model.decisions is not None:
        return SURROUNDED_VERSION
    network = model.routes or model.input.ports or model.output.ports or model.rate
    layers = model.layers
    if network or any(
        la.kind not in CHAIN_KINDS or has_unit_scales(la) or la.starts for la in layers
    ):
        return NETWORK_VERSION
    return SEALED_VERSIONS[0]


def unsealed_version(model: IntegerModel) -> str:
    """The version without a checksum that could hold an endless chain."""
    return "1" if model.storages <= {Storage.DENSE8} else "2"


def to_record(model: IntegerModel, version: str) -> dict[str, Any]:
    """Everything of a model that is not an array, as JSON values."""
    if version == SURROUNDED_VERSION:
        return to_record(model, NETWORK_VERSION) | surroundings(model)
    if version == EXTENDED_VERSION:
        return to_record(model, NETWORK_VERSION) | extensions(model)
    window = None if model.window is None else to_object(model.window, WINDOW)
    record: dict[str, Any] = {
        **({"window": window} if version in SEALED_VERSIONS else {}),
        "input": to_object(model.input, CHANNELS),
        "layers": [layer_record(layer, version) for layer in model.layers],
        "name": model.name,
        "output": to_object(model.output, _OUTPUT),
        "precision": model.precision.value,
        "provenance": to_object(model.provenance, _PROVENANCE),
    }
    if version == NETWORK_VERSION:
        for reader, route in zip((*record["layers"], record["output"]), model.wiring, strict=True):
            reader["reads"] = [[part.source, part.start, part.width] for part in route]
        if model.input.vocabulary:
            record["input"]["vocabulary"] = list(model.input.vocabulary)
        record["input"]["ports"] = [to_object(port, INPUT_PORT) for port in model.input.ports]
        record["output"]["ports"] = [to_object(port, OUTPUT_PORT) for port in model.output.ports]
        if model.rate is not None:
            record["rate"] = to_object(model.rate, RATE)
    return record


def to_tensors(
    model: IntegerModel, layers: Iterable[Layer] | None = None, budget: SparseBudget | None = None
) -> NamedTensors:
    """All arrays of a model by tensor name, in no particular order.

    Args:
        model: the model.
        layers: those of it whose arrays are stored; all by default.
        budget: of the file; its own by default.

    Raises:
        FormatError: more sparse tiles than a file may have.
    """
    budget = budget or SparseBudget()
    tensors: NamedTensors = {
        # Adding +0.0 turns -0.0 into 0.0: models that compare equal get equal bytes.
        "input/offset": model.input.offset + 0.0,
        "input/scale": model.input.scale,
        "output/scale": model.output.scale,
    }
    for layer in model.layers if layers is None else layers:
        tensors.update(layer_tensors(layer, budget))
    return tensors


def from_record(record: Node, tensors: NamedTensors, version: str) -> IntegerModel:
    """Build the model that a record and its tensors describe.

    Args:
        record: parsed model record.
        tensors: arrays in native byte order.
        version: of the file.

    Raises:
        FormatError: the record, a tensor's name, dtype or shape is not as FORMAT.md says.
        ModelError: the parts are well formed, but the model contradicts itself.
    """
    table = TensorTable(tensors)
    around: dict[str, Any] = {}
    if version == SURROUNDED_VERSION:
        around = read_surroundings(record)
        members = {key: value for key, value in record.value.items() if key not in SURROUNDINGS}
        record, version = Node(record.owner, members), NETWORK_VERSION
    elif version == EXTENDED_VERSION:
        around = read_extensions(record)
        members = {key: value for key, value in record.value.items() if key not in EXTENSIONS}
        record, version = Node(record.owner, members), NETWORK_VERSION
    fields = model_fields(record, table, SparseBudget(), version)
    fields["input"], fields["output"] = with_mask(around, fields["input"], fields["output"])
    fields |= around
    table.check_all_used()
    if version == NETWORK_VERSION:
        check_network_inputs(fields["layers"])
    return IntegerModel(**fields)


def model_fields(
    record: Node,
    table: TensorTable,
    budget: SparseBudget,
    version: str,
    read: LayerReader = read_layer,
) -> dict[str, Any]:
    """The fields of the model that a record and its tensors describe.

    Args:
        record: parsed model record.
        table: tensors of the model.
        budget: of the file.
        version: of the record.
        read: reads a layer.

    Raises:
        FormatError: the record, a tensor's name, dtype or shape is not as FORMAT.md says.
        ModelError: the parts are well formed, but contradict themselves.
    """
    sealed, network = version in SEALED_VERSIONS, version == NETWORK_VERSION
    members = record.keys()
    rated = network and "rate" in members
    top = record.members(
        "input", "layers", "name", "output", "precision", "provenance", *["window"] * sealed,
        *["rate"] * rated,
    )  # fmt: skip
    precision = top["precision"].choice(Precision)
    file = StoredTensors(precision=precision, version=version, table=table, budget=budget)
    nodes = top["layers"].items(low=1)
    windowed = sealed and top["window"].value is not None
    return {
        "layers": tuple(read(node, file) for node in nodes),
        "input": _read_input(top["input"], table, network),
        "output": _read_output(top["output"], table, network),
        "provenance": Provenance(**from_object(top["provenance"], _PROVENANCE)),
        "name": top["name"].text(),
        "precision": precision,
        "window": Window(**from_object(top["window"], WINDOW)) if windowed else None,
        "routes": tuple(map(_read_route, (*nodes, top["output"]))) if network else (),
        "rate": Rate(**from_object(top["rate"], RATE)) if rated else None,
    }


def check_network_inputs(layers: Sequence[Layer]) -> None:
    """Refuse networks whose layers read more than a reader looks at.

    Raises:
        FormatError: BAD_RECORD.
    """
    total = sum(layer.inputs for layer in layers)
    if total > MAX_NETWORK_INPUTS:
        raise format_error(
            FormatDefect.BAD_RECORD,
            "model.layers",
            expected=f"at most {MAX_NETWORK_INPUTS} inputs in total over all layers of a network",
            got=str(total),
        )


def _read_route(reader: Node) -> Route:
    parts = [part.items(3, 3) for part in reader.member("reads").items(1, MAX_PARTS)]
    return tuple(
        RoutePart(
            source=source.integer(MODEL_INPUT, MAX_WIDTH),
            start=start.integer(0, MAX_WIDTH),
            width=width.integer(1, MAX_WIDTH),
        )
        for source, start, width in parts
    )


def _read_input(node: Node, table: TensorTable, network: bool) -> InputSpec:
    members = node.keys()
    tokens = network and "vocabulary" in members
    parts = node.members(*CHANNELS, *["ports"] * network, *["vocabulary"] * tokens)
    fields = from_parts(parts, CHANNELS)
    ports = read_ports(parts["ports"], INPUT_PORT) if network else ()
    if tokens:
        fields["vocabulary"] = read_vocabulary(parts["vocabulary"])
    width = (len(fields["names"]),)
    scale, offset = (table.take(f"input/{name}", np.float64, width) for name in ("scale", "offset"))
    return InputSpec(**fields, scale=scale, offset=offset, ports=ports)


def _read_output(node: Node, table: TensorTable, network: bool) -> OutputSpec:
    parts = node.members(*_OUTPUT, *["ports", "reads"] * network)
    fields = from_parts(parts, _OUTPUT)
    ports = read_ports(parts["ports"], OUTPUT_PORT) if network else ()
    scale = table.take("output/scale", np.float64, (len(fields["names"]),))
    return OutputSpec(**fields, scale=scale, ports=ports)
