"""Pooling: the largest, or the mean, of some steps or of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn_export.operator_reader import layers
from edgernn_export.operator_reader.normalizations import mean
from edgernn_export.operator_reader.selections import picked
from edgernn_export.operator_reader.shapes import squeezed, unsqueezed
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused, check_steps, told
from edgernn_export.operator_reader.values import AxisKind, Traced, size_of

#: What a pooling over all steps gives of them.
MEAN: Final = "mean"
LARGEST: Final = "largest"
SUM: Final = "sum"


def pooled(trace: CallTrace, value: Traced, *, largest: bool, count: int, stride: int) -> Traced:
    """The largest, or the mean, of steps of a value with axes (batch, features, time)."""
    value = layers.steps_last(trace, value)
    check_steps(count, stride)
    config = {"pool_size": (count,), "strides": (stride,), "padding": "valid"}
    layer = trace.layer("MaxPooling1D" if largest else "AveragePooling1D", config)
    made = value.each(lambda tensor: trace.call(layer, [tensor]))
    return layers.with_steps(made, count - 1, stride)


def reduced(
    trace: CallTrace,
    value: Traced,
    places: Sequence[int],
    what: str,
    *,
    keep: bool,
    of_steps: bool = False,
) -> Traced:
    """The mean, the sum or the largest of all steps of a window, or of features.

    Args:
        trace: takes calls.
        value: any value.
        places: of the axes that are reduced, from the start or the end.
        what: `MEAN`, `SUM` or `LARGEST`.
        keep: an axis of size 1 stays in their places.
        of_steps: the axes are those of steps, whatever else they could be.

    Raises:
        OperatorRefused: other axes would be reduced, or there are any number of steps.
    """
    found = sorted({place % value.rank for place in places})
    for place in found:
        if size_of(value.axes[place]) != 1:
            value = _over_one(trace, value, place, what, of_steps)
    return value if keep else squeezed(trace, value, found)


def _over_one(trace: CallTrace, value: Traced, place: int, what: str, of_steps: bool) -> Traced:
    axis = value.axes[place]
    kinds = {atom.kind for atom in axis}
    last = kinds == {None} and place == value.rank - 1
    if what != LARGEST and not of_steps and (last or kinds == {AxisKind.FEATURES}):
        return _over_features(trace, value, place, what)
    if trace.is_trial and kinds == {None} and not of_steps:  # who else reads it says what it is
        return value.with_axis(place, ())
    if kinds == {AxisKind.STACK}:
        return _over_stack(trace, value, place, what)
    if len(axis) != 1 or not kinds <= {AxisKind.TIME, None}:
        raise OperatorRefused(
            f"the {what} of all steps" + ", or of features" * (what != LARGEST),
            f"one over the {told(axis)}", "Train without it, or with a layer of weights instead.",
        )  # fmt: skip
    value = trace.need(value, place, AxisKind.TIME)
    steps = value.axes[place][0].size
    if steps is None:
        cure = trace.findings.wording.fixed_steps
        raise OperatorRefused("windows of a fixed number of steps", "any number", cure)
    check_steps(steps)
    kind = "GlobalMaxPooling1D" if what == LARGEST else "GlobalAveragePooling1D"
    layer = trace.layer(kind)
    made = value.each(lambda tensor: trace.call(layer, [tensor])).with_axis(place, ())
    return _times(trace, made, float(steps)) if what == SUM else made


def _over_features(trace: CallTrace, value: Traced, place: int, what: str) -> Traced:
    """A matrix of one column."""
    if what == MEAN:
        return mean(trace, value, [place], keep=True)
    width = size_of(value.axes[place])
    if not isinstance(width, int):
        raise OperatorRefused(
            "a fixed number of features", "an open one", "Export the network again."
        )
    return layers.dense(trace, value, place, np.ones((width, 1)), None)


def _over_stack(trace: CallTrace, value: Traced, place: int, what: str) -> Traced:
    """Directions or layers, one joined with the other."""
    count = int(np.prod([atom.size or 1 for atom in value.axes[place]]))
    parts = [picked(trace, value, place, index) for index in range(count)]
    made = parts[0]
    if count > 1:
        made = layers.merged(trace, "Maximum" if what == LARGEST else "Add", parts)
    made = _times(trace, made, 1.0 / count) if what == MEAN else made
    return unsqueezed(made, [place])


def _times(trace: CallTrace, value: Traced, factor: float) -> Traced:
    return layers.with_constant(trace, "Multiply", value, np.array(factor), before=False)
