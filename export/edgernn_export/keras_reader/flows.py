"""What flows from call to call of a network, and what folds into the layers that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.routes import MODEL_INPUT, Route, RoutePart
from edgernn.model.scales import MAX_NORMALIZED
from edgernn_export.float_model.model import FloatCell, FloatDense, FloatLayerNorm, FloatRecurrent
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.layers.layer_parts import (
    LayerPart,
    PaddingPart,
    ScalePart,
    Shape,
    ShapePart,
    UnknownPart,
)

Weighted = FloatRecurrent | FloatDense


@dataclass(frozen=True, slots=True)
class Grid:
    """At which readings something has a value: offset, offset + stride, offset + 2 stride, ….

    Attributes:
        stride: readings from one value to the next.
        offset: the reading of the first one, from 0.
    """

    stride: int = 1
    offset: int = 0

    def coarser(self, stride: int, reach: int) -> Grid:
        """That of every stride-th value from the one on that has reach values before it."""
        return Grid(self.stride * stride, self.offset + self.stride * reach)

    def __str__(self) -> str:
        """For people."""
        every = "every reading" if self.stride == 1 else f"every {self.stride} readings"
        return f"{every}, starting at reading {self.offset + 1}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """What a call of the network gives: where its values come from, and what is still to be done.

    Attributes:
        route: elements of the input and of layers; empty behind a layer that was refused.
        shape: without the batch; None where it is unknown.
        last: what it came through last; None for an input, or for several values side by side.
        pending: a scaling that the next layer takes up.
        softmax: it ends in a softmax.
        last_step_alone: of the last step, where there are others.
        return_sequences: every step gives one.
        tokens: what embeddings alone read. The shape is that of Keras: a token may have no axis.
        padded: rows of zeros come before its first, for a convolution to use.
        grid: at which readings it has a value.
        masked: Keras gives it the mask of the network.
        held: at a masked step its values are those of the step before.
        ahead: the layer of attention whose steps, except the last one, depend on later readings;
            "" where none does.
    """

    route: Route
    shape: Shape | None
    last: LayerPart | None = None
    pending: ScalePart | None = None
    softmax: bool = False
    last_step_alone: bool = False
    return_sequences: bool = True
    tokens: bool = False
    padded: PaddingPart | None = None
    grid: Grid = Grid()
    masked: bool = False
    held: bool = False
    ahead: str = ""

    @property
    def width(self) -> int:
        """Number of features."""
        return sum(part.width for part in self.route)

    @property
    def source(self) -> int:
        """The layer that its first feature comes from."""
        return self.route[0].source

    @property
    def owner(self) -> str:
        """How reasons name what it came through last."""
        if self.last is not None:
            return self.last.owner
        return "the input" if self.given else "a slice or concatenation"

    @property
    def given(self) -> bool:
        """Whether all of it is the model's input."""
        return all(part.source == MODEL_INPUT for part in self.route)

    @property
    def scaling(self) -> tuple[FloatArray, FloatArray]:
        """Gain and offset of every feature."""
        if self.pending is None:
            return np.ones(self.width), np.zeros(self.width)
        return (
            per_feature(self.pending.gain, self.width),
            per_feature(self.pending.offset, self.width),
        )

    def sliced(self, start: int, stop: int) -> Flow:
        """Consecutive features."""
        if self.shape is None:
            return self
        route, at = [], 0
        for part in self.route:
            low, high = max(start - at, 0), min(stop - at, part.width)
            if low < high:
                route.append(
                    RoutePart(source=part.source, start=part.start + low, width=high - low)
                )
            at += part.width
        pending = self.pending
        if pending is not None:
            gain, offset = (values[start:stop] for values in self.scaling)
            pending = ScalePart(owner=pending.owner, gain=gain, offset=offset)
        shape = (*self.shape[:-1], stop - start)
        return replace(self, route=tuple(route), shape=shape, pending=pending, last=None)

    def last_step(self) -> Flow:
        """The last step alone."""
        if self.shape is None or len(self.shape) == 1:
            return self
        return replace(
            self,
            shape=self.shape[-1:],
            last_step_alone=self.last_step_alone or self.shape[0] != 1,
            return_sequences=False,
            ahead="",
        )


def unknown(owner: str, recurrent: bool = False) -> Flow:
    """What a layer gives that was refused."""
    return Flow(route=(), shape=None, last=UnknownPart(owner=owner, recurrent=recurrent))


def same_steps(before: Shape, after: Shape) -> bool:
    """Whether two shapes have as many steps; one step needs no axis."""
    if len(before) > 2 or len(after) > 2:
        return False
    was, now = (shape[0] if len(shape) == 2 else 1 for shape in (before, after))
    return was == now or (len(before) == len(after) == 2 and None in (was, now))


def fold_into(layer: Weighted, scale: ScalePart) -> Weighted:
    """Let a layer take up the scaling of its input."""
    gain = per_feature(scale.gain, layer.inputs)
    offset = per_feature(scale.offset, layer.inputs)
    if isinstance(layer, FloatCell):
        return layer.scaled(gain, offset)
    bias = layer.bias + layer.kernel @ offset
    use_bias = layer.use_bias or bool(np.any(bias))
    return replace(layer, kernel=layer.kernel * gain, bias=bias, use_bias=use_bias)


def fold_back(layer: FloatDense | FloatLayerNorm, scale: ScalePart) -> FloatDense | FloatLayerNorm:
    """Let a linear Dense, or a layer normalization, take up the scaling of its output."""
    gain, offset = (per_feature(values, layer.units) for values in (scale.gain, scale.offset))
    if isinstance(layer, FloatLayerNorm):
        return replace(layer, gain=layer.gain * gain, offset=layer.offset * gain + offset)
    bias = layer.bias * gain + offset
    use_bias = layer.use_bias or bool(np.any(bias))
    return replace(layer, kernel=layer.kernel * gain[:, None], bias=bias, use_bias=use_bias)


def per_feature(values: FloatArray, width: int) -> FloatArray:
    """One value for every feature of what may be a scalar."""
    return np.broadcast_to(values, (width,))


def in_one(route: Route) -> Route:
    """The same route with neighbors of one source as one part."""
    made: list[RoutePart] = []
    for part in route:
        before = made[-1] if made else None
        if before and (before.source, before.start + before.width) == (part.source, part.start):
            made[-1] = replace(before, width=before.width + part.width)
        else:
            made.append(part)
    return tuple(made)


def leading_to(routes: Sequence[Route], output: Route) -> tuple[list[int], list[Route]]:
    """The layers that lead to an output, and their routes with that of the output.

    Args:
        routes: of all layers.
        output: what is put out of them.
    """
    needed: set[int] = {part.source for part in output}
    for index in reversed(range(len(routes))):
        if index in needed:
            needed |= {part.source for part in routes[index]}
    kept = sorted(index for index in needed if index != MODEL_INPUT)
    place = {MODEL_INPUT: MODEL_INPUT} | {index: number for number, index in enumerate(kept)}
    made = [
        in_one(tuple(replace(part, source=place[part.source]) for part in route))
        for route in (*(routes[index] for index in kept), output)
    ]
    return kept, made


def refuse_scale(findings: Findings, flow: Flow, part: ScalePart) -> None:
    """Note a scaling that no layer can take up."""
    findings.add(
        part.owner,
        "a scaling next to a linear layer that can absorb it",
        f"one after {flow.owner} without such a layer",
        findings.wording.identity_after,
    )


def refuse_wide(findings: Findings, owner: str, layer: FloatLayerNorm) -> None:
    """Note a layer normalization of more features than integers hold the sums of."""
    if layer.width > MAX_NORMALIZED:
        findings.add(
            owner,
            f"a layer normalization of at most {MAX_NORMALIZED} features",
            f"one of {layer.width}",
            "Train with fewer units, or with batch normalization, which has no limit.",
        )


def check_width(findings: Findings, owner: str, flow: Flow, width: int) -> None:
    """Note weights for another number of features than there are."""
    if flow.shape is not None and flow.shape[-1] != width:
        findings.add(
            owner,
            f"weights for the {flow.shape[-1]} features of its input",
            f"weights for {width}",
            "Pass the weights of this model.",
        )


def side_by_side(findings: Findings, owner: str, flows: Sequence[Flow], widths: set[int]) -> bool:
    """Whether vectors of these widths come at the same steps."""
    shapes = [flow.shape for flow in flows if flow.shape is not None]
    steps = {shape[0] if len(shape) == 2 else 0 for shape in shapes} - {None}
    if len({len(shape) for shape in shapes}) > 1 or len(steps) > 1:
        got = f"shapes {', '.join(str((None, *shape)) for shape in shapes)}"
        findings.add(owner, "vectors at the same steps", got, findings.wording.same_branches)
        return False
    grids = sorted({str(flow.grid) for flow in flows if flow.shape is not None})
    if len(grids) > 1:
        cure = findings.wording.same_grids
        findings.add(owner, "vectors at the same readings", "; ".join(grids), cure)
        return False
    if not {flow.width for flow in flows} <= widths:
        got = f"{', '.join(str(flow.width) for flow in flows)} features"
        findings.add(owner, "vectors of one width", got, "Save the model again.")
        return False
    return True


def beside(flows: Sequence[Flow], width: int, route: Route, last: LayerPart | None) -> Flow:
    """The flow of a route that several flows lead to."""
    shapes = [flow.shape for flow in flows if flow.shape is not None]
    known = [shape[0] for shape in shapes if len(shape) == 2 and shape[0] is not None]
    steps = known[0] if known else None
    return Flow(
        route=route,
        shape=(steps, width) if len(shapes[0]) == 2 else (width,),
        last=last,
        softmax=any(flow.softmax for flow in flows),
        last_step_alone=any(flow.last_step_alone for flow in flows),
        return_sequences=all(flow.return_sequences for flow in flows),
        grid=flows[0].grid,
        ahead=next((flow.ahead for flow in flows if flow.ahead), ""),
    )


def refuse_ahead(findings: Findings, owner: str, flow: Flow) -> None:
    """Note that something reads all steps of attention that looks ahead."""
    if flow.ahead and flow.shape is not None and len(flow.shape) == 2:
        findings.add(
            owner,
            "steps that depend on no later readings",
            f"those of {flow.ahead}, of which a stream has the last one alone",
            "Call it with use_causal_mask=True, or use its last step alone, as in x[:, -1].",
        )


def reshaped(flow: Flow, part: ShapePart, findings: Findings) -> Flow:
    """Take note of another shape; it must not change any step or its features."""
    before = flow.shape
    if before is None:
        return flow
    after = part.reshaped(before)
    if len(before) == 3 and after == (before[0], flow.width):
        return replace(flow, shape=after)
    if after is None or not same_steps(before, after) or before[-1] != after[-1]:
        findings.add(
            part.owner,
            "a layer that does not change the time axis",
            f"shape {before} turned into {after or 'another'}",
            findings.wording.last_step,
        )
        return replace(flow, shape=None)
    squeezed = len(before) == 2 and len(after) == 1
    return replace(flow, shape=after, return_sequences=flow.return_sequences and not squeezed)


def check_tokens(
    findings: Findings, owner: str, flows: Sequence[Flow], embedding: bool, reshapes: bool
) -> bool:
    """Note what reads tokens and is no embedding, or what embeddings cannot read.

    Args:
        findings: receives reasons.
        owner: how reasons name the layer.
        flows: what it reads.
        embedding: it is an embedding.
        reshapes: it gives its values another shape, at most.
    """
    known = [flow for flow in flows if flow.shape is not None]
    if embedding and not all(flow.tokens for flow in known):
        findings.add(
            owner,
            "an embedding of an integer input",
            "an embedding of a layer's output",
            "Compute the tokens outside the model and pass them as an input.",
        )
        return False
    if not embedding and any(flow.tokens for flow in known):
        findings.add(
            owner,
            "only embeddings after an input that one of them reads",
            "another layer",
            "Add a separate input for it.",
        )
        return False
    if not reshapes and any(flow.last and len(flow.shape or ()) == 3 for flow in known):
        findings.add(
            owner,
            "the rows of several tokens in one axis",
            "rows in an extra axis",
            "Add a Reshape((-1, count * columns)) after the embedding; the outputs do not change.",
        )
        return False
    return True
