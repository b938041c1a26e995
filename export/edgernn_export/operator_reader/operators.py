"""An operator of a graph as a format gives it, and what a handler asks of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.model.formats import FloatArray
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, fixed, is_constant

_AGAIN = "Export the network again."


@dataclass(frozen=True, slots=True)
class ValueName:
    """A value by its name in the graph."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatorNode:
    """An operator with the names of what it reads and gives.

    Attributes:
        kind: what the format calls the operator.
        name: of the node.
        origin: how reasons name it; it holds the name in single quotes.
        inputs: references, None, and other values as the format writes them, in any nesting.
        outputs: names of its results; "" for those that nothing reads.
        attributes: by name.
        version: of the set of operators.
    """

    kind: str
    name: str
    origin: str
    inputs: tuple[Any, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    version: int = 0

    @property
    def branches(self) -> dict[str, ConditionBranch]:
        """What a condition chooses from, by name of the attribute; none for other operators."""
        return {
            key: one for key, one in self.attributes.items() if isinstance(one, ConditionBranch)
        }

    def reads(self) -> Iterator[str]:
        """Names of all that it reads, or that operators in its branches read."""
        yield from _references(self.inputs)
        for branch in self.branches.values():
            yield from branch.reads()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConditionBranch:
    """Operators that a condition chooses, which see all values around them.

    Attributes:
        constants: its weights, by name.
        nodes: operators, each behind those that it reads.
        outputs: names of its results, own ones or others.
        reasons: what is wrong with it, which matters only where it is chosen.
    """

    constants: Mapping[str, Any]
    nodes: tuple[OperatorNode, ...]
    outputs: tuple[str, ...]
    reasons: tuple[str, ...] = ()

    def own(self) -> set[str]:
        """Names of all values that it makes."""
        return {*self.constants, *(name for node in self.nodes for name in node.outputs if name)}

    def reads(self) -> set[str]:
        """Names of all values around it that it reads."""
        read = {name for node in self.nodes for name in node.reads()}
        return (read | set(self.outputs)) - self.own()


def leading_to(outputs: Iterable[str], nodes: Sequence[OperatorNode]) -> list[OperatorNode]:
    """The operators that values are made of, in their order."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(filter(None, node.outputs)):
            found.append(node)
            wanted |= set(node.reads())
    return found[::-1]


def unknown_operator(
    node: OperatorNode, known: Iterable[str], cures: Mapping[str, str], page: str
) -> OperatorRefused:
    """The reason for an operator that nothing reads.

    Args:
        node: the operator.
        known: kinds that are read.
        cures: of single kinds, by name.
        page: of the documentation, which lists the kinds that are read.
    """
    near = difflib.get_close_matches(node.kind, list(known), cutoff=0.6)
    such = f", such as {', '.join(near)}" if near else ""
    cure = cures.get(node.kind, "Train with a supported operator instead.")
    return OperatorRefused(f"a supported operator ({page}){such}", node.kind, cure)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, ValueName):
        yield value.name
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _references(item)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operator:
    """A node with the values that it is given.

    Attributes:
        node: the node.
        inputs: `GraphValue`s, and whatever else the format passes.
    """

    node: OperatorNode
    inputs: tuple[Any, ...]

    @property
    def kind(self) -> str:
        """What the format calls it."""
        return self.node.kind

    @property
    def version(self) -> int:
        """Of the set of operators."""
        return self.node.version

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where it is left out."""
        return self.node.attributes.get(name, default)

    def given(self, index: int) -> Any:
        """An input; None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def traced(self, index: int) -> Traced:
        """An input that depends on the readings.

        Raises:
            OperatorRefused: it does not.
        """
        value = self.given(index)
        if isinstance(value, Traced):
            return value
        got = "no input" if value is None else "a constant"
        raise OperatorRefused(f"an input {index + 1} that depends on the readings", got, _AGAIN)

    def constant(self, index: int) -> NDArray[Any]:
        """An input that is constant; sizes as integers where all are fixed.

        Raises:
            OperatorRefused: it is no constant.
        """
        value = self.given(index)
        if is_constant(value):
            return fixed(value)
        got = "no input" if value is None else "one computed of the readings"
        raise OperatorRefused(
            f"a constant as input {index + 1}", got,
            "Train with weights and parameters that do not depend on the readings.",
        )  # fmt: skip

    def floats(self, index: int) -> FloatArray:
        """A constant input in float64.

        Raises:
            OperatorRefused: it holds no numbers.
        """
        return numbers(self.constant(index))

    def integers(self, index: int, name: str = "", default: Any = None) -> list[int] | None:
        """Integers of an input, or of the attribute that older versions have instead."""
        if self.given(index) is not None:
            return [int(one) for one in self.constant(index).reshape(-1)]
        value = self.attribute(name, default) if name else default
        return None if value is None else [int(one) for one in np.atleast_1d(value)]


def numbers(values: NDArray[Any]) -> FloatArray:
    """Real numbers in float64.

    Raises:
        OperatorRefused: they are none.
    """
    if values.dtype.kind not in "biuf" and "float" not in values.dtype.name:
        raise OperatorRefused("real numbers", f"values of type {values.dtype.name}", _AGAIN)
    return values.astype(np.float64)


#: What makes of an operator its results.
Handler = Callable[[CallTrace, Operator], Sequence[Any]]
