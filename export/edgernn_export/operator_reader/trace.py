"""The calls that operators make, and what they need the axes of their values to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.keras_reader.stored.layer import (
    StoredLayer,
    described_layer,
    described_operation,
)
from edgernn_export.operator_reader.values import (
    MOST_STEPS,
    Atom,
    Axis,
    AxisKind,
    Traced,
    alone,
    members_of,
)

#: Source of the atoms of positions within a step.
POSITIONS: Final = ("positions", 0)


class OperatorRefused(Exception):
    """An operator that cannot be read, and why.

    Attributes:
        wanted: what edgernn executes.
        got: what was found.
        cure: what helps.
    """

    def __init__(self, wanted: str, got: str, cure: str) -> None:
        """Take over the three parts of a reason."""
        super().__init__(wanted, got, cure)
        self.wanted, self.got, self.cure = wanted, got, cure


@dataclass(slots=True, kw_only=True, eq=False)
class CallTrace:
    """What was found so far.

    Attributes:
        findings: receives reasons.
        kinds: what the axes of inputs are, as far as it is known.
        demanded: what operators need of the others.
        picked: axes of inputs of which elements before the last one are taken out.
        calls: of described layers, in order.
        origin: how reasons name the operator at hand; it holds its name in single quotes.
        name: of the operator at hand.
        refused: identities of calls that stand for refused operators, or come behind them.
        is_trial: only what is demanded counts; the graph is followed again.
        parts: by the identity of a call that cut a tensor into equal parts: the tensor, which part
            it is, and how many there are.
    """

    findings: Findings
    kinds: Mapping[tuple[str, int], AxisKind]
    demanded: dict[tuple[str, int], AxisKind] = field(default_factory=dict)
    picked: set[tuple[str, int]] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    origin: str = ""
    name: str = ""
    is_trial: bool = False
    parts: dict[int, tuple[CallResult, int, int]] = field(default_factory=dict)

    def call(
        self, layer: StoredLayer, tensors: Sequence[CallResult], **arguments: Any
    ) -> CallResult:
        """The first result of a layer applied to tensors.

        Args:
            layer: a described layer or operation.
            tensors: all it is given.
            arguments: what else a call has, by position: ``second`` is a constant behind the
                tensor, or the key of a slice, ``first`` a constant before it.
        """
        names = {"first": "argument 1", "second": "argument 2"}
        given = {names[key]: value for key, value in arguments.items()}
        made = Call(layer=layer, inputs=tuple(tensors), arguments=given or None)
        self.calls.append(made)
        if any(id(tensor.call) in self.refused for tensor in tensors):
            self.refused.add(id(made))
        return CallResult(call=made, index=0)

    def layer(
        self,
        kind: str,
        config: Mapping[str, Any] | None = None,
        weights: Mapping[str, Any] | None = None,
    ) -> StoredLayer:
        """A described layer in the name of the operator at hand."""
        return described_layer(kind, self.name, self.origin, config or {}, weights or {})

    def operation(self, kind: str, config: Mapping[str, Any] | None = None) -> StoredLayer:
        """A described operation in the name of the operator at hand."""
        return described_operation(kind, self.name, self.origin, config or {})

    def need(self, value: Traced, place: int, kind: AxisKind) -> Traced:
        """The value with an axis of a kind that an operator needs it to be.

        Args:
            value: what the operator is given.
            place: of the axis, from the start.
            kind: what it must be.

        Raises:
            OperatorRefused: it is something else.
        """
        value = without_lone_position(value)
        axis = value.axes[place]
        if kind is AxisKind.FEATURES:
            return self._features(value, place)
        if len(axis) == 1 and axis[0].kind is kind:
            return value
        if len(axis) == 1 and axis[0].kind is None:
            self._demand(axis[0], kind)
            return value.with_axis(place, (Atom(kind, axis[0].size),))
        if not axis and kind is AxisKind.BATCH and not value.has(AxisKind.BATCH):
            return value.with_axis(place, (Atom(kind, 1),))
        if not axis and kind is AxisKind.TIME and not value.has(AxisKind.TIME):
            width = _width(value)
            one = self.layer("Reshape", {"target_shape": (1, -1 if width is None else width)})
            made = value.each(lambda tensor: self.call(one, [tensor]))
            return made.with_axis(place, (Atom(kind, 1),))
        if not axis and kind is AxisKind.STACK:
            members = value.members.reshape(self._stack_shape(value, place))
            made = Traced(value.axes, members)
            return made.with_axis(place, (Atom(kind, 1),))
        raise _other(place, kind, axis)

    def swapped(self, value: Traced, time: int, batch: int) -> Traced:
        """The value with time and batch exchanged where they are, and both have a size of 1."""
        pair = [value.axes[time], value.axes[batch]]
        if all(len(axis) == 1 and axis[0].size == 1 for axis in pair) and [
            axis[0].kind for axis in pair
        ] == [AxisKind.BATCH, AxisKind.TIME]:
            return value.with_axis(time, pair[1]).with_axis(batch, pair[0])
        return value

    def _features(self, value: Traced, place: int) -> Traced:
        axis = value.axes[place]
        if len(axis) == 1 and axis[0].kind is AxisKind.FEATURES:
            return value
        if len(axis) == 1 and axis[0].kind is None:
            self._demand(axis[0], AxisKind.FEATURES)
            return value.with_axis(place, (Atom(AxisKind.FEATURES, axis[0].size),))
        if not axis and not value.has(AxisKind.FEATURES):
            return value.with_axis(place, (Atom(AxisKind.FEATURES, 1),))
        kinds = [atom.kind for atom in axis]
        if len(kinds) > 1 and kinds == [*[AxisKind.STACK] * (len(kinds) - 1), AxisKind.FEATURES]:
            return self._side_by_side(value, place)
        raise _other(place, AxisKind.FEATURES, axis)

    def _side_by_side(self, value: Traced, place: int) -> Traced:
        """Tensors of a stack one behind another."""
        before = stacks(value, place)
        axis = value.axes[place]
        count = len(axis) - 1
        shape = value.members.shape
        rows = np.moveaxis(value.members, range(before, before + count), range(-count, 0))
        rest = rows.shape[: rows.ndim - count]
        rows = rows.reshape(-1, int(np.prod(shape[before : before + count])))
        joint = self.layer("Concatenate", {"axis": -1})
        made = [self.call(joint, list(row)) for row in rows]
        members = members_of(made, np.empty(rest, dtype=object))
        sizes = [atom.size for atom in axis]
        width = None if None in sizes else int(np.prod([n for n in sizes if n is not None]))
        return Traced(value.axes, members).with_axis(place, (Atom(AxisKind.FEATURES, width),))

    @staticmethod
    def _stack_shape(value: Traced, place: int) -> tuple[int, ...]:
        before = stacks(value, place)
        return (*value.members.shape[:before], 1, *value.members.shape[before:])

    def _demand(self, atom: Atom, kind: AxisKind) -> None:
        if not self.is_trial:
            raise OperatorRefused(
                "an input of at most three axes: streams, steps and features",
                "one more of an unknown kind",
                "Train with one vector of features per step.",
            )
        if atom.source is not None:
            self.demanded.setdefault(atom.source, kind)


def stacks(value: Traced, place: int) -> int:
    """How many axes of the members belong to axes before a place."""
    return sum(atom.kind is AxisKind.STACK for axis in value.axes[:place] for atom in axis)


def one_of(axes: Sequence[Axis], tensor: CallResult) -> Traced:
    """A value that is one tensor."""
    return Traced(tuple(axes), alone(tensor))


def without_lone_position(value: Traced) -> Traced:
    """The value with an axis of size 1 in the place of a stack of one position."""
    lone = (Atom(AxisKind.STACK, 1, POSITIONS),)
    if lone not in value.axes:
        return value
    return one_of([() if axis == lone else axis for axis in value.axes], value.tensor)


def told(axis: Axis) -> str:
    """How reasons name an axis."""
    names = [f"{atom.kind.value if atom.kind else 'unknown'} axis" for atom in axis]
    return " joined with the ".join(names) if names else "axis of size 1"


def _width(value: Traced) -> int | None:
    """Number of features of each tensor; 1 where they have no axis."""
    sizes = [atom.size for atom in value.atoms if atom.kind is AxisKind.FEATURES]
    return sizes[0] if sizes else 1


def _other(place: int, kind: AxisKind, axis: Axis) -> OperatorRefused:
    return OperatorRefused(
        f"the {kind.value} at axis {place} of its input",
        f"the {told(axis)}",
        "Train with a network that computes along the features of every step, and passes states "
        "from step to step in recurrent operators.",
    )


def check_steps(*counts: int) -> None:
    """Refuse operators that look back too far.

    Raises:
        OperatorRefused: they do.
    """
    if max(counts) > MOST_STEPS:
        raise OperatorRefused(
            f"at most {MOST_STEPS} steps", f"{max(counts)}", "Train with shorter windows."
        )


def check_width(value: Traced, place: int, width: int) -> None:
    """Refuse weights for another number of features than there are.

    Raises:
        OperatorRefused: they are.
    """
    size = value.axes[place][0].size
    if size is not None and size != width:
        raise OperatorRefused(
            f"weights for the {size} features of its input", f"for {width}",
            "Export the network again.",
        )  # fmt: skip
