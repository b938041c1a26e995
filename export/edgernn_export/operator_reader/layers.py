"""Operators that compute: the described layers that stand for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.keras_reader.graph import CallResult
from edgernn_export.keras_reader.layers.readers import RECIPROCAL, ROOT
from edgernn_export.operator_reader.normalizations import statistic, written_layer_norm
from edgernn_export.operator_reader.patterns import known_product
from edgernn_export.operator_reader.positions import (
    as_whole,
    each_together,
    has_positions,
    joined_together,
    whole_of,
)
from edgernn_export.operator_reader.trace import (
    CallTrace,
    OperatorRefused,
    check_steps,
    check_width,
    told,
)
from edgernn_export.operator_reader.values import (
    MOST_MEMBERS,
    Atom,
    Axis,
    AxisKind,
    Traced,
    members_of,
)

_AGAIN: Final = "Export the network again."
_CAUSAL: Final = (
    "A stream has no later readings: train with zeros before the first step alone, {reach} of "
    "them, or with none."
)


def dense(
    trace: CallTrace, value: Traced, place: int, kernel: FloatArray, bias: FloatArray | None
) -> Traced:
    """A matrix [I, O] applied to the features of every step, and a bias [O].

    Raises:
        OperatorRefused: the axis is not that of the features, or of another size.
    """
    value = trace.need(value, place, AxisKind.FEATURES)
    check_width(value, place, len(kernel))
    weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
    layer = trace.layer("Dense", {"use_bias": bias is not None}, weights)
    made = value.each(lambda tensor: trace.call(layer, [tensor]))
    return made.with_axis(place, (Atom(AxisKind.FEATURES, kernel.shape[1]),))


def function(trace: CallTrace, value: Traced, applied: PointwiseFunction) -> Traced:
    """A function of each value."""
    layer = trace.layer("Activation", {"activation": applied})
    return each_together(trace, value, lambda tensor: trace.call(layer, [tensor]))


def rooted(trace: CallTrace, value: Traced) -> Traced:
    """The root of the sum of two squares, or of a variance.

    Raises:
        OperatorRefused: it is the root of something else.
    """
    made = statistic(trace, value, ROOT)
    if made is not None:
        return made
    legs = _legs(whole_of(trace, value))
    if legs is None:
        raise OperatorRefused(
            "the root of a sum of two squares", "another root",
            "Train without it, or compute it outside the network.",
        )  # fmt: skip
    return as_whole(trace, value, trace.call(trace.operation("Hypot"), legs))


def _legs(tensor: CallResult) -> list[CallResult] | None:
    """What the squares are of, whose sum a tensor is."""
    squares = tensor.call.inputs
    if tensor.call.layer.stored_class != "Add" or len(squares) != 2:
        return None
    pairs = [square.call.inputs for square in squares]
    known = all(square.call.layer.stored_class == "Multiply" for square in squares)
    if not known or not all(len(p) == 2 and p[0] == p[1] for p in pairs):
        return None
    return [pair[0] for pair in pairs]


def softmax(trace: CallTrace, value: Traced, place: int) -> Traced:
    """The softmax over the features."""
    value = trace.need(value, place, AxisKind.FEATURES)
    layer = trace.layer("Softmax", {"axis": -1})
    return value.each(lambda tensor: trace.call(layer, [tensor]))


def slopes(trace: CallTrace, value: Traced, slope: FloatArray) -> Traced:
    """Values below 0 times a slope [F] of their feature, or times one for all."""
    value, slope = _along_features(trace, value, slope)
    if slope.size == 1:
        negative = float(slope.reshape(()))
        return function(trace, value, PointwiseFunction.of("relu", negative_slope=negative))
    layer = trace.layer("PReLU", {"shared_axes": (1,)}, {"alpha": slope[None]})
    return value.each(lambda tensor: trace.call(layer, [tensor]))


def with_constant(
    trace: CallTrace, kind: str, value: Traced, constant: FloatArray, *, before: bool
) -> Traced:
    """A value and a constant: one number, or one per feature.

    Args:
        trace: takes calls.
        kind: Add, Subtract, Multiply or Divide.
        value: any value.
        constant: broadcast to the value as NumPy does it.
        before: the constant comes first.

    Raises:
        OperatorRefused: the constant differs from step to step.
    """
    neutral = 0.0 if kind in ("Add", "Subtract") else 1.0
    idle = not before or kind in ("Add", "Multiply")
    if idle and constant.ndim <= value.rank and constant.size and np.all(constant == neutral):
        return value
    value, constant = _along_features(trace, value, constant, spread=True)
    layer = trace.operation(kind)
    given = {"first" if before else "second": constant}
    return value.each(lambda tensor: trace.call(layer, [tensor], **given))


def merged(trace: CallTrace, kind: str, values: Sequence[Traced]) -> Traced:
    """Several values joined element by element.

    Args:
        trace: takes calls.
        kind: Add, Average, Maximum, Minimum, Multiply or Subtract.
        values: broadcast as NumPy does it.

    Raises:
        OperatorRefused: their axes do not fit.
    """
    rank = max(value.rank for value in values)
    padded = [Traced(((),) * (rank - v.rank) + v.axes, v.members) for v in values]
    padded = [_needed_as(trace, value, padded) for value in padded]
    axes: list[Axis] = []
    for place in range(rank):
        found = [value.axes[place] for value in padded if value.axes[place]]
        kinds = {tuple(atom.kind for atom in axis) for axis in found}
        if len(kinds) > 1:
            raise OperatorRefused(
                "inputs with the same axes",
                " and ".join(f"the {told(axis)}" for axis in found[:2]),
                "Train with tensors of one shape.",
            )
        axes.append(max(found, key=_extent) if found else ())
    shapes = {value.members.shape for value in padded}
    if len(shapes) == 1 and all(map(has_positions, padded)):
        made = joined_together(trace, padded, lambda tensors: _merged(trace, kind, tensors))
        return Traced(tuple(axes), made.members)
    shape = np.broadcast_shapes(*shapes)
    rows = [np.broadcast_to(value.members, shape).reshape(-1) for value in padded]
    members = [_merged(trace, kind, list(row)) for row in zip(*rows, strict=True)]
    return Traced(tuple(axes), members_of(members, np.empty(shape, dtype=object)))


def divided(trace: CallTrace, first: Traced | FloatArray, second: Traced) -> Traced:
    """A value, or a constant, divided by a deviation, as normalizations do.

    Raises:
        OperatorRefused: the divisor is something else.
    """
    below = statistic(trace, second, RECIPROCAL)
    if below is None:
        above = "a value" if isinstance(first, Traced) else "a constant"
        raise OperatorRefused(
            "a division by a constant", f"{above} divided by one that depends on the readings",
            "Integer models have no division. Train without it.",
        )  # fmt: skip
    if isinstance(first, Traced):
        return merged(trace, "Multiply", [first, below])
    return with_constant(trace, "Multiply", below, first, before=False)


def _merged(trace: CallTrace, kind: str, tensors: list[CallResult]) -> CallResult:
    """Tensors joined element by element, or the layer whose arithmetic that is the end of."""
    known = known_product(*tensors) if kind == "Multiply" and len(tensors) == 2 else None
    if known is None:
        made = trace.call(trace.layer(kind), tensors)
        return written_layer_norm(trace, made) or made
    text, start, factor = known
    layer = trace.layer("Activation", {"activation": PointwiseFunction.parse(text)})
    made = trace.call(layer, [start])
    if factor == 1.0:
        return made
    return trace.call(trace.operation("Multiply"), [made], second=np.array(factor))


def embedded(trace: CallTrace, table: FloatArray, tokens: Traced) -> Traced:
    """The rows of a table [V, E] that tokens number; several tokens at a step are a stack."""
    layer = trace.layer("Embedding", {}, {"embeddings": table})
    width = table.shape[1]
    made = tokens.each(lambda tensor: trace.call(layer, [tensor]))
    count = next((atom.size for atom in tokens.atoms if atom.kind is AxisKind.FEATURES), None)
    if (count or 0) > MOST_MEMBERS:
        raise OperatorRefused(
            f"at most {MOST_MEMBERS} tokens per step", f"{count}", "Train with fewer tokens."
        )
    axes = (*tokens.axes, (Atom(AxisKind.FEATURES, width),))
    if count is None:
        return Traced(axes, made.members)
    steps = (-1,) if tokens.has(AxisKind.TIME) else ()
    flat = trace.layer("Reshape", {"target_shape": (*steps, count * width)})
    made = made.each(lambda tensor: trace.call(flat, [tensor]))
    item = trace.operation("GetItem")
    slices = [
        [
            trace.call(item, [tensor], second=(..., slice(i * width, (i + 1) * width)))
            for i in range(count)
        ]
        for tensor in made.tensors
    ]
    parts = [tensor for row in slices for tensor in row]
    members = members_of(parts, np.empty((*made.members.shape, count), dtype=object))
    renamed = tuple(
        tuple(Atom(AxisKind.STACK, a.size) if a.kind is AxisKind.FEATURES else a for a in axis)
        for axis in tokens.axes
    )
    return Traced((*renamed, axes[-1]), members)


def convolved(
    trace: CallTrace,
    value: Traced,
    kernel: FloatArray,
    bias: FloatArray | None,
    *,
    stride: int,
    dilation: int,
    padding: tuple[int, int],
    groups: int,
) -> Traced:
    """A convolution over the steps of a value with axes (batch, features, time).

    Args:
        trace: takes calls.
        value: what it reads.
        kernel: [O, I / groups, K].
        bias: [O].
        stride: in steps.
        dilation: in steps.
        padding: zeros before the first and behind the last step.
        groups: 1, or the number of features.

    Returns:
        The value; with as many late steps as there are zeros behind the last one.

    Raises:
        OperatorRefused: it reads later steps, or has other groups.
    """
    value = steps_last(trace, value)
    check_steps(stride, kernel.shape[2] * dilation, *padding)
    count, width = kernel.shape[2], kernel.shape[1] * groups
    check_width(value, 1, width)
    if bias is not None and bias.shape != (len(kernel),):
        raise OperatorRefused(f"a bias of {len(kernel)} filters", f"shape {bias.shape}", _AGAIN)
    reach = (count - 1) * dilation
    late = padding[1] if padding[0] == reach and stride == 1 and padding[1] <= reach else 0
    if (padding[0], padding[1] - late) not in ((0, 0), (reach, 0)):
        raise OperatorRefused(
            f"{reach} zeros before the first step and none behind the last, or none at all",
            f"{padding[0]} and {padding[1]}",
            _CAUSAL.format(reach=reach),
        )
    config: dict[str, Any] = {
        "kernel_size": (count,), "strides": (stride,), "dilation_rate": (dilation,),
        "padding": "causal" if padding[0] else "valid", "use_bias": bias is not None,
    }  # fmt: skip
    extra = {} if bias is None else {"bias": bias}
    if groups == 1:
        config["filters"] = len(kernel)
        layer = trace.layer("Conv1D", config, {"kernel": kernel.transpose(2, 1, 0), **extra})
    elif groups == width == len(kernel):
        config["depth_multiplier"] = 1
        rows = kernel[:, 0].T[:, :, None]
        layer = trace.layer("DepthwiseConv1D", config, {"kernel": rows, **extra})
    else:
        raise OperatorRefused(
            "one group, or one group for every feature with one filter each",
            f"{groups} groups of {kernel.shape[1]} features and {len(kernel)} filters",
            "Train with one group, or slice the features, convolve each slice and join the "
            "results.",
        )
    made = value.each(lambda tensor: trace.call(layer, [tensor]))
    made = made.with_axis(1, (Atom(AxisKind.FEATURES, len(kernel)),))
    made = with_steps(made, reach - padding[0] - late, stride)
    return replace(made, late=late)


def padded(trace: CallTrace, value: Traced, place: int, rows: int) -> Traced:
    """Zeros before the first step, for a convolution behind them."""
    value = trace.need(value, place, AxisKind.TIME)
    check_steps(rows)
    layer = trace.layer("ZeroPadding1D", {"padding": (rows, 0)})
    made = value.each(lambda tensor: trace.call(layer, [tensor]))
    size = value.axes[place][0].size
    return made.with_axis(place, (Atom(AxisKind.TIME, None if size is None else size + rows),))


def steps_last(trace: CallTrace, value: Traced) -> Traced:
    """The value as (batch, features, time).

    Raises:
        OperatorRefused: it is another one.
    """
    if value.rank != 3:
        raise OperatorRefused(
            "an input of axes (batch, features, time)", f"{value.rank} axes",
            "Train with convolutions over the steps alone (Conv1d).",
        )  # fmt: skip
    for place, kind in enumerate((AxisKind.BATCH, AxisKind.FEATURES, AxisKind.TIME)):
        value = trace.need(value, place, kind)
    return value


def with_steps(value: Traced, fewer: int, stride: int) -> Traced:
    """The value with as many steps as are left."""
    size = value.axes[2][0].size
    left = None if size is None else -(-(size - fewer) // stride)
    return value.with_axis(2, (Atom(AxisKind.TIME, left),))


def _along_features(
    trace: CallTrace, value: Traced, constant: FloatArray, *, spread: bool = False
) -> tuple[Traced, FloatArray]:
    """A constant as one number or [F], and the value with the axes that it gets of it.

    Args:
        trace: takes calls.
        value: any value.
        constant: broadcast to the value as NumPy does it.
        spread: a value of one feature becomes one of as many as there are constants.
    """
    if constant.ndim > value.rank:
        missing = constant.ndim - value.rank
        value = Traced(((),) * missing + value.axes, value.members)
    if constant.size == 1:
        return value, constant.reshape(())
    start = value.rank - constant.ndim
    wide = [start + place for place, size in enumerate(constant.shape) if size != 1]
    if len(wide) > 1:
        raise OperatorRefused(
            "one number, or one per feature", f"a constant of shape {constant.shape}",
            "Train with one constant per feature.",
        )  # fmt: skip
    value = trace.need(value, wide[0], AxisKind.FEATURES)
    if spread and value.axes[wide[0]][0].size == 1:
        value = dense(trace, value, wide[0], np.ones((1, constant.size)), None)
    check_width(value, wide[0], constant.size)
    return value, constant.reshape(-1)


def _needed_as(trace: CallTrace, value: Traced, others: Sequence[Traced]) -> Traced:
    """The value with joined stacks as features where others have features."""
    for place in range(value.rank):
        axis = value.axes[place]
        if not axis:
            continue
        for other in others:
            theirs = other.axes[place]
            kind = theirs[0].kind if len(theirs) == 1 else None
            settles = kind is AxisKind.FEATURES and axis != theirs and len(axis) > 1
            if settles or (kind and len(axis) == 1 and axis[0].kind is None):
                value = trace.need(value, place, kind or AxisKind.FEATURES)
                break
    return value


def _extent(axis: Axis) -> int:
    """How much an axis has to say against one of size 1."""
    sizes = [atom.size for atom in axis]
    return 2**62 if None in sizes else int(np.prod([size for size in sizes if size], dtype=object))
