"""Operators that take a part of a value, or put values one behind another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.operator_reader.shapes import sliced_features, unsqueezed, without
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused, stacks, told
from edgernn_export.operator_reader.values import (
    MOST_FEATURES,
    Atom,
    AxisKind,
    OpenSize,
    Traced,
    members_of,
    size_of,
)

#: Ends from here on mean: to the last element.
_FAR: Final = 2**31 - 1
_STEPS: Final = (
    "A stream has its last step alone: train without this operator, or choose steps outside the "
    "network."
)


def sliced(
    trace: CallTrace, value: Traced, place: int, start: int, stop: int, step: int = 1
) -> Traced:
    """Consecutive elements along an axis: features, tensors of a stack, or the last step.

    Args:
        trace: takes calls.
        value: any value.
        place: of the axis, from the start.
        start: as of a Python slice; far beyond the ends means the ends.
        stop: as well.
        step: as well.

    Raises:
        OperatorRefused: the slice takes other steps, or streams.
    """
    if value.backward:
        return _end_of_backward(value, place, (start, stop, step))
    axis = value.axes[place]
    size = size_of(axis)
    kind = axis[0].kind if len(axis) == 1 else None
    if trace.is_trial and axis and axis[0].kind is None:
        count = (
            None
            if isinstance(size, OpenSize)
            else len(range(*slice(start, stop, step).indices(size)))
        )
        return value.with_axis(place, (Atom(None, count, axis[0].source),))
    if value.late and kind is AxisKind.TIME:
        return _without_late(value, place, (start, stop, step))
    if isinstance(size, OpenSize):
        if start == 0 and stop >= _FAR and step == 1:
            return value
        if kind is not AxisKind.BATCH and (start, step) == (-1, 1) and stop >= _FAR:
            return last_step(trace, value, place)
        raise _other_steps(value, place, f"[{start}:{stop}:{step}]")
    first, last, step = slice(start, stop, step).indices(size)
    if (first, last, step) == (0, size, 1):
        return value
    if step != 1 or last <= first:
        if kind is AxisKind.STACK and len(range(first, last, step)):
            return _stacked(value, place, list(range(first, last, step)))
        raise _other_steps(value, place, f"[{start}:{stop}:{step}]")
    if kind is AxisKind.STACK:
        return _stacked(value, place, list(range(first, last)))
    if kind is AxisKind.TIME and (first, last) == (size - 1, size):
        return last_step(trace, value, place)
    if kind in (AxisKind.TIME, AxisKind.BATCH):
        raise _other_steps(value, place, f"[{start}:{stop}:{step}]")
    value = trace.need(value, place, AxisKind.FEATURES)
    made = value.each(lambda tensor: sliced_features(trace, tensor, first, last))
    return made.with_axis(place, (Atom(AxisKind.FEATURES, last - first),))


def _without_late(value: Traced, place: int, key: tuple[int, int, int]) -> Traced:
    """The value without the steps behind the last one of the stream."""
    size = value.axes[place][0].size
    ends = {-value.late, -value.late if size is None else size - value.late}
    start, stop, step = key
    if (start, step) != (0, 1) or stop not in ends:
        raise refused_late(value)
    left = None if size is None else size - value.late
    return replace(value, late=0).with_axis(place, (Atom(AxisKind.TIME, left),))


def refused_late(value: Traced) -> OperatorRefused:
    """The reason for a value with steps that read beyond the end of the stream."""
    return OperatorRefused(
        "a slice that takes off the steps made of zeros behind the last one, as in x[..., :-n]",
        f"{value.late} such steps",
        "A stream has no later readings: train with zeros before the first step alone.",
    )


def refused_backward() -> OperatorRefused:
    """The reason for a value whose steps begin with the last one."""
    return OperatorRefused(
        "steps in the order of the readings", "steps from the last one on",
        "Turn them round again, or take the last one alone.",
    )  # fmt: skip


def _end_of_backward(value: Traced, place: int, key: tuple[int, int, int]) -> Traced:
    """The last step that layers took which read backward: their state at the end."""
    axis = value.axes[place]
    if len(axis) != 1 or axis[0].kind is not AxisKind.TIME:
        raise refused_backward()
    size = axis[0].size
    ends = {(-1, _FAR)} | (set() if size is None else {(size - 1, size), (-1, size)})
    start, stop, step = key
    layers = [tensor.call.layer for tensor in value.tensors]
    backward = all(getattr(layer, "go_backwards", False) for layer in layers)
    if step != 1 or (start, min(stop, _FAR)) not in ends or not backward:
        raise refused_backward()
    made = value.each(lambda tensor: CallResult(call=tensor.call, index=1))
    return replace(made, backward=False).with_axis(place, ())


def picked(trace: CallTrace, value: Traced, place: int, index: int) -> Traced:
    """One element along an axis, which is gone then.

    Args:
        trace: takes calls.
        value: any value.
        place: of the axis, from the start.
        index: of the element, from the start or from the end.

    Raises:
        OperatorRefused: it is another step than the last one.
    """
    if value.backward:
        made = _end_of_backward(value, place, (index, index + 1 or _FAR, 1))
        return Traced(made.axes[:place] + made.axes[place + 1 :], made.members)
    axis = value.axes[place]
    size = size_of(axis)
    kind = axis[0].kind if len(axis) == 1 else None
    known = size if isinstance(size, int) else None
    if trace.is_trial and axis and axis[0].kind is None:
        if known is not None and index not in (-1, known - 1):
            _note(trace, axis[0])
        return Traced(value.axes[:place] + value.axes[place + 1 :], value.members)
    if known is not None and not -known <= index < known:
        got = f"element {index} of {known}"
        raise OperatorRefused("an element of its input", got, "Export the network again.")
    if known == 1:
        return without(trace, value, place)
    if kind is AxisKind.STACK:
        made = _stacked(value, place, [index])
        return without(trace, made, place)
    if kind in (AxisKind.TIME, None) and index in (-1, None if known is None else known - 1):
        made = last_step(trace, value, place)
        return Traced(made.axes[:place] + made.axes[place + 1 :], made.members)
    if kind in (AxisKind.TIME, AxisKind.BATCH) or known is None:
        raise _other_steps(value, place, f"[{index}]")
    first = index % known
    made = sliced(trace, value, place, first, first + 1)
    return Traced(made.axes[:place] + made.axes[place + 1 :], made.members)


def _note(trace: CallTrace, atom: Atom) -> None:
    """Note that an axis of an input is taken apart."""
    if atom.source is not None:
        trace.picked.add(atom.source)


def last_step(trace: CallTrace, value: Traced, place: int) -> Traced:
    """The last step alone, with an axis of size 1 in the place of the steps."""
    value = trace.need(value, place, AxisKind.TIME)
    for other, axis in enumerate(value.axes):
        if len(axis) > 1 and axis[-1].kind is AxisKind.FEATURES:  # both directions in one
            value = trace.need(value, other, AxisKind.FEATURES)
    item = trace.operation("GetItem")
    everything = slice(None)
    made = value.each(
        lambda tensor: trace.call(item, [tensor], second=(everything, -1, everything))
    )
    return made.with_axis(place, ())


def joined(trace: CallTrace, values: Sequence[Traced], place: int) -> Traced:
    """Values one behind another along an axis.

    Args:
        trace: takes calls.
        values: of one rank.
        place: of the axis, from the start or the end.

    Raises:
        OperatorRefused: steps or streams would be joined.
    """
    ranks = {value.rank for value in values}
    if len(ranks) > 1 or not -values[0].rank <= place < values[0].rank:
        raise OperatorRefused("inputs of one rank", f"ranks {sorted(ranks)}", "Export it again.")
    if len(values) == 1:
        return values[0]
    place %= values[0].rank
    kinds = {atom.kind for value in values for atom in value.axes[place]}
    if kinds <= {AxisKind.STACK} and not (not kinds and _have_no_features(values)):
        return _one_stack([trace.need(value, place, AxisKind.STACK) for value in values], place)
    for value in values:
        for atom in value.axes[place]:
            if atom.kind in (AxisKind.TIME, AxisKind.BATCH):
                raise OperatorRefused(
                    "tensors joined along their features", f"along the {told(value.axes[place])}",
                    "A stream has no steps to join: train without this operator.",
                )  # fmt: skip
    values = [trace.need(value, place, AxisKind.FEATURES) for value in values]
    shapes = {value.members.shape for value in values}
    if len(shapes) > 1:
        raise OperatorRefused("inputs of one shape", "others", "Export the network again.")
    joint = trace.layer("Concatenate", {"axis": -1})
    rows = zip(*(value.tensors for value in values), strict=True)
    made = members_of([trace.call(joint, list(row)) for row in rows], values[0].members)
    sizes = [value.axes[place][0].size for value in values]
    width = None if None in sizes else sum(size for size in sizes if size is not None)
    check_features(width or 0)
    best = max(values, key=lambda value: len(value.atoms))
    return Traced(best.axes, made).with_axis(place, (Atom(AxisKind.FEATURES, width),))


def check_features(width: int) -> None:
    """Refuse vectors that are too wide.

    Raises:
        OperatorRefused: they are.
    """
    if width > MOST_FEATURES:
        raise OperatorRefused(
            f"at most {MOST_FEATURES} features", f"{width}", "Train with fewer features."
        )


def stacked(trace: CallTrace, values: Sequence[Traced], place: int) -> Traced:
    """Values side by side along a new axis."""
    rank = values[0].rank + 1
    where = place % rank
    return joined(trace, [unsqueezed(value, [where]) for value in values], where)


def split(trace: CallTrace, value: Traced, place: int, sizes: Sequence[int]) -> list[Traced]:
    """Parts of these sizes, one behind another along an axis.

    Raises:
        OperatorRefused: the sizes are not those of the axis, or it has steps or streams.
    """
    size = size_of(value.axes[place])
    if size != sum(sizes) or min(sizes, default=0) < 1:
        raise OperatorRefused(
            f"parts of {size} elements", f"{list(sizes)!r:.60}", "Export it again."
        )
    ends = np.cumsum(sizes)
    return [
        sliced(trace, value, place, int(end) - count, int(end))
        for end, count in zip(ends, sizes, strict=True)
    ]


def _have_no_features(values: Sequence[Traced]) -> bool:
    """Whether the only axis that values may be joined along is that of single features."""
    return not any(value.has(AxisKind.FEATURES) for value in values)


def _stacked(value: Traced, place: int, indices: list[int]) -> Traced:
    """Some tensors of a stack."""
    before = stacks(value, place)
    members = np.take(value.members, indices, axis=before)
    (atom,) = value.axes[place]
    return Traced(value.axes, members).with_axis(place, (replace(atom, size=len(indices)),))


def _one_stack(values: list[Traced], place: int) -> Traced:
    before = stacks(values[0], place)
    shapes = {(v.members.shape[:before], v.members.shape[before + 1 :]) for v in values}
    if len(shapes) > 1:
        raise OperatorRefused("inputs of one shape", "others", "Export the network again.")
    members = np.concatenate([value.members for value in values], axis=before)
    size = members.shape[before]
    best = max(values, key=lambda value: len(value.atoms))
    return Traced(best.axes, members).with_axis(place, (Atom(AxisKind.STACK, size),))


def _other_steps(value: Traced, place: int, got: str) -> OperatorRefused:
    return OperatorRefused(
        "consecutive features, or the last step", f"{got} of the {told(value.axes[place])}", _STEPS
    )
