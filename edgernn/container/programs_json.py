"""Interfaces of programs, and plans of passes, as JSON: the metadata inside their .tflite file."""

from __future__ import annotations

import json
from typing import Any, Final

from edgernn.container import interface_json, strict_json
from edgernn.container.codec import Members, choice, from_object, from_parts, integer, to_object
from edgernn.container.defects import FormatDefect
from edgernn.container.strict_json import Node
from edgernn.errors import FormatError, ModelError
from edgernn.model.interface import Interface
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.passes import (
    MAX_CHUNK_STEPS,
    MAX_READS,
    ChunkPlan,
    Pass,
    PassDirection,
    Read,
)
from edgernn.model.program_sets.program_set import MAX_PROGRAMS, ProgramInterfaces

#: Versions of this JSON: 1 for programs over a stream, 2 for passes over a chunk. The interfaces in
#: it have versions of their own.
PROGRAMS_VERSION: Final = 1
PASSES_VERSION: Final = 2
#: A handover, in .edgernn files too.
HANDOVER: Final[Members] = {
    "program": Node.text, "state": Node.text, "source": Node.text, "value": Node.text,
}  # fmt: skip
#: The member of a set that holds its plan.
CHUNK: Final = "chunk"
_READ: Final[Members] = {"source": Node.text, "value": Node.text, "last": Node.flag}
_PASS: Final[Members] = {"program": Node.text, "direction": choice(PassDirection)}
_PLAN: Final[Members] = {
    "max_steps": integer(1, MAX_CHUNK_STEPS),
    "min_steps": integer(1, MAX_CHUNK_STEPS),
    "sequence": Node.flag,
}
_VERSION: Final = "edgernn_programs"


def dumps(programs: ProgramInterfaces) -> str:
    """Canonical JSON of what a session must know: same programs, same text.

    Each handover says its shift (clause 6.10), for programs that read the metadata without edgernn.
    """
    record: dict[str, Any] = {
        _VERSION: PROGRAMS_VERSION if programs.chunk is None else PASSES_VERSION,
        "name": programs.name,
        "programs": [interface_json.to_record(interface) for interface in programs.programs],
        "handovers": [
            {**to_object(handover, HANDOVER), "shift": programs.shift(handover)}
            for handover in programs.handovers
        ],
        "sha256": programs.sha256,
        **({} if programs.chunk is None else {CHUNK: chunk_record(programs.chunk)}),
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(text: str | bytes) -> Interface | ProgramInterfaces:
    """Parse and check what `dumps` wrote, or `interface_json.dumps`.

    Raises:
        FormatError: anything else.
    """
    top = strict_json.loads(text, "interface", reals=True)
    members = top.keys()
    return _read(top) if _VERSION in members else interface_json.from_node(top)


def one_interface(found: Interface | ProgramInterfaces, program: str = "") -> Interface:
    """The interface of one program, or of the only model.

    Args:
        found: what `loads` gave.
        program: its name; "" for the only model.

    Raises:
        FormatError: there are several and none is named, or one and a program is (WRONG_KIND).
        ModelError: no such program.
    """
    if isinstance(found, ProgramInterfaces):
        if program:
            return found[program]
        expected, got = "one model", f"programs that share states ({', '.join(found.names)})"
        cure = f"Load all of them with edgernn.load, or pass program={found.names[0]!r}"
    elif not program:
        return found
    else:
        expected, got, cure = f"programs, {program!r:.40} among them", "one model", "Omit it"
    raise FormatError(f"expected {expected}, got {got}. {cure}.", defect=FormatDefect.WRONG_KIND)


def _read(top: Node) -> ProgramInterfaces:
    version = top.member(_VERSION).integer()
    members = (_VERSION, "name", "programs", "handovers", "sha256")
    parts = top.members(*members, *([CHUNK] if version == PASSES_VERSION else []))
    if version not in (PROGRAMS_VERSION, PASSES_VERSION):
        raise FormatError(
            f"interface: expected version {PROGRAMS_VERSION} or {PASSES_VERSION} for programs, got "
            f"{version}. "
            "Export the programs again with this version of edgernn."
        )
    nodes = [node.members(*HANDOVER, "shift") for node in parts["handovers"].items()]
    try:
        programs = ProgramInterfaces(
            name=parts["name"].text(),
            programs=tuple(
                interface_json.from_node(node)
                for node in parts["programs"].items(1 if CHUNK in parts else 2, MAX_PROGRAMS)
            ),
            handovers=tuple(Handover(**from_parts(node, HANDOVER)) for node in nodes),
            chunk=read_chunk(parts[CHUNK]) if CHUNK in parts else None,
            sha256=parts["sha256"].text(),
        )
    except ModelError as error:
        raise FormatError(f"interface: {error} Export the programs again.") from error
    for node, handover in zip(nodes, programs.handovers, strict=True):
        shift = programs.shift(handover)
        node["shift"].integer(shift, shift)
    return programs


def chunk_record(plan: ChunkPlan) -> dict[str, Any]:
    """A plan as JSON values."""
    passes = [
        to_object(one, _PASS) | {"reads": [to_object(read, _READ) for read in one.reads]}
        for one in plan.passes
    ]
    return to_object(plan, _PLAN) | {"passes": passes}


def read_chunk(node: Node) -> ChunkPlan:
    """The plan that `chunk_record` wrote.

    Raises:
        FormatError: another form; names its place.
        ModelError: lengths that contradict each other.
    """
    parts = node.members(*_PLAN, "passes")
    passes = []
    for item in parts["passes"].items(1, MAX_PROGRAMS):
        own = item.members(*_PASS, "reads")
        reads = own["reads"].items(1, MAX_READS)
        passes.append(
            Pass(
                **from_parts(own, _PASS),
                reads=tuple(Read(**from_object(read, _READ)) for read in reads),
            )
        )
    return ChunkPlan(**from_parts(parts, _PLAN), passes=tuple(passes))
