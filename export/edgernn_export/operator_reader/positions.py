"""Convolutions within a step, such as along the samples of a frame of sound.

The features of a step are the whole signal. A convolution along them is a matrix applied to
windows of them; what it gives at each position is a tensor of a stack. Windows that are alike share
one matrix. Those at the ends of a signal that is padded with zeros have fewer columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.routes import MAX_PARTS
from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.operator_reader.shapes import sliced_features
from edgernn_export.operator_reader.trace import POSITIONS, CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import (
    MOST_MEMBERS,
    Atom,
    AxisKind,
    Traced,
    members_of,
)

_AGAIN: Final = "Export the network again."
#: Features that a mirror adds at most: the route of a layer has a part for each.
_MOST_MIRRORED: Final = MAX_PARTS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWindow:
    """How a convolution goes along a signal.

    Attributes:
        stride: positions from one result to the next.
        dilation: positions from one tap to the next.
        before, after: zeros at the ends of the signal.
    """

    stride: int
    dilation: int
    before: int
    after: int

    def taps(self, length: int, count: int) -> list[dict[int, int]]:
        """For every result, tap -> position within the signal.

        Raises:
            OperatorRefused: there are too many results.
        """
        whole = length + self.before + self.after - (count - 1) * self.dilation
        results = len(range(0, whole, self.stride))
        if results > MOST_MEMBERS:
            raise OperatorRefused(
                f"a convolution with at most {MOST_MEMBERS} results within a step", f"{results}",
                "Train with a larger stride, or with the signal as steps.",
            )  # fmt: skip
        rows = [
            {j: start - self.before + j * self.dilation for j in range(count)}
            for start in range(0, whole, self.stride)
        ]
        return [{j: at for j, at in row.items() if 0 <= at < length} for row in rows]


def is_within_step(value: Traced) -> bool:
    """Whether the last axis of (streams or steps, channels, signal) is known to be in a step."""
    if value.rank != 3 or len(value.axes[2]) != 1:
        return False
    atom = value.axes[2][0]
    return has_positions(value) or (atom.kind is AxisKind.FEATURES and not value.axes[1])


def has_positions(value: Traced) -> bool:
    """Whether positions are the only stack of a value."""
    stacks = [atom for atom in value.atoms if atom.kind is AxisKind.STACK]
    return len(stacks) == 1 and stacks[0].source == POSITIONS


def mirrored(trace: CallTrace, value: Traced, place: int, before: int, after: int) -> Traced:
    """A signal with its mirror images at both ends, which leave out the end itself.

    Raises:
        OperatorRefused: the axis is no signal within a step, or too short.
    """
    value = trace.need(value, place, AxisKind.FEATURES)
    size = value.axes[place][0].size
    if size is None or min(before, after) < 0 or max(before, after) >= size:
        got = f"{before} and {after} of {size or 'an open number of'} features"
        raise OperatorRefused("fewer mirrored features than there are", got, _AGAIN)
    if before + after > _MOST_MIRRORED:
        raise OperatorRefused(
            f"at most {_MOST_MIRRORED} mirrored features", f"{before + after}",
            "Train with less padding.",
        )  # fmt: skip
    joint = trace.layer("Concatenate", {"axis": -1})

    def made(tensor: CallResult) -> CallResult:
        places = [*range(before, 0, -1), None, *range(size - 2, size - 2 - after, -1)]
        parts = [
            tensor if at is None else sliced_features(trace, tensor, at, at + 1) for at in places
        ]
        return trace.call(joint, parts)

    return value.each(made).with_axis(place, (Atom(AxisKind.FEATURES, size + before + after),))


def convolved_within(
    trace: CallTrace,
    value: Traced,
    kernel: FloatArray,
    bias: FloatArray | None,
    window: FrameWindow,
    groups: int,
) -> Traced:
    """A convolution along the signal of every step.

    Args:
        trace: takes calls.
        value: one for which `is_within_step` holds.
        kernel: [O, C, K].
        bias: [O].
        window: how it goes along the signal.
        groups: 1.

    Raises:
        OperatorRefused: other channels or groups, or a window of padding only.
    """
    signal = _signal(value)
    width = 1 if signal is None else value.axes[1][0].size
    length = value.axes[2][0].size
    if groups != 1 or kernel.shape[1] != width or length is None:
        got = f"{groups} groups of {kernel.shape[1]} channels"
        raise OperatorRefused(f"one group of {width} channels within a step", got, _AGAIN)
    rows = window.taps(length, kernel.shape[2])
    if not rows or not all(rows):
        raise OperatorRefused("windows that read the signal", "one that reads zeros alone", _AGAIN)
    found: dict[int, CallResult] = {}
    for taps in dict.fromkeys(tuple(row) for row in rows):
        alike = [place for place, row in enumerate(rows) if tuple(row) == taps]
        read = [part for place in alike for part in _read(trace, value, list(rows[place].values()))]
        matrix = kernel[:, :, list(taps)].transpose(2, 1, 0).reshape(-1, len(kernel))
        weights = {"kernel": matrix} | ({} if bias is None else {"bias": bias})
        config: dict[str, Any] = {"use_bias": bias is not None, "activation": "linear"}
        kind = "DenseRows" if len(alike) > 1 else "Dense"
        config |= {"rows": len(alike)} if len(alike) > 1 else {}
        layer = trace.layer(kind, config, weights)
        made = trace.call(layer, [_beside(trace, read)])
        found |= dict(zip(alike, _cut(trace, made, len(alike), len(kernel)), strict=True))
    members = np.empty(len(rows), dtype=object)
    members[:] = [found[place] for place in range(len(rows))]
    positions = Atom(AxisKind.STACK, len(rows), POSITIONS)
    features = Atom(AxisKind.FEATURES, len(kernel))
    return Traced((value.axes[0], (features,), (positions,)), members)


def each_together(
    trace: CallTrace, value: Traced, made: Callable[[CallResult], CallResult]
) -> Traced:
    """The value with every tensor changed, those of positions that one call made by one call."""
    if not has_positions(value):
        return value.each(made)
    left, changed = value.tensors, []
    while left:
        whole, count = _whole(trace, left)
        done = made(whole)
        changed += _cut(trace, done, count, _features(value))
        left = left[count:]
    return Traced(value.axes, members_of(changed, value.members))


def joined_together(
    trace: CallTrace, values: Sequence[Traced], made: Callable[[list[CallResult]], CallResult]
) -> Traced:
    """Positions joined element by element, by one call that gives all of them one scale."""
    alike = {tuple(id(one.call) for one in value.tensors): value for value in values}
    wholes = {key: _all(trace, value) for key, value in alike.items()}
    done = made([wholes[tuple(id(one.call) for one in value.tensors)] for value in values])
    first = values[0]
    parts = _cut(trace, done, first.members.size, _features(first))
    return Traced(first.axes, members_of(parts, first.members))


def whole_of(trace: CallTrace, value: Traced) -> CallResult:
    """The one tensor that a value is, or of which its positions are the parts."""
    return _all(trace, value) if has_positions(value) else value.tensor


def as_whole(trace: CallTrace, value: Traced, tensor: CallResult) -> Traced:
    """The value with another tensor in the place of `whole_of` it."""
    if not has_positions(value):
        return value.each(lambda _: tensor)
    parts = _cut(trace, tensor, value.members.size, _features(value))
    return Traced(value.axes, members_of(parts, value.members))


def _signal(value: Traced) -> list[CallResult] | None:
    """The tensors of positions; None where the features themselves are the signal."""
    return value.tensors if has_positions(value) else None


def _features(value: Traced) -> int:
    (width,) = [atom.size for atom in value.atoms if atom.kind is AxisKind.FEATURES]
    assert width is not None  # a convolution made them
    return width


def _read(trace: CallTrace, value: Traced, places: list[int]) -> list[CallResult]:
    """What a window reads of a signal."""
    signal = _signal(value)
    if signal is not None:
        return [signal[place] for place in places]
    first, last = places[0], places[-1]
    if places == list(range(first, last + 1)):
        return [sliced_features(trace, value.tensor, first, last + 1)]
    return [sliced_features(trace, value.tensor, place, place + 1) for place in places]


def _beside(trace: CallTrace, tensors: Sequence[CallResult]) -> CallResult:
    if len(tensors) == 1:
        return tensors[0]
    return trace.call(trace.layer("Concatenate", {"axis": -1}), list(tensors))


def _cut(trace: CallTrace, whole: CallResult, count: int, width: int) -> list[CallResult]:
    """A tensor in parts of equal width, which are known to be those of it."""
    if count == 1:
        return [whole]
    parts = [
        sliced_features(trace, whole, index * width, (index + 1) * width) for index in range(count)
    ]
    for index, part in enumerate(parts):
        trace.parts[id(part.call)] = (whole, index, count)
    return parts


def _whole(trace: CallTrace, tensors: Sequence[CallResult]) -> tuple[CallResult, int]:
    """The tensor that the first of these make together, and how many they are."""
    whole, first, count = trace.parts.get(id(tensors[0].call), (tensors[0], 0, 1))
    known = [trace.parts.get(id(tensor.call), (None, 0, 0)) for tensor in tensors[:count]]
    if first == 0 and [(id(w), at) for w, at, _ in known] == [(id(whole), i) for i in range(count)]:
        return whole, count
    return tensors[0], 1


def _all(trace: CallTrace, value: Traced) -> CallResult:
    """All positions in one tensor."""
    whole, count = _whole(trace, value.tensors)
    return whole if count == value.members.size else _beside(trace, value.tensors)
