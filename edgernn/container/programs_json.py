"""Interfaces of programs that share states as JSON: the metadata inside their .tflite file."""

from __future__ import annotations

import json
from typing import Any, Final

from edgernn.container import interface_json, strict_json
from edgernn.container.codec import Members, from_parts, to_object
from edgernn.container.defects import FormatDefect
from edgernn.container.strict_json import Node
from edgernn.errors import FormatError, ModelError
from edgernn.model.interface import Interface
from edgernn.model.program_set import MAX_PROGRAMS, Handover, ProgramInterfaces

#: Version of this JSON; the interfaces in it have versions of their own.
PROGRAMS_VERSION: Final = 1
#: A handover, in .edgernn files too.
HANDOVER: Final[Members] = {
    "program": Node.text, "state": Node.text, "source": Node.text, "value": Node.text,
}  # fmt: skip
_VERSION: Final = "edgernn_programs"


def dumps(programs: ProgramInterfaces) -> str:
    """Canonical JSON of what a session must know: same programs, same text.

    Each handover says its shift (clause 6.10), for programs that read the metadata without edgernn.
    """
    record: dict[str, Any] = {
        _VERSION: PROGRAMS_VERSION,
        "name": programs.name,
        "programs": [interface_json.to_record(interface) for interface in programs.programs],
        "handovers": [
            {**to_object(handover, HANDOVER), "shift": programs.shift(handover)}
            for handover in programs.handovers
        ],
        "sha256": programs.sha256,
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
    parts = top.members(_VERSION, "name", "programs", "handovers", "sha256")
    version = parts[_VERSION].integer()
    if version != PROGRAMS_VERSION:
        raise FormatError(
            f"interface: expected version {PROGRAMS_VERSION} for programs, got {version}. "
            "Export the programs again with this version of edgernn."
        )
    nodes = [node.members(*HANDOVER, "shift") for node in parts["handovers"].items()]
    try:
        programs = ProgramInterfaces(
            name=parts["name"].text(),
            programs=tuple(
                interface_json.from_node(node) for node in parts["programs"].items(2, MAX_PROGRAMS)
            ),
            handovers=tuple(Handover(**from_parts(node, HANDOVER)) for node in nodes),
            sha256=parts["sha256"].text(),
        )
    except ModelError as error:
        raise FormatError(f"interface: {error} Export the programs again.") from error
    for node, handover in zip(nodes, programs.handovers, strict=True):
        shift = programs.shift(handover)
        node["shift"].integer(shift, shift)
    return programs
