"""PyTorch modules whose forward pass is the integer model's, on int16 codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgernn.cells.memories import MemoryLayer
from edgernn.graph.lowering import lowered
from edgernn.model.layers import Delay, Embedding, Layer
from edgernn_export.cells.cell_readers import CellMatrix
from edgernn_export.compress.pytorch.steps_together import recurrent_together
from edgernn_export.compress.pytorch.variables import ModuleVariable, add_buffer, add_parameter
from edgernn_export.compress.qat.integer_side.layer_integers import Integers, layer_shapes
from edgernn_export.compress.qat.integer_side.plan import TrainingPlan, start
from edgernn_export.compress.qat.integer_side.sequences import (
    delayed,
    each_step,
    initial_codes,
    recurrent,
    remembered,
    start_rows,
)
from edgernn_export.compress.qat.integer_side.value_integers import DepthwiseIntegers, TableIntegers
from edgernn_export.compress.qat.interpreter import TrainingInterpreter
from edgernn_export.compress.qat.maps.columns import LayerPlace
from edgernn_export.compress.tensors.back_ends import constant

#: What a layer keeps from call to call, empty at the start of a stream: codes [B, ...] each.
CarriedCodes = tuple[Tensor, ...]


class CodeLayer(nn.Module):
    """A layer on codes; its forward gets codes and what it kept, and gives the same.

    Attributes:
        record: the integer layer training starts from.
        name: of the layer in the network.
    """

    def __init__(self, record: Layer) -> None:
        super().__init__()
        self.record, self.name = record, record.name


class DelayLayer(CodeLayer):
    """The last rows of a stream (clause 8.4)."""

    record: Delay

    def forward(self, codes: Tensor, kept: CarriedCodes) -> tuple[Tensor, CarriedCodes]:
        """[B, T, I] to [B, T, rows * I], the newest row first."""
        (before,) = kept or (start_rows(self.record, codes),)
        made, rows = delayed(self.record, codes, before)
        return made, (rows,)


class ValueLayer(CodeLayer):
    """A layer of values without weights: its constants are those of the integer model."""

    def __init__(self, plan: TrainingPlan, record: Layer) -> None:
        super().__init__(record)
        self._step = TrainingInterpreter(lowered(plan.integer.precision, (record,)))

    def forward(self, codes: Tensor, kept: CarriedCodes) -> tuple[Tensor, CarriedCodes]:
        """[..., N] to [..., U]."""
        return each_step(lambda flat: self._step({}, {}, (), read=flat)[0], codes), kept


class RememberingLayer(CodeLayer):
    """A layer with a memory of rows: what fills it, or attention over it."""

    def __init__(self, plan: TrainingPlan, record: Layer) -> None:
        super().__init__(record)
        self._step = TrainingInterpreter(lowered(plan.integer.precision, (record,)))

    def forward(self, codes: Tensor, kept: CarriedCodes) -> tuple[Tensor, CarriedCodes]:
        """[B, T, N] to [B, T, U]."""
        made, states = remembered(self._step, codes, kept or _begun(self.record, codes))
        return made, tuple(states)


class WeightedLayer(CodeLayer):
    """A layer with float weights, which every pass rounds.

    Attributes:
        integers: its integer side.
        float_weights: its weights by name, or those of the layer that has the same ones.
    """

    integers: Any

    def __init__(self, place: LayerPlace) -> None:
        super().__init__(place.model.layers[place.index])
        self.float_weights: Mapping[str, ModuleVariable] = {}
        self._ends: dict[str, tuple[Any, Any]] = {}

    def _own(
        self,
        place: LayerPlace,
        shapes: Mapping[str, tuple[int, ...]],
        ends: Mapping[str, tuple[Any, Any]],
    ) -> None:
        """Make the weights, unless another layer has them.

        Args:
            place: where the layer stands.
            shapes: of the weights by name.
            ends: the least and the largest values of those that have such.
        """
        self._ends = dict(ends)
        self.float_weights = place.weights or {
            name: add_parameter(self, name, shape) for name, shape in shapes.items()
        }

    @torch.no_grad()
    def keep_bounds(self) -> None:
        """Move constants that an optimizer has moved beyond an end back to this end."""
        for name, (low, high) in self._ends.items():
            value = self.float_weights[name].value
            value.clamp_(constant(low, value), constant(high, value))


class AffineLayer(WeightedLayer):
    """A dense or recurrent layer."""

    integers: Integers

    def __init__(self, place: LayerPlace) -> None:
        super().__init__(place)
        bounds = self.record.bounds
        shapes = layer_shapes(self.record)
        self._own(place, shapes, {name: bounds[name] for name in shapes if name in bounds})
        self.integers = Integers(partial(add_buffer, self), place)

    def forward(
        self, codes: Tensor, kept: CarriedCodes, taken: Tensor | None = None
    ) -> tuple[Tensor, CarriedCodes]:
        """[B, T, I] to [B, T, H], of a dense layer [..., I] to [..., U].

        Args:
            codes: what it reads.
            kept: its states.
            taken: the steps that are taken, bool [B, T]; None where all are.
        """
        integers, weights = self.integers, self.float_weights
        if self.training:
            with torch.no_grad():
                integers.follow(weights)
        maps = integers.ready(weights, training=False)
        if not self.record.states:
            run = lambda flat: integers.step(maps, integers.of_input(maps, flat), ())[0]  # noqa: E731
            return each_step(run, codes), kept
        states = kept or _begun(self.record, codes)
        if taken is None:
            made, after = recurrent_together(integers, weights, maps, codes, states)
        else:
            made, after = recurrent(integers, weights, maps, codes, states, taken)
        return made, tuple(after)

    def matrices(self) -> list[CellMatrix]:
        """Kernel and recurrent kernel; of a registered cell, all matrices of its maps."""
        return self.integers.matrices(self.float_weights)


class TrainedValueLayer(WeightedLayer):
    """A layer of values with weights: a table of tokens, or a depthwise convolution."""

    integers: DepthwiseIntegers | TableIntegers

    def __init__(self, place: LayerPlace) -> None:
        super().__init__(place)
        is_table = isinstance(self.record, Embedding)
        self.integers = (TableIntegers if is_table else DepthwiseIntegers)(place)
        limits = self.integers.limits
        ends = {n: (-limit, limit) for n, limit in limits.items() if np.isfinite(limit).all()}
        self._own(place, {name: limit.shape for name, limit in limits.items()}, ends)

    def forward(self, codes: Tensor, kept: CarriedCodes) -> tuple[Tensor, CarriedCodes]:
        """[..., N] to [..., U]."""
        constants, step = self.integers.constants(self.float_weights), self.integers.step
        return each_step(lambda flat: step({}, {}, (), constants, flat)[0], codes), kept


def _begun(record: Layer, codes: Tensor) -> CarriedCodes:
    """What the states of a layer begin with, for the streams of codes [B, ...]."""
    return tuple(initial_codes(spec, codes) for spec in record.states)


def made_layers(plan: TrainingPlan) -> list[CodeLayer]:
    """The layers of a network in their order, with the weights that training starts from."""
    made: list[CodeLayer] = []
    for index, record in enumerate(plan.integer.layers):
        if isinstance(record, Delay):
            made.append(DelayLayer(record))
        elif isinstance(record, MemoryLayer):
            made.append(RememberingLayer(plan, record))
        elif plan.has_constants(index):
            made.append(ValueLayer(plan, record))
        else:
            kind = TrainedValueLayer if record.reads_values else AffineLayer
            plan.holders[index] = kind(plan.place(index))
            made.append(plan.holders[index])
    start([plan])
    return made


def weighted(layers: Sequence[nn.Module]) -> list[WeightedLayer]:
    """Those of the layers that have weights."""
    return [layer for layer in layers if isinstance(layer, WeightedLayer)]
