"""Conditions in a graph of operators: the operators that are chosen take their places.

A condition is decided when the file is read, by constants, by the values and shapes that inputs are
told to have, and by the number of axes. The branch that is not chosen is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edgernn_export.operator_reader.operators import (
    ConditionBranch,
    Operator,
    OperatorNode,
    ValueName,
)
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import fixed, is_constant

#: The operator that gives what it is given, which every format with conditions has.
SAME: Final = "Identity"
#: The branches of a condition that holds, and of one that does not.
CHOICES: Final = {True: "then_branch", False: "else_branch"}

#: Walks through a graph, each of which decides the conditions that earlier ones made known.
MOST_WALKS: Final = 100


@dataclass(slots=True, eq=False)
class Outcomes:
    """What conditions come to, in one walk through a graph.

    Attributes:
        found: by identity of the operator.
    """

    found: dict[int, bool]

    def noted(self, _: CallTrace, operator: Operator) -> list[Any]:
        """Note what a condition comes to, as a handler of it.

        Raises:
            OperatorRefused: always; what it chooses is looked at in the next walk.
        """
        value = operator.given(0)
        known = fixed(value) if is_constant(value) else None
        if known is not None and known.size == 1 and known.dtype != object:
            self.found[id(operator.node)] = bool(known.reshape(())[()])
        raise OperatorRefused("a condition that is decided", "one that is not yet", "")


def chosen(
    nodes: Iterable[OperatorNode], outcomes: Mapping[int, bool], start: int
) -> tuple[list[OperatorNode], dict[str, Any], list[str]]:
    """Operators with those of the branches that are chosen in the places of their conditions.

    Args:
        nodes: operators and conditions.
        outcomes: of conditions, by identity.
        start: a number for the names of values in branches, another one in each walk.

    Returns:
        Operators, weights of branches, and what is wrong with the branches that are chosen.
    """
    made: list[OperatorNode] = []
    constants: dict[str, Any] = {}
    reasons: list[str] = []
    for place, node in enumerate(nodes):
        if id(node) not in outcomes:
            made.append(node)
            continue
        branch = node.branches.get(CHOICES[outcomes[id(node)]])
        if branch is None:
            key = CHOICES[outcomes[id(node)]]
            reasons.append(f"{node.origin}: expected a {key}, got none. Export the network again.")
            continue
        reasons += branch.reasons
        names = {name: f"{name}#{start}.{place}" for name in branch.own()}
        constants |= {names[name]: value for name, value in branch.constants.items()}
        made += [_renamed(one, names) for one in branch.nodes]
        made += [
            OperatorNode(
                kind=SAME,
                name=node.name,
                origin=node.origin,
                inputs=(ValueName(names.get(inner, inner)),),
                outputs=(outer,),
                attributes={},
                version=node.version,
            )
            for inner, outer in zip(branch.outputs, node.outputs, strict=False)
            if outer
        ]
    return made, constants, reasons


def undecided(
    nodes: Iterable[OperatorNode], inputs: Mapping[str, tuple[bool, bool]]
) -> tuple[list[OperatorNode], Callable[[CallTrace, Operator], list[Any]]]:
    """Operators with conditions that read nothing, and the handler that refuses these.

    Args:
        nodes: operators and conditions that no outcome is known of.
        inputs: by name of an input: whether it holds integers or truth values, and whether one of
            its sizes is open.
    """
    listed = list(nodes)
    makers = {name: node for node in listed for name in node.outputs if name}
    reasons: dict[str, OperatorRefused] = {}
    made: list[OperatorNode] = []
    for node in listed:
        if not node.branches:
            made.append(node)
            continue
        reasons[node.origin] = _reason(_sources(node, makers, inputs), inputs)
        made.append(replace(node, inputs=(), attributes={}))

    def refused(_: CallTrace, operator: Operator) -> list[Any]:
        raise reasons[operator.node.origin]

    return made, refused


def _sources(
    node: OperatorNode, makers: Mapping[str, OperatorNode], inputs: Mapping[str, Any]
) -> list[str]:
    """Inputs that a condition depends on."""
    left = [one.name for one in node.inputs if isinstance(one, ValueName)]
    seen: set[str] = set()
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            if name in makers and makers[name] is not node:
                left += makers[name].reads()
    return [name for name in inputs if name in seen]


def _reason(sources: list[str], inputs: Mapping[str, tuple[bool, bool]]) -> OperatorRefused:
    """Why a condition on these inputs is not decided."""
    told = [name for name in sources if inputs[name][0]]
    opened = [name for name in sources if inputs[name][1]]
    if told:
        cure = (
            f"Say what '{told[0]:.60}' is: input_values={{'{told[0]:.60}': VALUE}}, or "
            f"--input-value {told[0]:.60}=VALUE."
        )
    elif opened:
        cure = (
            f"Say what shape '{opened[0]:.60}' has: input_shapes={{'{opened[0]:.60}': (1, ...)}}, "
            f"or --input-shape {opened[0]:.60}=1,...; or export it for one of both."
        )
    else:
        cure = "Export the network for one of both, or train without it."
    names = " and ".join(f"'{name:.60}'" for name in told or opened or sources)
    got = f"one that depends on {names or 'no input'}"
    return OperatorRefused("a condition that is known before the network runs", got, cure)


def _renamed(node: OperatorNode, names: Mapping[str, str]) -> OperatorNode:
    """An operator with other names of values."""
    attributes = {
        key: _branch(one, names) if isinstance(one, ConditionBranch) else one
        for key, one in node.attributes.items()
    }
    return replace(
        node,
        inputs=tuple(_reference(value, names) for value in node.inputs),
        outputs=tuple(names.get(name, name) for name in node.outputs),
        attributes=attributes,
    )


def _branch(branch: ConditionBranch, names: Mapping[str, str]) -> ConditionBranch:
    """A branch with other names of values around it."""
    around = {name: new for name, new in names.items() if name not in branch.own()}
    return replace(
        branch,
        nodes=tuple(_renamed(node, around) for node in branch.nodes),
        outputs=tuple(around.get(name, name) for name in branch.outputs),
    )


def _reference(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, ValueName):
        return ValueName(names.get(value.name, value.name))
    return value
