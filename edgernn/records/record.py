"""One reading as returned by a reader."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edgernn.errors import ReadingError

Number = int | float


class Form(enum.Enum):
    """What a reading looks like; answers come back in the same form."""

    OBJECT = "values by name"
    LIST = "values in order"
    NUMBER = "one value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line that should hold a reading.

    Attributes:
        x: one number per channel [I]; NaN where the cell holds none.
        problem: what is wrong with the line; None where every channel has a finite number.
        malformed: no cell of the line can be trusted; ``x`` is all NaN.
        form: of the line.
        passed: what goes through to the output, by column name, by position from 1 where columns
            have no names.
    """

    x: list[Number]
    problem: ReadingError | None = None
    malformed: bool = False
    form: Form = Form.LIST
    passed: Mapping[str | int, object] = field(default_factory=dict)


class Reader(Protocol):
    """One text format; an instance sees every line of one file in order."""

    def read(self, line: str) -> Record | None:
        """The reading of a line, or None where the line is a header.

        Raises:
            EdgeRnnError: the file cannot be used at all.
        """
        ...

    def header_names(self, record: Record | None) -> Sequence[str] | None:
        """Names of the columns that go through, for a header of the answers.

        Args:
            record: what `read` just returned.

        Returns:
            None where the table has no names.
        """
        ...

    def advice(self, lines: list[str]) -> str:
        """The likely reason why none of these lines is a reading, and its fix; "" if unknown."""
        ...
