"""What an operation is: values in, one value out, and what the checks of all of them share."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from edgernn.model.formats import QFormat


class Function(enum.Enum):
    """Functions of one value (section 3, clauses 7.1 and 8.1)."""

    LINEAR = "linear"
    RELU = "relu"
    TANH = "tanh"
    SIGMOID = "sigmoid"
    HARD_SIGMOID = "hard_sigmoid"

    @property
    def bounded(self) -> bool:
        """Reads Q5.10 and gives Q0.15; the others keep the format they read."""
        return self in (Function.TANH, Function.SIGMOID, Function.HARD_SIGMOID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A vector of codes in a graph.

    Attributes:
        name: unique in the graph; what reports call it.
        width: number of codes.
        format: fixed-point format of an int16 value; None where only the border knows the scale
            (model inputs, outputs of linear and relu Dense layers) and for operands.
        operand: operand codes of clauses 2.3 and 2.7, which matrix products read, not a value.
    """

    name: str
    width: int
    format: QFormat | None
    operand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Op(ABC):
    """One operation; the docstring of its class names its clause.

    Attributes:
        result: the value it defines, before those that `beside` names.
    """

    kind: ClassVar[str]

    result: Value

    @property
    @abstractmethod
    def reads(self) -> tuple[Value, ...]:
        """The values it reads."""

    @property
    def beside(self) -> tuple[Value, ...]:
        """Values that it defines in addition to its result."""
        return ()

    @abstractmethod
    def defect(self) -> str | None:
        """What breaks the clause, as "expected …, got …"; None if nothing does."""


def said(values: tuple[Value, ...]) -> str:
    """Values as messages name them."""
    return ", ".join(f"{v.name}[{v.width}] {'operand' if v.operand else v.format}" for v in values)


def no_operands(op: Op) -> str | None:
    """A defect, unless an operation reads and makes values alone."""
    if any(value.operand for value in (op.result, *op.reads)):
        return f"expected values, got {said((op.result, *op.reads))}"
    return None


def equal_widths(result: Value, *widths: int) -> str | None:
    """A defect, unless the result has this width, or all of these."""
    if {result.width, *widths} != {result.width}:
        return f"expected a width of {widths[0]}, got {sorted({result.width, *widths})}"
    return None


def equal_formats(*values: Value) -> str | None:
    """A defect, unless all are operands, or values of one format."""
    if len({(value.operand, value.format) for value in values}) > 1:
        return f"expected one format, got {said(values)}"
    return None
