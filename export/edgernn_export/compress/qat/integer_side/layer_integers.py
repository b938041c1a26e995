"""The integer side of a layer with affine maps under training, whatever library trains it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgernn.graph.lowering import lowered
from edgernn.model.formats import INT16_MAX, FloatArray, Precision
from edgernn.model.layers import Dense, GRUAfter, Layer
from edgernn_export.cells.cell_readers import CellMatrix, matrices_of
from edgernn_export.compress.qat.arithmetic.integers import codes_of
from edgernn_export.compress.qat.arithmetic.straight_through import operand
from edgernn_export.compress.qat.interpreter import Inputs, Maps, TrainingInterpreter
from edgernn_export.compress.qat.maps.columns import LayerPlace
from edgernn_export.compress.qat.maps.float_weights import (
    BIAS,
    KERNEL,
    RECURRENT,
    RECURRENT_BIAS,
    gates_of,
    is_registered,
    map_specs,
    scale_rates,
)
from edgernn_export.compress.qat.maps.maps8 import Maps8
from edgernn_export.compress.qat.maps.maps16 import Maps16
from edgernn_export.compress.qat.maps.training_maps import Add, Weights
from edgernn_export.compress.tensors.back_ends import Tensor, constant, like, ops
from edgernn_export.float_model.cell_plans import weight_shapes
from edgernn_export.float_model.graph_run import offset_of
from edgernn_export.quantizer.weight_storage import bits_of, with_storage
from edgernn_export.quantizer.weights.affine import Ranges


def layer_shapes(record: Layer) -> dict[str, tuple[int, ...]]:
    """Shapes of the float weights of a layer by their names, kernels [N, R] as in Keras.

    Args:
        record: the integer layer training starts from. Weights of a registered cell are those
            that its record says.
    """
    units, inputs = record.units, record.inputs
    if is_registered(record):
        shapes = weight_shapes(record.kind, inputs, units, record.widths)
        return {name: shape[::-1] for name, shape in shapes.items()}
    columns = len(gates_of(record)) * units
    made: dict[str, tuple[int, ...]] = {KERNEL: (inputs, columns)}
    if not isinstance(record, Dense):
        made[RECURRENT] = (units, columns)
    made[BIAS] = (columns,)
    if isinstance(record, GRUAfter):
        made[RECURRENT_BIAS] = (units,)
    return made


class Integers:
    """The integer side of one layer: its record, its maps, and how its input becomes operands.

    Args:
        add: makes the variables of the maps.
        place: where the layer stands.
    """

    def __init__(self, add: Add, place: LayerPlace) -> None:
        """Make the variables of the maps."""
        self.model, self.index = model, index = place.model, place.index
        self.record: Layer = model.layers[index]
        self.step = TrainingInterpreter(lowered(model.precision, (self.record,)))
        self._rates = scale_rates(self.record)
        kind = Maps8 if model.precision is Precision.W8A8 else Maps16
        self.columns = place.columns
        self._specs = map_specs(model, index, self.columns)
        self.maps: Maps8 | Maps16 = kind(self._specs, add)

    def operand(self, codes: Tensor) -> Tensor:
        """What maps read: input codes unchanged (clause 6.6), operands of values (2.7)."""
        known = self.columns.are_codes
        if known.all():
            return codes
        made = operand(codes, self.model.precision)
        return ops.where(like(known, codes), codes, made) if known.any() else made

    def constants(self, weights: Mapping[str, Any]) -> dict[str, Tensor]:
        """Multipliers and offsets of clause 7.9 by the names of their weights."""
        return {
            name: codes_of(value, constant(rate, value), float(INT16_MAX))
            for name, rate in self._rates.items()
            for value in (weights[name].value,)
        }

    def ready(self, weights: Mapping[str, Any], *, training: bool | None) -> Maps:
        """The maps for one pass; in training, their steps follow the weights first."""
        if training:
            self.follow(weights)
        return self.maps.ready({name: variable.value for name, variable in weights.items()})

    def follow(self, weights: Mapping[str, Any]) -> None:
        """Let the steps of the maps follow the weights, once per batch of training."""
        self.maps.follow({name: variable.value for name, variable in weights.items()})

    def of_input(self, maps: Maps, codes: Tensor) -> Inputs:
        """Products of the layer's input, int16 codes [..., I], with the kernels, by map."""
        q_x = self.operand(codes)
        products = {name: one.of_input(q_x) for name, one in maps.items()}
        return {name: found for name, found in products.items() if found is not None}

    def matrices(self, weights: Mapping[str, Any]) -> list[CellMatrix]:
        """Kernel and recurrent kernel; of a registered cell, all matrices of its maps.

        Args:
            weights: variables by name.
        """
        if is_registered(self.record):
            return matrices_of(self.step.graph, weights)
        gates = gates_of(self.record)
        return [
            CellMatrix(name=name, variable=weights[name], parts=gates, recurrent=name == RECURRENT)
            for name in (KERNEL, RECURRENT)
            if name in weights
        ]

    def nearest(
        self, weights: Mapping[str, FloatArray], trained: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """The float weights closest to the trained that round to the integer model's.

        Steps are those of the integer model from here on.

        Args:
            weights: arrays of the shapes of the weights, by name.
            trained: by name, biases left out.
        """
        values = {name: np.array(array) for name, array in weights.items()}
        begun = self.maps.nearest(dict(trained))
        for spec in self._specs:
            for name, start in begun[spec.name].items():
                values[spec.matrices[name]][:, spec.columns] = start
            values[spec.bias][spec.bias_columns] = self.maps.nearest_bias(spec.name, values)
        for name, rate in self._rates.items():
            scale = self.record.scales[name.partition(".")[0]]
            codes = scale.multiplier if name in self.record.scales else scale.bias
            values[name] = np.clip(trained[name], (codes - 0.49) / rate, (codes + 0.49) / rate)
        return values

    def begin(self, weights: Mapping[str, FloatArray]) -> None:
        """Start at float weights: steps follow them from here on."""
        self.maps.begin(dict(weights))

    def layer(self, weights: Weights, sparse: str) -> Layer:
        """The layer record of the current weights; ``sparse`` as in `quantize`."""
        ranges: Ranges = self.model.operand_ranges(self.index)
        values = {name: variable.value for name, variable in weights.items()}
        made = self.maps.records(self.record.name, values, ranges)
        stored = {
            name: with_storage(affine, self.record.inputs, bits_of(affine), sparse)
            for name, affine in made.items()
        }
        return self._with(stored, weights)

    def unproven_layer(self, weights: Weights) -> Layer:
        """The same, dense and with the current steps: its accumulators may be unsafe."""
        values = {name: variable.value for name, variable in weights.items()}
        return self._with(self.maps.unproven(values), weights)

    def _with(self, maps: Mapping[str, Any], weights: Weights) -> Layer:
        """The layer record with other maps, and with the constants of the weights."""
        codes = {
            name: ops.convert_to_numpy(found).astype(np.int16)
            for name, found in self.constants(weights).items()
        }
        constants = {
            name: dataclasses.replace(
                scale, multiplier=codes[name], bias=codes.get(offset_of(name), scale.bias)
            )
            for name, scale in self.record.scales.items()
        }
        changed: dict[str, Any] = {**maps, **type(self.record).scale_arguments(constants)}
        return dataclasses.replace(self.record, **changed)
