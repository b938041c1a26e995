"""What else than vectors flows in the body of a loop: counters, conditions, readings and lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgernn_export.operator_reader.values import Traced


@dataclass(frozen=True, slots=True)
class Iteration:
    """The number of the step, and an offset."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Permission:
    """A condition that holds as long as numbers are below others.

    Attributes:
        bounds: offsets to the number of the step, and what the sums must be below.
    """

    bounds: tuple[tuple[int, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class StepOf:
    """What a loop is given one step of at a time.

    Attributes:
        value: with all steps.
        turned: the loop begins with the last one.
    """

    value: Traced
    turned: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RowList:
    """A list to which a loop appends a row at every step.

    Attributes:
        rows: with axes (steps, streams, features); None while it is empty.
    """

    rows: Traced | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value of which nothing is known.

    Attributes:
        kind: of the operator that gave it; "" where none did.
    """

    kind: str
