"""What records of models have in addition to the network, in .edgernn files and in metadata.

A member is absent or null where a model has nothing of the kind; which of the two, the version
says (FORMAT.md 4.19 and 4.20).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from edgernn.container.codec import Members, from_object
from edgernn.container.strict_json import Node
from edgernn.errors import DeclarationError
from edgernn.model.formats import INT16_MAX, INT16_MIN, MAX_WIDTH

if TYPE_CHECKING:
    from edgernn.model.integer_model import IntegerModel
    from edgernn.model.interface import InputSpec, Interface, OutputSpec

#: What surrounds a model: null, or the text of a declaration.
SURROUNDINGS: Final = ("preparation", "decisions")
#: Members of which a record of version 7 has at least one.
_NEW: Final = ("symbols", "mask", "adaptation")
#: Those that are declarations: the text of one.
_DECLARED: Final = (*SURROUNDINGS, "symbols", "adaptation")
#: Members that a record of version 7 has where the model has something of the kind.
EXTENSIONS: Final = (*SURROUNDINGS, *_NEW)


class _Mask(NamedTuple):
    """What a record has of a mask: the masked value, and the output before the first step."""

    value: float
    output: tuple[int, ...]


def _codes(node: Node) -> tuple[int, ...]:
    """Reads output codes."""
    return tuple(code.integer(INT16_MIN, INT16_MAX) for code in node.items(1, MAX_WIDTH))


_MASK: Final[Members] = {"value": Node.real, "output": _codes}


class _Declared(Protocol):
    """A class of declarations."""

    def from_json(self, text: str, /) -> Any:
        """Read the text of a declaration."""
        ...


def is_extended(owner: Interface | IntegerModel) -> bool:
    """Whether no version before 7 holds a model."""
    return any(name in _NEW for name in extensions(owner))


def surroundings(owner: Interface | IntegerModel) -> dict[str, str | None]:
    """The preparation and the decisions of a model as JSON values."""
    return {**dict.fromkeys(SURROUNDINGS), **_texts(owner, SURROUNDINGS)}


def extensions(owner: Interface | IntegerModel) -> dict[str, Any]:
    """What a record of version 7 has in addition, as JSON values."""
    found: dict[str, Any] = _texts(owner, _DECLARED)
    if owner.input.mask is not None:
        found["mask"] = {"value": owner.input.mask.hex(), "output": list(owner.output.masked)}
    return found


def _texts(owner: Interface | IntegerModel, names: tuple[str, ...]) -> dict[str, str]:
    found = {name: getattr(owner, name) for name in names}
    return {name: value.to_json() for name, value in found.items() if value is not None}


def read_surroundings(top: Node) -> dict[str, Any]:
    """What `surroundings` wrote.

    Raises:
        FormatError: it is none of that, or both are null.
    """
    nodes = {name: top.member(name) for name in SURROUNDINGS}
    found = {
        name: None if node.value is None else _read(name, node) for name, node in nodes.items()
    }
    if found["preparation"] is found["decisions"]:
        raise top.refuse("a preparation or decisions")
    return found


def read_extensions(top: Node) -> dict[str, Any]:
    """What `extensions` wrote.

    Raises:
        FormatError: another member, or none of those that only version 7 has.
    """
    members = top.keys()
    if not any(name in members for name in _NEW):
        raise top.refuse(f"{' or '.join(_NEW)} in version 7")
    return {name: _read(name, top.member(name)) for name in EXTENSIONS if name in members}


def _read(name: str, node: Node) -> Any:
    """A declaration, or a mask."""
    if name == "mask":
        return _Mask(**from_object(node, _MASK))
    try:
        return _kind(name).from_json(node.text())
    except DeclarationError as error:
        reasons = " ".join(error.reasons)
        raise node.refuse(f"valid {name} ({reasons:.300})") from error


def _kind(name: str) -> _Declared:
    from edgernn.adapt.adaptation import Adaptation
    from edgernn.decide.decisions import Decisions
    from edgernn.model.border.symbols import Symbols
    from edgernn.prepare.preparation import Preparation

    kinds: dict[str, _Declared] = {
        "adaptation": Adaptation,
        "decisions": Decisions,
        "preparation": Preparation,
        "symbols": Symbols,
    }
    return kinds[name]


def with_mask(
    found: dict[str, Any], source: InputSpec, sink: OutputSpec
) -> tuple[InputSpec, OutputSpec]:
    """Channels with the mask that `read_extensions` found, which is taken out.

    Args:
        found: changed.
        source: input channels without a mask.
        sink: output channels without one.
    """
    mask: _Mask | None = found.pop("mask", None)
    if mask is None:
        return source, sink
    return replace(source, mask=mask.value), replace(sink, masked=mask.output)
