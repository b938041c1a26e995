"""Set of programs <-> record and tensors (FORMAT.md 4.14 and 4.15)."""

from __future__ import annotations

from typing import Any, Final

from edgernn.container.codec import from_object, to_object
from edgernn.container.frame import SEALED_VERSIONS
from edgernn.container.programs_json import HANDOVER
from edgernn.container.stored.record import (
    check_network_inputs,
    model_fields,
    to_record,
    to_tensors,
)
from edgernn.container.stored.stored_layers import NETWORK_VERSION, StoredTensors, read_layer
from edgernn.container.stored.tensors import NamedTensors, SparseBudget, TensorTable, program_prefix
from edgernn.container.strict_json import Node
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.program_set import MAX_PROGRAMS, Handover, ProgramSet

#: The version that holds sets of programs, each as a network.
PROGRAMS_VERSION: Final = SEALED_VERSIONS[-1]
#: The member of a layer's record that says which program has the layer.
_SHARED: Final = "shared"


def programs_record(programs: ProgramSet) -> dict[str, Any]:
    """Everything of a set that is not an array, as JSON values."""
    records, owners = [], programs.owners
    for model in programs.programs:
        record = to_record(model, NETWORK_VERSION)
        for index, layer in enumerate(model.layers):
            owner = owners[model.name, layer.name]
            if owner != model.name:
                reads = record["layers"][index]["reads"]
                record["layers"][index] = {"name": layer.name, "reads": reads, _SHARED: owner}
        records.append(record)
    return {
        "name": programs.name,
        "programs": records,
        "handovers": [to_object(handover, HANDOVER) for handover in programs.handovers],
    }


def programs_tensors(programs: ProgramSet) -> NamedTensors:
    """All arrays of a set by tensor name, in no particular order; those of equal layers once.

    Raises:
        FormatError: more sparse tiles than a file may have.
    """
    budget, tensors, owners = SparseBudget(), NamedTensors(), programs.owners
    for model in programs.programs:
        own = [layer for layer in model.layers if owners[model.name, layer.name] == model.name]
        for name, tensor in to_tensors(model, own, budget).items():
            tensors[f"{program_prefix(model.name)}{name}"] = tensor
    return tensors


def programs_from_record(record: Node, tensors: NamedTensors) -> ProgramSet:
    """Build the set that a record and its tensors describe.

    Args:
        record: parsed record.
        tensors: arrays in native byte order.

    Raises:
        FormatError: the record, a tensor's name, dtype or shape is not as FORMAT.md says.
        ModelError: the parts are well formed, but a model or the set contradicts itself.
    """
    top = record.members("name", "programs", "handovers")
    table, budget = TensorTable(tensors), SparseBudget()
    layers: dict[str, dict[str, Layer]] = {}

    def read(node: Node, file: StoredTensors) -> Layer:
        shared = _SHARED in set(node.keys())
        return _shared_layer(node, layers) if shared else read_layer(node, file)

    programs = []
    for node in top["programs"].items(2, MAX_PROGRAMS):
        name = node.member("name").text()
        of_program = table.of_program(name)
        fields = model_fields(node, of_program, budget, NETWORK_VERSION, read)
        layers[name] = {layer.name: layer for layer in fields["layers"]}
        programs.append(fields)
    handovers = [Handover(**from_object(n, HANDOVER)) for n in top["handovers"].items()]
    table.check_all_used()
    check_network_inputs([layer for fields in programs for layer in fields["layers"]])
    return ProgramSet(
        name=top["name"].text(),
        programs=tuple(IntegerModel(**fields) for fields in programs),
        handovers=tuple(handovers),
    )


def _shared_layer(node: Node, layers: dict[str, dict[str, Layer]]) -> Layer:
    """The layer of an earlier program that a record names."""
    parts = node.members("name", "reads", _SHARED)
    name, program = parts["name"].text(), parts[_SHARED].text()
    if program not in layers:
        raise parts[_SHARED].refuse(f"an earlier program ({', '.join(layers) or 'none'})")
    if name not in layers[program]:
        raise parts["name"].refuse(f"a layer of {program} ({', '.join(layers[program])})")
    return layers[program][name]
