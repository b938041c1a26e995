"""Operators that give a value another shape: what its axes are then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.operator_reader.trace import (
    CallTrace,
    OperatorRefused,
    stacks,
    told,
    without_lone_position,
)
from edgernn_export.operator_reader.values import (
    MOST_MEMBERS,
    Atom,
    Axis,
    AxisKind,
    AxisSize,
    OpenSize,
    Traced,
    members_of,
    size_of,
)

_CURE: Final = (
    "A stream has no steps to join, split or swap: train without this operator. For the last step "
    "alone, use the final state of the recurrent operator, or a slice at the end."
)


def transposed(value: Traced, order: Sequence[int]) -> Traced:
    """The value with its axes in another order.

    Args:
        value: any value.
        order: the axis of the value at each place.

    Raises:
        OperatorRefused: the order is not one of all axes.
    """
    places = [place + value.rank if place < 0 else place for place in order]
    if sorted(places) != list(range(value.rank)):
        raise OperatorRefused(
            f"an order of {value.rank} axes", f"{list(order)!r:.60}", "Export it again."
        )
    axes = tuple(value.axes[place] for place in places)
    counts = [sum(atom.kind is AxisKind.STACK for atom in axis) for axis in value.axes]
    starts = np.concatenate([[0], np.cumsum(counts)])
    moved = [int(starts[place]) + i for place in places for i in range(counts[place])]
    return replace(value, axes=axes, members=value.members.transpose(moved))


def unsqueezed(value: Traced, places: Sequence[int]) -> Traced:
    """The value with axes of size 1.

    Raises:
        OperatorRefused: there are no such places.
    """
    rank = value.rank + len(places)
    new = {place + rank if place < 0 else place for place in places}
    if len(new) != len(places) or not new <= set(range(rank)):
        raise OperatorRefused(
            f"places among {rank} axes", f"{list(places)!r:.60}", "Export it again."
        )
    rest = iter(value.axes)
    axes = tuple(() if place in new else next(rest) for place in range(rank))
    return replace(value, axes=axes)


def squeezed(trace: CallTrace, value: Traced, places: Sequence[int] | None) -> Traced:
    """The value without axes of size 1, all of them if no places are told.

    Raises:
        OperatorRefused: another axis is to go.
    """
    if places is None:
        gone = {place for place, axis in enumerate(value.axes) if size_of(axis) == 1}
    else:
        gone = {_place(value, place) for place in places}
    for place in sorted(gone, reverse=True):
        value = without(trace, value, place)
    return value


def without(trace: CallTrace, value: Traced, place: int) -> Traced:
    """The value without an axis, whose size is 1.

    Raises:
        OperatorRefused: its size is another one.
    """
    axis = value.axes[place]
    if any(atom.size not in (1, None) or _is_open_time(atom) for atom in axis):
        raise OperatorRefused("an axis of size 1 to leave out", f"the {told(axis)}", _CURE)
    before = stacks(value, place)
    count = sum(atom.kind is AxisKind.STACK for atom in axis)
    shape = value.members.shape
    members = value.members.reshape((*shape[:before], *shape[before + count :]))
    value = Traced(value.axes[:place] + value.axes[place + 1 :], members)
    if any(atom.kind is AxisKind.TIME for atom in axis):
        value = _of_one_step(trace, value)
    return value


def _is_open_time(atom: Atom) -> bool:
    return atom.kind is AxisKind.TIME and atom.size is None


def reshaped(
    trace: CallTrace, value: Traced, sizes: Sequence[AxisSize], *, copy: bool = True
) -> Traced:
    """The value with its elements, in their order, in other axes.

    Args:
        trace: takes calls.
        value: any value.
        sizes: of the new axes; -1 for one of them that the others tell.
        copy: a size of 0 is that of the axis of the value at its place.

    Raises:
        OperatorRefused: an axis of the value would be cut, other than the features.
    """
    value = without_lone_position(value)
    if copy:
        if any(size == 0 and place >= value.rank for place, size in enumerate(sizes)):
            raise _cut(value, sizes)
        sizes = [size_of(value.axes[p]) if size == 0 else size for p, size in enumerate(sizes)]
    matcher = _Matcher(value.atoms, sizes)
    found = matcher.axes()
    blocks = math.prod(count for count, _ in matcher.cuts) * value.members.size
    if found is None or blocks > MOST_MEMBERS:
        raise _cut(value, sizes)
    return _thinned(trace, _with_cuts(trace, value, matcher.cuts, found))


def _thinned(trace: CallTrace, value: Traced) -> Traced:
    """The value without streams and steps of size 1 in axes that they share with others."""
    single = (AxisKind.BATCH, AxisKind.TIME, None)
    for place, axis in enumerate(value.axes):
        gone = [atom for atom in axis if atom.size == 1 and atom.kind in single]
        if len(axis) == 1 or not gone:
            continue
        rest = tuple(atom for atom in axis if atom not in gone)
        value = value.with_axis(place, rest or axis[:1])
        if rest and any(atom.kind is AxisKind.TIME for atom in gone):
            value = _of_one_step(trace, value)
    return value


def _of_one_step(trace: CallTrace, value: Traced) -> Traced:
    """The value without the axis of its only step."""
    flat = trace.layer("Flatten")
    return value.each(lambda tensor: trace.call(flat, [tensor]))


class _Matcher:
    """Assigns atoms to new axes.

    Attributes:
        cuts: index of an atom of features -> sizes into which it is cut.
    """

    def __init__(self, atoms: list[Atom], sizes: Sequence[AxisSize]) -> None:
        self._atoms = list(atoms)
        self._sizes = list(sizes)
        self.cuts: list[tuple[int, int]] = []

    def axes(self) -> list[Axis] | None:
        """The atoms of every new axis; None if they do not fit."""
        sizes, count = self._sizes, len(self._sizes)
        loose = [
            place
            for place, size in enumerate(sizes)
            if (isinstance(size, OpenSize) and size.opaque) or (isinstance(size, int) and size < 0)
        ]
        if len(loose) > 1:
            return None
        split = loose[0] if loose else count
        found: list[Axis] = [()] * count
        for place in range(split):
            taken = self._take(sizes[place], front=True)
            if taken is None:
                return None
            found[place] = taken
        for place in range(count - 1, split, -1):
            taken = self._take(sizes[place], front=False)
            if taken is None:
                return None
            found[place] = taken
        if loose:
            found[split] = tuple(self._atoms)
        elif any(atom.size != 1 for atom in self._atoms):
            return None
        elif self._atoms and count:
            found[-1] = (*found[-1], *self._atoms)
        return found

    def _take(self, size: AxisSize, front: bool) -> Axis | None:
        """Atoms of a size from one end of those that are left."""
        keys = list(size.keys) if isinstance(size, OpenSize) else []
        rest = size.factor if isinstance(size, OpenSize) else size
        taken: list[Atom] = []
        if size == 1:
            at_end = self._atoms[:1] if front else self._atoms[-1:]
            if at_end and at_end[0].size == 1:
                self._atoms.remove(at_end[0])
                return tuple(at_end)
            return ()
        while keys or rest != 1:
            if not self._atoms:
                return None
            atom = self._atoms[0 if front else -1]
            if atom.size is None:
                if atom.key not in keys:
                    return None
                keys.remove(atom.key)
            elif atom.size < 1 or rest < 1:
                return None
            elif rest % atom.size == 0:
                rest //= atom.size
            elif atom.kind is AxisKind.FEATURES and not keys and atom.size % rest == 0:
                return self._cut(atom, rest, front, taken)
            else:
                return None
            self._atoms.pop(0 if front else -1)
            taken.insert(0 if not front else len(taken), atom)
        return tuple(taken)

    def _cut(self, atom: Atom, size: int, front: bool, taken: list[Atom]) -> Axis:
        """Cut the features into blocks of equal size."""
        assert atom.size is not None
        blocks = size if front else atom.size // size
        self.cuts.append((blocks, atom.size // blocks))
        stack = Atom(AxisKind.STACK, blocks, ("cut", len(self.cuts)))
        inner = Atom(AxisKind.FEATURES, atom.size // blocks)
        self._atoms[0 if front else -1 :] = [inner, *self._atoms[1:]] if front else [stack]
        return (*taken, stack) if front else (inner, *taken)


def _with_cuts(
    trace: CallTrace, value: Traced, cuts: list[tuple[int, int]], axes: list[Axis]
) -> Traced:
    """The value in other axes; features that were cut become a stack of slices."""
    members = value.members
    order = [atom for axis in axes for atom in axis if atom.kind is AxisKind.STACK]
    for blocks, width in cuts:
        rows = [
            [
                sliced_features(trace, tensor, index * width, (index + 1) * width)
                for tensor in members.reshape(-1)
            ]
            for index in range(blocks)
        ]
        flat = [row[i] for i in range(members.size) for row in rows]
        members = members_of(flat, np.empty((*members.shape, blocks), dtype=object))
    # Blocks were appended last; they belong where their atoms stand.
    cut = [place for place, atom in enumerate(order) if atom.source and atom.source[0] == "cut"]
    if cut:
        last = range(members.ndim - len(cut), members.ndim)
        members = np.moveaxis(members, list(last), cut)
    plain = [tuple(replace(a, source=None) if a.kind else a for a in axis) for axis in axes]
    return Traced(tuple(plain), members)


def sliced_features(trace: CallTrace, tensor: CallResult, start: int, stop: int) -> CallResult:
    """Consecutive features of a tensor."""
    item = trace.operation("GetItem")
    return trace.call(item, [tensor], second=(..., slice(start, stop)))


def _place(value: Traced, place: int) -> int:
    try:
        return value.place(place)
    except IndexError:
        got = f"axis {place} of {value.rank}"
        raise OperatorRefused("an axis of its input", got, "Export it again.") from None


def _cut(value: Traced, sizes: Sequence[AxisSize]) -> OperatorRefused:
    before = ", ".join(told(axis) for axis in value.axes)
    after = ", ".join("?" if isinstance(size, OpenSize) else f"{size}" for size in sizes)
    return OperatorRefused(
        "a reshape that keeps the steps and their features",
        f"one of ({before}) to sizes ({after:.80})",
        _CURE,
    )
