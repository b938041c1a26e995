"""Loops over the steps, which an export writes out: one recurrence again.

The operators of such a loop repeat for every step. Where they are the same each time, read the same
weights, and of earlier steps the one before alone, they stand for one step of a recurrence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from edgernn_export.operator_reader.operators import OperatorNode, ValueName

#: Fewer steps show no repetition.
_FEWEST: Final = 3
#: Operators that only tell sizes or make constants of them.
_APART: Final = frozenset(
    {"arange", "full", "full_like", "new_full", "new_ones", "new_zeros", "ones", "ones_like",
     "sym_size", "zeros", "zeros_like"}
)  # fmt: skip
#: Creates zeros, with which the first step begins.
ZEROS: Final = frozenset({"new_zeros", "zeros", "zeros_like"})

Sizes = Mapping[str, tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class CarriedResult:
    """What a step reads of the step before: the result at a place of the body."""

    place: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loop:
    """A loop over all steps of a value.

    Attributes:
        source: name of the value.
        axis: of its steps.
        steps: their number.
        body: operators of one step: the first ones after the first step; a `CarriedResult` among
            their inputs is one of the step before.
        starts: place in the body -> names of what the first step reads in its stead.
        before: operators before the loop.
        after: operators behind it.
        results: name of a result in a step -> the step and the place in the body.
        readings: name of an element of the source -> its step.
    """

    source: str
    axis: int
    steps: int
    body: list[OperatorNode]
    starts: dict[int, list[str]] = field(default_factory=dict)
    before: list[OperatorNode] = field(default_factory=list)
    after: list[OperatorNode] = field(default_factory=list)
    results: dict[str, tuple[int, int]] = field(default_factory=dict)
    readings: dict[str, int] = field(default_factory=dict)

    @property
    def step(self) -> str:
        """Name of the element of the source at any step."""
        return f"{self.source}_step"

    @property
    def carried(self) -> set[int]:
        """Places of the body whose results are read a step later."""
        return set(self.starts)


def loop_of(nodes: Sequence[OperatorNode], sizes: Sizes) -> Loop | None:
    """The first loop over steps that operators write out; None where there is none.

    Args:
        nodes: operators, in the order in which they are run.
        sizes: of the values by name.
    """
    for source, axis, readings in _candidates(nodes, sizes):
        found = _repeated(nodes, source, axis, readings)
        if found is not None:
            return found
    return None


def _candidates(
    nodes: Sequence[OperatorNode], sizes: Sizes
) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Values of which every element along an axis is read alone: names of elements by step."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    unbound: dict[str, tuple[str, int]] = {}
    for node in nodes:
        source = node.inputs[0] if node.inputs else None
        if not isinstance(source, ValueName):
            continue
        rank = len(sizes.get(source.name, ()))
        if node.kind == "select" and rank:
            key = source.name, node.inputs[1] % rank
            found.setdefault(key, {})[node.outputs[0]] = node.inputs[2]
        elif node.kind == "unbind" and rank:
            unbound[node.outputs[0]] = source.name, (node.inputs[1] or 0) % rank
        elif node.kind == "getitem" and source.name in unbound:
            found.setdefault(unbound[source.name], {})[node.outputs[0]] = node.inputs[1]
    for (name, axis), readings in found.items():
        count = sizes[name][axis]
        steps = {index % count for index in readings.values()} if count else set()
        if count and count >= _FEWEST and steps == set(range(count)):
            yield name, axis, {one: index % count for one, index in readings.items()}


def _repeated(
    nodes: Sequence[OperatorNode], source: str, axis: int, readings: dict[str, int]
) -> Loop | None:
    """The loop over all elements of a value, if operators repeat with them."""
    steps = 1 + max(readings.values())
    earlier = _ancestors(nodes, source)
    row = [node for node in nodes if not _is_apart(node, earlier, readings)]
    first: dict[int, int] = {}
    for place, node in enumerate(row):
        for name in node.reads():
            if name in readings:
                first.setdefault(readings[name], place)
    places = [first.get(step, -1) for step in range(steps)]
    lengths = {after - before for before, after in pairwise(places)}
    if len(lengths) != 1 or min(lengths) < 1 or places[0] < 0:
        return None
    (length,) = lengths
    for start in range(max(0, places[0] - length + 1), places[0] + 1):
        if start + steps * length > len(row):
            continue
        later = {id(node) for node in row[start:]}
        rounds = [row[start + t * length : start + (t + 1) * length] for t in range(steps)]
        loop = Loop(
            source=source,
            axis=axis,
            steps=steps,
            body=[],
            before=[node for node in nodes if id(node) not in later],
            after=row[start + steps * length :],
            results={
                node.outputs[0]: (t, place)
                for t, one in enumerate(rounds)
                for place, node in enumerate(one)
            },
            readings=readings,
        )
        if _agree(loop, rounds):
            return loop
    return None


def _ancestors(nodes: Sequence[OperatorNode], name: str) -> set[str]:
    """Names of all that a value is made of, itself among them."""
    found = {name}
    for node in reversed(nodes):
        if found & set(node.outputs):
            found |= set(node.reads())
    return found


def _is_apart(node: OperatorNode, earlier: set[str], readings: Mapping[str, int]) -> bool:
    """Whether an operator is of no step: it makes the source, takes an element, or tells sizes."""
    name = node.outputs[0]
    sizes_alone = not node.attributes["sizes"] and node.kind in ("add", "floordiv", "mul", "sub")
    return name in earlier or name in readings or node.kind in _APART or sizes_alone or (
        node.kind == "unbind"
    )  # fmt: skip


def _agree(loop: Loop, rounds: Sequence[Sequence[OperatorNode]]) -> bool:
    """Whether all steps do the same; the body and its starts are noted then."""
    body: list[OperatorNode] = []
    for place, node in enumerate(rounds[1]):
        told = _told(loop, node.inputs, 1)
        others = [one[place] for one in rounds]
        if any(one.kind != node.kind for one in others):
            return False
        if any(_told(loop, one.inputs, t) != told for t, one in enumerate(others) if t > 1):
            return False
        if not _begins(loop, _told(loop, others[0].inputs, 0), told):
            return False
        body.append(replace(others[0], inputs=tuple(told)))
    if not loop.starts:
        return False
    loop.body.extend(body)
    return True


def _told(loop: Loop, value: Any, step: int) -> Any:
    """Inputs as any step has them: its element, its results, those of the step before, others."""
    if isinstance(value, ValueName):
        if value.name in loop.readings:
            same = loop.readings[value.name] == step
            return ValueName(loop.step) if same else value
        if value.name in loop.results:
            at, place = loop.results[value.name]
            if at == step:
                return _Own(place)
            return CarriedResult(place) if at == step - 1 else value
        return value
    if isinstance(value, (list, tuple)):
        return [_told(loop, item, step) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class _Own:
    """A result of the same step."""

    place: int


def _begins(loop: Loop, first: Any, told: Any) -> bool:
    """Whether the first step does the same, given starts in place of what is carried."""
    if isinstance(told, list):
        same = isinstance(first, list) and len(first) == len(told)
        return same and all(_begins(loop, a, b) for a, b in zip(first, told, strict=True))
    if isinstance(told, CarriedResult):
        if not isinstance(first, ValueName):
            return False
        names = loop.starts.setdefault(told.place, [])
        if first.name not in names:
            names.append(first.name)
        return True
    return bool(first == told)


def named_body(loop: Loop) -> list[OperatorNode]:
    """The body with results by name; what is carried stays a `CarriedResult`."""

    def named(value: Any) -> Any:
        if isinstance(value, _Own):
            return ValueName(loop.body[value.place].outputs[0])
        return [named(item) for item in value] if isinstance(value, list) else value

    return [
        replace(node, inputs=tuple(named(value) for value in node.inputs)) for node in loop.body
    ]
