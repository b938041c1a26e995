"""What convolutions read: rows that delays hold, or that a step has itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgernn.model.formats import MAX_WIDTH, FloatArray
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT, Route, RoutePart, within
from edgernn_export.float_model.layers import DENSE_ACTIVATIONS
from edgernn_export.float_model.model import FloatDelay, FloatDenseRows, FloatLayer, FloatMerge
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.flows import Flow, refuse_ahead, unknown
from edgernn_export.keras_reader.layers.layer_parts import (
    DenseRowsPart,
    DepthwisePart,
    LayerPart,
    MergePart,
    PoolPart,
    RowsPart,
    WholePoolPart,
)

#: Adds a layer that reads a route; what it puts out.
Put = Callable[[FloatLayer, Route], Route]


def check_padding(flow: Flow, part: RowsPart, findings: Findings) -> None:
    """Note a convolution before which there are not as many rows of zeros as it reads."""
    reach = (part.count - 1) * part.dilation
    given = 0 if flow.padded is None else flow.padded.rows
    if given in ((0,) if part.padded else (0, reach)):
        return
    findings.add(
        part.owner,
        f"{reach} rows of zeros before the stream, or none",
        f"{given} before padding='{'causal' if part.padded else 'valid'}'",
        f"Use ZeroPadding1D(({reach}, 0)) before padding='valid', or no padding layer.",
    )


def held_rows(flow: Flow, part: RowsPart, put: Put, findings: Findings) -> Flow:
    """The rows that a convolution looks at, the newest first.

    Args:
        flow: what it reads, of a known shape.
        part: which rows.
        put: takes the delays.
        findings: receives reasons.
    """
    reach = (part.count - 1) * part.dilation
    padded = part.padded or flow.padded is not None
    flow = replace(flow, padded=None)
    grid = flow.grid.coarser(part.stride, 0 if padded else reach)
    steps = flow.shape[0] if flow.shape else None
    if steps is not None:
        steps = -(-(steps - (0 if padded else reach)) // part.stride)
    if part.count == 1:
        return replace(flow, shape=(steps, flow.width), grid=grid, last=part)
    start = _start(flow, part.owner, findings) if padded else np.zeros(flow.width)
    sides = [piece.source == MODEL_INPUT for piece in flow.route]
    held = {side: _delay(flow, part, start, side, put, padded) for side in sorted(set(sides))}
    route: list[RoutePart] = []
    for back in range(part.count):
        used = dict.fromkeys(held, 0)
        for piece, side in zip(flow.route, sides, strict=True):
            source, width = held[side]
            first = back * part.dilation * width + used[side]
            route.append(RoutePart(source=source, start=first, width=piece.width))
            used[side] += piece.width
    pending = flow.pending
    if pending is not None:
        gain, offset = (np.tile(values, part.count) for values in flow.scaling)
        pending = replace(pending, gain=gain, offset=offset)
    shape = (steps, part.count * flow.width)
    return replace(flow, route=tuple(route), shape=shape, pending=pending, last=part, grid=grid)


def summed_rows(flow: Flow, part: DepthwisePart, put: Put) -> Flow:
    """The sum of rows that follow one another, each times its own constants."""
    count, width = part.gain.shape
    gain, offset = (values.reshape(count, width) for values in flow.scaling)
    offset = offset * part.gain
    offset[0] += part.bias
    layer = FloatMerge(
        name=part.name,
        operation=MergeOperation.SUM,
        gain=gain * part.gain,
        offset=offset,
        trained=True,
    )
    return _joined(flow, layer, part.owner, put)


def pooled_rows(flow: Flow, part: PoolPart, put: Put) -> Flow:
    """The largest, or the mean, of rows that follow one another."""
    gain, offset = (values.reshape(part.count, -1) for values in flow.scaling)
    share = 1.0 if part.largest else 1.0 / part.count
    layer = FloatMerge(
        name=part.name,
        operation=MergeOperation.MAXIMUM if part.largest else MergeOperation.SUM,
        gain=gain * share,
        offset=offset * share,
    )
    return _joined(flow, layer, part.owner, put)


def whole_pooled(
    flow: Flow,
    part: WholePoolPart,
    added: Callable[[Flow, LayerPart], Flow],
    recurrent: bool,
    findings: Findings,
) -> Flow:
    """The largest, or the mean, of all steps of a window, at its last step.

    Args:
        flow: what it reads.
        part: which of both.
        added: the flow after a part.
        recurrent: a layer before it has a state, which no output may come later than.
        findings: receives reasons.
    """
    check_every_step(findings, part.owner, flow, 2)
    if flow.shape is None or len(flow.shape) != 2 or flow.last_step_alone:
        return unknown(part.owner)
    steps = flow.shape[0]
    if steps is None or steps * flow.width > MAX_WIDTH:
        wanted = f"at most {MAX_WIDTH} values" if steps else "a fixed number of steps"
        findings.add(
            part.owner,
            f"windows of {wanted} before a pooling over all of them",
            f"{steps} steps of {flow.width}" if steps else "any number",
            "Pool some steps before it, or train with shorter windows."
            if steps
            else findings.wording.fixed_steps,
        )
        return unknown(part.owner)
    grid, done = flow.grid, 1
    for count in _stages(steps):
        name = part.name if count * done == steps else f"{part.name}_part"
        rows = RowsPart(
            owner=part.owner, name=f"{name}_rows", count=count, dilation=done, padded=False
        )
        pool = PoolPart(owner=part.owner, name=name, count=count, largest=part.largest)
        flow = added(flow, rows)
        # Answers before the end of a window are none of the network's; a state needs all steps.
        flow = added(replace(flow, grid=grid) if recurrent else flow, pool)
        done *= count
    return flow.last_step()


def _stages(steps: int) -> tuple[int, ...]:
    """Numbers of steps, or of earlier results, that are pooled one after another.

    The product is the number of steps. A stage rounds every value that it adds up, so that two
    short ones are nearer to the mean than a long one, and take less time.
    """
    first = max(n for n in range(1, math.isqrt(steps) + 1) if steps % n == 0)
    return tuple(count for count in (first, steps // first) if count > 1)


def _joined(flow: Flow, layer: FloatMerge, owner: str, put: Put) -> Flow:
    """A merge of rows that follow one another."""
    return replace(
        flow,
        route=put(layer, flow.route),
        shape=(*(flow.shape or ())[:-1], layer.units),
        pending=None,
        last=MergePart(owner=owner),
    )


def _start(flow: Flow, owner: str, findings: Findings) -> FloatArray:
    """What a scaling makes 0 of, per feature: Keras pads behind the scaling."""
    gain, offset = flow.scaling
    if np.any((gain == 0.0) & (offset != 0.0)):
        cure = "Train without the features that a scaling makes constant."
        findings.add(owner, "a scaling that can output 0", "a gain of 0", cure)
    start: FloatArray = -offset / np.where(gain == 0.0, 1.0, gain) + 0.0
    return start


def _delay(
    flow: Flow, part: RowsPart, start: FloatArray, of_input: bool, put: Put, padded: bool
) -> tuple[int, int]:
    """Hold rows of the model's input, or of layers; the delay's place and its width."""
    pieces, starts, at = [], [], 0
    for piece in flow.route:
        if (piece.source == MODEL_INPUT) == of_input:
            pieces.append(piece)
            starts.append(start[at : at + piece.width])
        at += piece.width
    row = np.concatenate(starts)
    depth = (part.count - 1) * part.dilation + 1
    layer = FloatDelay(name=part.name, depth=depth, start=row, padded=padded)
    (made,) = put(layer, tuple(pieces))
    return made.source, row.size


def check_every_step(findings: Findings, owner: str, flow: Flow, axes: int) -> None:
    """Note a layer that is given the last step alone, or steps that look ahead."""
    shape = flow.shape
    refuse_ahead(findings, owner, flow)
    if flow.last_step_alone or (shape and len(shape) != axes):
        findings.add(
            owner,
            "every step of the previous layer",
            "only its last step" if flow.last_step_alone else f"shape {shape}",
            findings.wording.every_step,
        )


def columns_alike(route: Route, count: int) -> bool:
    """Whether the same columns of all rows of a route come from one source each."""
    sources = [part.source for part in route for _ in range(part.width)]
    width = len(sources) // count
    return all(len(set(sources[column::width])) == 1 for column in range(width))


def activated_rows(
    flow: Flow, layers: Sequence[FloatLayer], activation: str
) -> FloatDenseRows | None:
    """The linear Dense of rows just before, with an activation; None where there is none."""
    plain = flow.pending is None and isinstance(flow.last, DenseRowsPart)
    if not plain or activation not in DENSE_ACTIVATIONS:
        return None
    layer = layers[flow.source]
    if not isinstance(layer, FloatDenseRows) or layer.dense.activation != "linear":
        return None
    return replace(layer, dense=replace(layer.dense, activation=activation))


def read_rows_alone(
    layers: Sequence[FloatLayer], routes: Sequence[Route]
) -> tuple[list[FloatLayer], list[Route]]:
    """A network without the first and last rows of a Dense of rows that nothing reads.

    Args:
        layers: in order.
        routes: what they read, and what the network puts out.
    """
    made, wired = list(layers), list(routes)
    for index in reversed(range(len(made))):
        layer = made[index]
        if not isinstance(layer, FloatDenseRows):
            continue
        width = layer.dense.units
        ends = [
            (part.start, part.start + part.width)
            for route in wired
            for part in route
            if part.source == index
        ]
        first = min(start for start, _ in ends) // width
        count = -(-max(end for _, end in ends) // width) - first
        if count == layer.count:
            continue
        own = replace(layer, count=count) if count > 1 else layer.dense
        made[index] = own
        wired[index] = _within(wired[index], first * layer.dense.inputs, own.inputs)
        wired = [
            tuple(
                replace(part, start=part.start - first * width) if part.source == index else part
                for part in route
            )
            for route in wired
        ]
    return made, wired


def _within(route: Route, start: int, width: int) -> Route:
    """Consecutive elements of what a route reads."""
    found = within([part.width for part in route], start, width)
    return tuple(
        replace(route[part.source], start=route[part.source].start + part.start, width=part.width)
        for part in found
    )


def unpadded(flow: Flow, findings: Findings) -> Flow:
    """Note rows of zeros that no convolution takes up."""
    if flow.padded is not None:
        findings.add(
            flow.padded.owner,
            "a convolution with padding='valid' after it",
            "another layer",
            "Move it directly before the convolution.",
        )
    return replace(flow, padded=None)
