"""Set of programs <-> record and tensors (FORMAT.md 4.14 and 4.15)."""

from __future__ import annotations

from typing import Any, Final

from edgernn.container.codec import from_object, to_object
from edgernn.container.frame import SEALED_VERSIONS
from edgernn.container.programs_json import CHUNK, HANDOVER, chunk_record, read_chunk
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
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import MAX_PROGRAMS, ProgramSet

#: The version that holds sets of programs, each as a network.
PROGRAMS_VERSION: Final = SEALED_VERSIONS[2]
#: The version that holds sets whose programs are passes over a chunk.
PASSES_VERSION: Final = SEALED_VERSIONS[4]
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
        **({} if programs.chunk is None else {CHUNK: chunk_record(programs.chunk)}),
    }


def programs_version(programs: ProgramSet) -> str:
    """The version that a set is written in."""
    return PROGRAMS_VERSION if programs.chunk is None else PASSES_VERSION


def holds_programs(version: str, record: Node) -> bool:
    """Whether a file holds a set, not one model."""
    if version == PASSES_VERSION:
        return "programs" in set(record.keys())
    return version == PROGRAMS_VERSION


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


def programs_from_record(record: Node, tensors: NamedTensors, version: str) -> ProgramSet:
    """Build the set that a record and its tensors describe.

    Args:
        record: parsed record.
        tensors: arrays in native byte order.
        version: of the file.

    Raises:
        FormatError: the record, a tensor's name, dtype or shape is not as FORMAT.md says.
        ModelError: the parts are well formed, but a model or the set contradicts itself.
    """
    members = ("name", "programs", "handovers")
    top = record.members(*members, *([CHUNK] if version == PASSES_VERSION else []))
    table, budget = TensorTable(tensors), SparseBudget()
    layers: dict[str, dict[str, Layer]] = {}

    def read(node: Node, file: StoredTensors) -> Layer:
        shared = _SHARED in set(node.keys())
        return _shared_layer(node, layers) if shared else read_layer(node, file)

    programs = []
    for node in top["programs"].items(1 if CHUNK in top else 2, MAX_PROGRAMS):
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
        chunk=read_chunk(top[CHUNK]) if CHUNK in top else None,
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
