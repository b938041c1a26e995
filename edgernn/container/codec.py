"""JSON <-> records: a table says what each member holds; writing follows from the record itself."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from edgernn.container.strict_json import Node
from edgernn.model.formats import MAX_WIDTH, FloatArray

#: Reads what a member holds; raises FormatError where it holds something else.
MemberReader = Callable[[Node], Any]
#: Readers of the members of an object, by name.
Members = Mapping[str, MemberReader]

#: Channels of an input or output as all files name them.
CHANNELS: Final[Members] = {"names": Node.texts, "units": Node.texts}


def integer(low: int, high: int) -> MemberReader:
    """Reads an integer in [low, high]."""
    return lambda node: node.integer(low, high)


def choice(kind: type[enum.Enum]) -> MemberReader:
    """Reads a member of an enumeration, by value."""
    return lambda node: node.choice(kind)


def pairs(second: MemberReader) -> MemberReader:
    """Reads pairs of a text and something else."""

    def read(node: Node) -> tuple[tuple[str, Any], ...]:
        both = (pair.items(2, 2) for pair in node.items())
        return tuple((name.text(), second(value)) for name, value in both)

    return read


def reals(node: Node) -> FloatArray:
    """Reads doubles, each a hexadecimal string."""
    return np.array([item.real() for item in node.items(1, MAX_WIDTH)], dtype=np.float64)


def plain_reals(values: FloatArray) -> list[float]:
    """Python floats of an array; -0.0 becomes 0.0: what compares equal is written alike."""
    plain: list[float] = (values + 0.0).tolist()
    return plain


def to_object(record: object, members: Members) -> dict[str, Any]:
    """The fields of a record that a table names, as JSON values; floats lose no bit."""
    return {name: _plain(getattr(record, name)) for name in members}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return [real.hex() for real in plain_reals(value)]
    return value.hex() if isinstance(value, float) else value


def from_parts(parts: Mapping[str, Node], members: Members) -> dict[str, Any]:
    """The fields that a table names, read in its order.

    Raises:
        FormatError: a member holds something else; names its place.
    """
    return {name: read(parts[name]) for name, read in members.items()}


def from_object(node: Node, members: Members) -> dict[str, Any]:
    """The fields of an object that has exactly the members of a table.

    Raises:
        FormatError: other members, or one holds something else; names its place.
    """
    return from_parts(node.members(*members), members)
