"""What a loop is made of, and what its operators give that is no vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgernn_export.operator_reader.operators import OperatorNode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoopGraph:
    """The graph of a body or of a condition.

    Attributes:
        inputs: names of values.
        outputs: as well.
        nodes: operators, each behind those that it reads.
        constants: by name.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: Sequence[OperatorNode]
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepCount:
    """The number of the step, and an offset."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Numbers in a row, of which the first one counts the steps.

    Attributes:
        count: the first number.
        rest: the others.
    """

    count: StepCount
    rest: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StepLimit:
    """A condition that holds as long as counters are below numbers.

    Attributes:
        bounds: offsets of counters, and what they must be below.
    """

    bounds: tuple[tuple[int, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows that a loop fills, step by step.

    Attributes:
        count: of the rows.
        part: which ones: "all", those "before" the step, or those "behind" it.
        written: the name of what the step puts in; "" before it does.
    """

    count: int
    part: str = "all"
    written: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value of which nothing is known.

    Attributes:
        kind: of the operator that gave it.
    """

    kind: str
