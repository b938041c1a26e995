"""Join the parts into layers: fold scalings into weights, merge activations, note the routes.

A scaling y = gain * x + offset after a linear Dense becomes part of that Dense
(W' = gain W, b' = gain b + offset); anywhere else it becomes part of the next layer
(W' = W gain, b' = b + W offset), or of the merge that reads it. All are exact in real numbers; all
of it is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgernn.model.merges import MergeOperation
from edgernn.model.routes import Route, RoutePart
from edgernn_export.float_model.layers import DENSE_ACTIVATIONS
from edgernn_export.float_model.model import (
    MAX_RECURRENT_LAYERS,
    FloatDense,
    FloatEmbedding,
    FloatLayer,
    FloatLayerNorm,
    FloatMemory,
    FloatMerge,
)
from edgernn_export.float_model.sharing import WeightUse, WeightUses
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.flows import (
    Flow,
    Grid,
    Weighted,
    beside,
    check_width,
    fold_back,
    fold_into,
    leading_to,
    refuse_ahead,
    refuse_scale,
    refuse_wide,
    reshaped,
    side_by_side,
    unknown,
)
from edgernn_export.keras_reader.held_rows import (
    Put,
    activated_rows,
    check_every_step,
    check_padding,
    columns_alike,
    held_rows,
    pooled_rows,
    read_rows_alone,
    summed_rows,
    unpadded,
    whole_pooled,
)
from edgernn_export.keras_reader.layers.activations import SOFTMAX
from edgernn_export.keras_reader.layers.layer_parts import (
    ActivationPart,
    DensePart,
    DenseRowsPart,
    DepthwisePart,
    EmbeddingPart,
    LayerNormPart,
    LayerPart,
    MergePart,
    PaddingPart,
    PoolPart,
    RecurrentPart,
    RowsPart,
    ScalePart,
    ShapePart,
    SlopesPart,
    UnknownPart,
    WholePoolPart,
)
from edgernn_export.keras_reader.masking.masks import Masks


def _name(part: LayerPart) -> str:
    """The name of the Keras layer that a part stands for."""
    return part.owner.split("'")[1]


@dataclass(slots=True, kw_only=True)
class JoinedLayers:
    """The layers joined so far.

    Attributes:
        findings: receives what cannot be folded or merged.
        layers: finished layers, those that another one replaces among them.
        routes: what each of them reads.
        grids: at which readings each of them has a value.
        recurrent: number of recurrent layers, refused ones included.
        delays: number of layers that hold rows, for convolutions or attention.
        stateful: of the Keras model.
        steps: readings the first layer with a state takes, None for any number.
        given_steps: readings the inputs have, None for any number.
        uses: whose weights the layers have.
        masks: which readings are no steps.
    """

    findings: Findings
    masks: Masks
    layers: list[FloatLayer] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    recurrent: int = 0
    delays: int = 0
    stateful: bool = False
    steps: int | None = None
    given_steps: int | None = None
    uses: WeightUses = field(default_factory=WeightUses)
    _behind_softmax: bool = False

    def added(self, flow: Flow, part: LayerPart) -> Flow:
        """The flow after a part."""
        if isinstance(part, RowsPart):
            self.refuse_softmax(part.owner, [flow])
            return self._rows(flow, part)
        flow = unpadded(flow, self.findings)
        if isinstance(part, ShapePart):
            return reshaped(flow, part, self.findings)
        self.refuse_softmax(part.owner, [flow])
        if isinstance(part, ScalePart):
            return self._scaled(flow, part)
        if isinstance(part, ActivationPart):
            return self._activated(flow, part)
        if isinstance(part, (SlopesPart, LayerNormPart)):
            return self._of_values(flow, part)
        if isinstance(part, PaddingPart):
            return replace(flow, padded=part)
        if isinstance(part, DepthwisePart):
            return self._depthwise(flow, part)
        if isinstance(part, PoolPart):
            return flow if flow.shape is None else pooled_rows(flow, part, self._put_at(flow.grid))
        if isinstance(part, WholePoolPart):
            return whole_pooled(flow, part, self.added, self.recurrent > 0, self.findings)
        if isinstance(part, UnknownPart):
            self.recurrent += part.recurrent
            return Flow(route=(), shape=None, last=part, softmax=flow.softmax)
        if isinstance(part, EmbeddingPart):
            return self._looked_up(flow, part)
        if isinstance(part, DenseRowsPart):
            return self._each_row(flow, part)
        assert isinstance(part, (RecurrentPart, DensePart))
        return self._layer(flow, part)

    def _looked_up(self, flow: Flow, part: EmbeddingPart) -> Flow:
        """The rows of a table; several tokens at a step have a separate axis."""
        if flow.shape is None:
            return unknown(part.owner)
        layer = FloatEmbedding(name=part.name, table=part.table, tokens=flow.width)
        shape = (*flow.shape, part.table.shape[1])
        return Flow(route=self._weighted(flow, layer), shape=shape, last=part, grid=flow.grid)

    def merged(
        self,
        owner: str,
        name: str,
        flows: Sequence[Flow],
        operation: MergeOperation,
        gains: Sequence[float],
    ) -> Flow:
        """The sum, product, maximum or minimum of flows of one width, each times its gain."""
        flows = [unpadded(flow, self.findings) for flow in flows]
        self.refuse_softmax(owner, flows)
        if any(flow.shape is None for flow in flows):
            return unknown(owner)
        width = max(flow.width for flow in flows)
        if not side_by_side(self.findings, owner, flows, {1, width}):
            return unknown(owner)
        rows = [
            [gain * np.broadcast_to(values, (width,)) for values in flow.scaling]
            for flow, gain in zip(flows, gains, strict=True)
        ]
        gain, offset = np.array(rows).swapaxes(0, 1)
        layer = FloatMerge(name=name, operation=operation, gain=gain, offset=offset)
        # A single element stands beside each of many, as Keras broadcasts it.
        route = tuple(p for flow in flows for p in flow.route * (width // flow.width))
        return beside(flows, width, self._put(layer, route, flows[0].grid), MergePart(owner=owner))

    def concatenated(self, owner: str, flows: Sequence[Flow]) -> Flow:
        """Flows one behind another."""
        flows = [unpadded(flow, self.findings) for flow in flows]
        self.refuse_softmax(owner, flows)
        widths = {flow.width for flow in flows if flow.shape is not None}
        if any(flow.shape is None for flow in flows) or not side_by_side(
            self.findings, owner, flows, widths
        ):
            return unknown(owner)
        route = tuple(part for flow in flows for part in flow.route)
        made = beside(flows, sum(flow.width for flow in flows), route, None)
        scalings = [flow.pending for flow in flows if flow.pending is not None]
        if not scalings:
            return made
        gain, offset = np.concatenate([flow.scaling for flow in flows], axis=1)
        pending = ScalePart(owner=scalings[0].owner, gain=gain, offset=offset)
        return replace(made, pending=pending)

    def refuse_softmax(self, owner: str, flows: Sequence[Flow]) -> None:
        """Note once that something reads a softmax."""
        if self._behind_softmax or not any(flow.softmax for flow in flows):
            return
        self._behind_softmax = True
        cure = "Build the model up to the softmax and compute the remaining layers outside it."
        self.findings.add(owner, "softmax as the last layer", "a layer after the softmax", cure)

    def held(self, layer: FloatMemory, route: Route, flow: Flow) -> Route:
        """Add a layer with a memory, at the steps of one of the flows that it reads."""
        if self.recurrent + self.delays == 0:
            self.steps = (flow.shape or (None,))[0] if flow.grid == Grid() else self.given_steps
        self.delays += 1
        return self._put(layer, route, flow.grid)

    def finish(self, owner: str, outputs: Sequence[Flow]) -> None:
        """Note what only the whole model shows."""
        for flow in outputs:
            refuse_ahead(self.findings, owner, unpadded(flow, self.findings))
            if flow.pending is not None:
                refuse_scale(self.findings, flow, flow.pending)
        if not self.recurrent + self.delays or self.recurrent > MAX_RECURRENT_LAYERS:
            self.findings.add(
                owner,
                f"1 to {MAX_RECURRENT_LAYERS} recurrent layers",
                f"{self.recurrent}",
                f"Train with at most {MAX_RECURRENT_LAYERS} of them."
                if self.recurrent
                else self.findings.wording.stateless,
            )

    def network(self, output: Route) -> tuple[list[FloatLayer], list[Route], list[int]]:
        """The layers that lead to an output, their routes with that of the output, their places."""
        kept, routes = leading_to(self.routes, output)
        return *read_rows_alone([self.layers[index] for index in kept], routes), kept

    def _put_at(self, grid: Grid) -> Put:
        return lambda layer, route: self._put(layer, route, grid)

    def _put(self, layer: FloatLayer, route: Route, grid: Grid) -> Route:
        """Add a layer; what it puts out."""
        self.layers.append(layer)
        self.routes.append(route)
        self.grids.append(grid)
        return (RoutePart(source=len(self.layers) - 1, start=0, width=layer.units),)

    def _weighted(self, flow: Flow, layer: FloatLayer) -> Route:
        """Add a layer with weights, which has taken up the scaling of a flow."""
        route = self._put(layer, flow.route, flow.grid)
        self.uses.note(layer.kind, WeightUse.of(route[0].source, *flow.scaling, layer.units))
        return route

    def _layer(self, flow: Flow, part: RecurrentPart | DensePart) -> Flow:
        layer: Weighted = part.layer
        check_width(self.findings, part.owner, flow, layer.inputs)
        if flow.pending is not None:
            layer = fold_into(layer, flow.pending)
        route = self._weighted(flow, layer)
        made = Flow(
            route=route,
            grid=flow.grid,
            shape=None if flow.shape is None else (*flow.shape[:-1], layer.units),
            last=part,
            softmax=flow.softmax,
            last_step_alone=flow.last_step_alone,
            return_sequences=flow.return_sequences,
            ahead=flow.ahead,
        )
        return self._after_recurrent(flow, made, part) if isinstance(part, RecurrentPart) else made

    def _each_row(self, flow: Flow, part: DenseRowsPart) -> Flow:
        """A Dense of several rows, whose columns have one scale each."""
        check_width(self.findings, part.owner, flow, part.layer.inputs)
        if flow.shape is None or flow.width != part.layer.inputs:
            return unknown(part.owner)
        shape = (*flow.shape[:-1], part.layer.units)
        if flow.pending is not None or not columns_alike(flow.route, part.layer.count):
            flow = self._on_one_scale(flow, part.owner, f"{_name(part)}_input")
        route = self._put(part.layer, flow.route, flow.grid)
        return replace(flow, route=route, shape=shape, last=part)

    def _after_recurrent(self, flow: Flow, made: Flow, part: RecurrentPart) -> Flow:
        shape = flow.shape
        steps = shape[0] if shape is not None and len(shape) == 2 else None
        check_every_step(self.findings, part.owner, flow, 2 - part.one_step)
        if self.recurrent + self.delays == 0:
            self.steps = 1 if part.one_step else steps if flow.grid == Grid() else self.given_steps
        self.recurrent += 1
        self.stateful = self.stateful or part.stateful
        sequences = part.return_sequences
        return replace(
            made,
            shape=(steps, part.layer.units) if sequences else (part.layer.units,),
            return_sequences=sequences,
            last_step_alone=made.last_step_alone if sequences else steps != 1 and not part.one_step,
        )

    def _rows(self, flow: Flow, part: RowsPart) -> Flow:
        """The rows that a convolution looks at."""
        check_every_step(self.findings, part.owner, flow, 2)
        check_padding(flow, part, self.findings)
        if flow.shape is None:
            return replace(flow, padded=None)
        if self.recurrent + self.delays == 0:
            self.steps = flow.shape[0] if flow.grid == Grid() else self.given_steps
        self.delays += part.count > 1
        return held_rows(flow, part, self._put_at(flow.grid), self.findings)

    def _depthwise(self, flow: Flow, part: DepthwisePart) -> Flow:
        """The sum of rows, each times its own constants."""
        check_width(self.findings, part.owner, flow, part.gain.size)
        if flow.shape is None or flow.width != part.gain.size:
            return unknown(part.owner)
        made = summed_rows(flow, part, self._put_at(flow.grid))
        place = made.route[0].source
        self.uses.note(FloatMerge.kind, WeightUse.of(place, *flow.scaling, made.width))
        return made

    def _in_place(
        self, flow: Flow, layer: FloatDense | FloatLayerNorm, scale: ScalePart | None = None
    ) -> Flow:
        """A layer in place of the one just before, whose output it scales."""
        gain, offset = (np.ones(1), np.zeros(1)) if scale is None else (scale.gain, scale.offset)
        made = replace(flow, route=self._put(layer, self.routes[flow.source], flow.grid))
        self.uses.replaced(flow.source, made.source, gain, offset)
        return made

    def _linear(self, flow: Flow) -> FloatDense | FloatLayerNorm | None:
        """The layer just before, if it ends in a gain and an offset of every unit."""
        if flow.pending is not None or not isinstance(flow.last, (DensePart, LayerNormPart)):
            return None
        layer = self.layers[flow.source]
        if isinstance(layer, FloatDense) and layer.activation == "linear":
            return layer
        return layer if isinstance(layer, FloatLayerNorm) else None

    def _scaled(self, flow: Flow, part: ScalePart) -> Flow:
        for values in (part.gain, part.offset):
            if values.size > 1:
                check_width(self.findings, part.owner, flow, values.size)
                if flow.shape is not None and values.size != flow.shape[-1]:
                    return flow
        if flow.softmax:
            return flow
        linear = self._linear(flow)
        if linear is not None:
            return self._in_place(flow, fold_back(linear, part), part)
        if flow.pending is None:
            return replace(flow, pending=part)
        first = flow.pending
        gain = first.gain * part.gain
        offset = first.offset * part.gain + part.offset
        return replace(flow, pending=ScalePart(owner=part.owner, gain=gain, offset=offset))

    def _activated(self, flow: Flow, part: ActivationPart) -> Flow:
        if part.activation == SOFTMAX:
            if flow.pending is None:
                return replace(flow, softmax=True)
            refuse_scale(self.findings, flow, flow.pending)
            return replace(flow, pending=None)
        dense = self._linear(flow)
        if isinstance(dense, FloatDense) and part.activation in DENSE_ACTIVATIONS:
            return self._in_place(flow, replace(dense, activation=part.activation))
        rows = activated_rows(flow, self.layers, part.activation)
        if rows is not None:
            return replace(flow, route=self._put(rows, self.routes[flow.source], flow.grid))
        if part.activation == "relu":
            # The maximum of the values and of nothing at all.
            maximum = MergeOperation.MAXIMUM
            return self.merged(part.owner, _name(part), [flow, flow], maximum, (1.0, 0.0))
        return self._of_values(flow, part)

    def _of_values(self, flow: Flow, part: ActivationPart | SlopesPart | LayerNormPart) -> Flow:
        """Values of one scale: functions, slopes or layer normalization of them."""
        if flow.shape is None:
            return unknown(part.owner)
        if not isinstance(part, ActivationPart) and part.width is not None:
            check_width(self.findings, part.owner, flow, part.width)
        layer = part.layer(flow.width)
        if layer is None:
            return unknown(part.owner)
        if isinstance(layer, FloatLayerNorm):
            refuse_wide(self.findings, part.owner, layer)
        if flow.pending is not None or len({p.source for p in flow.route}) > 1 or flow.given:
            flow = self._on_one_scale(flow, part.owner, f"{_name(part)}_input")
        return replace(flow, route=self._put(layer, flow.route, flow.grid), last=part)

    def _on_one_scale(self, flow: Flow, owner: str, name: str) -> Flow:
        """The values of a flow, a scaling taken up, as a layer that gives all of them one scale.

        It is the sum of them and of nothing at all.
        """
        return self.merged(owner, name, [flow, flow], MergeOperation.SUM, (1.0, 0.0))
