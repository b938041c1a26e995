"""Keras layers with affine maps whose forward pass is the integer model's, on int16 codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from edgernn.errors import TrainingError
from edgernn.graph.lowering import lowered
from edgernn.model.formats import INT16_MAX, FloatArray, Precision
from edgernn.model.layers import GRUAfter, Layer
from edgernn_export.cells.cell_readers import attribute
from edgernn_export.cells.keras_cell import Between, CellMatrix, matrices_of
from edgernn_export.compress.qat.arithmetic.back_ends import Tensor, scan
from edgernn_export.compress.qat.arithmetic.integers import codes_of, constant
from edgernn_export.compress.qat.arithmetic.straight_through import operand
from edgernn_export.compress.qat.ends import LayerPlace, Refused, each_step
from edgernn_export.compress.qat.interpreter import Inputs, Maps, TrainingInterpreter
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
from edgernn_export.compress.qat.maps.training_maps import Weights
from edgernn_export.float_model.cell_plans import weight_shapes
from edgernn_export.float_model.graph_run import offset_of
from edgernn_export.keras_reader.findings import owner_of
from edgernn_export.quantizer.weight_storage import bits_of, with_storage
from edgernn_export.quantizer.weights.affine import Ranges


class Integers:
    """The integer side of one layer: its record, its maps, and how its input becomes operands."""

    def __init__(self, owner: Any, place: LayerPlace) -> None:
        """Make the variables of the maps in ``owner``."""

        def add(name: str, value: npt.NDArray[Any]) -> Any:
            variable = owner.add_weight(
                name=name, shape=value.shape, dtype=value.dtype.name, initializer="zeros",
                trainable=False,
            )  # fmt: skip
            variable.assign(value)
            return variable

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
        return ops.where(ops.convert_to_tensor(known), codes, made) if known.any() else made

    def constants(self, weights: Mapping[str, Any]) -> dict[str, Tensor]:
        """Multipliers and offsets of clause 7.9 by the names of their weights."""
        return {
            name: codes_of(weights[name].value, constant(rate), float(INT16_MAX))
            for name, rate in self._rates.items()
        }

    def ready(self, weights: Mapping[str, Any], *, training: bool | None) -> Maps:
        """The maps for one pass; in training, their steps follow the weights first."""
        values = {name: variable.value for name, variable in weights.items()}
        if training:
            self.maps.follow(values)
        return self.maps.ready(values)

    def of_input(self, maps: Maps, codes: Tensor) -> Inputs:
        """Products of the layer's input, int16 codes [..., I], with the kernels, by map."""
        q_x = self.operand(codes)
        products = {name: one.of_input(q_x) for name, one in maps.items()}
        return {name: found for name, found in products.items() if found is not None}

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
        values = {name: np.asarray(variable) for name, variable in weights.items()}
        made = self.maps.records(self.record.name, values, ranges)
        stored = {
            name: with_storage(affine, self.record.inputs, bits_of(affine), sparse)
            for name, affine in made.items()
        }
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
        changed: dict[str, Any] = {**stored, **type(self.record).scale_arguments(constants)}
        return dataclasses.replace(self.record, **changed)


class QatCell(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Weights of one recurrent layer."""

    def __init__(self, place: LayerPlace, **options: Any) -> None:
        super().__init__(**options)
        self._place = place
        model, index = place.model, place.index
        self.record = model.layers[index]
        self.units = self.record.units
        self.state_size = [spec.units for spec in self.record.states]

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel [I, G*H], recurrent_kernel [H, G*H], bias [G*H].

        Those of a registered cell have the shapes of its record, matrices [N, R]. A layer with the
        weights of another one takes these.
        """
        self.float_weights = dict(self._place.weights or self._made(input_shape))
        for name, variable in self.float_weights.items():
            setattr(self, attribute(name), variable)
        self.integers = Integers(self, self._place)

    def _made(self, input_shape: Any) -> dict[str, Any]:
        record, units = self.record, self.units
        if is_registered(record):
            shapes = weight_shapes(record.kind, record.inputs, units, record.widths)
        else:
            columns = len(gates_of(record)) * units
            shapes = {KERNEL: (columns, input_shape[-1]), RECURRENT: (columns, units)}
            shapes[BIAS] = (columns,)
            if isinstance(record, GRUAfter):
                shapes[RECURRENT_BIAS] = (units,)
        made = {}
        for name, shape in shapes.items():
            bounds = record.bounds.get(name)
            constraint = None if bounds is None else Between(*bounds)
            made[name] = self.add_weight(
                name=attribute(name), shape=shape[::-1], constraint=constraint
            )
        return made

    def matrices(self) -> list[CellMatrix]:
        """Kernel and recurrent kernel; of a registered cell, all matrices of its maps."""
        if is_registered(self.record):
            return matrices_of(self.integers.step.graph, self.float_weights)
        gates = gates_of(self.record)
        return [
            CellMatrix(name=name, variable=self.float_weights[name], parts=gates, recurrent=inner)
            for name, inner in ((KERNEL, False), (RECURRENT, True))
        ]


class QatRNN(Refused, keras.layers.RNN):  # type: ignore[misc]  # as above
    """A recurrent layer; input, output and states are int16 codes."""

    def inner_loop(
        self, sequences: Tensor, initial_state: Any, mask: Any, training: bool | None = False
    ) -> Any:
        """Run the steps; the input's products and the integer weights are made once, before.

        Raises:
            TrainingError: the input is masked.
        """
        if mask is not None:
            raise TrainingError(
                f"{owner_of(self)}: expected streams without a mask, got a masked input. Pass "
                "streams without padding."
            )
        integers = self.cell.integers
        maps = integers.ready(self.cell.float_weights, training=training)
        constants = integers.constants(self.cell.float_weights)
        in_time = ops.transpose(sequences, (1, 0, 2))
        states = scan(
            lambda now, inputs: integers.step(maps, inputs, now, constants)[1],
            tuple(ops.convert_to_tensor(state) for state in initial_state),
            integers.of_input(maps, in_time),
        )
        # The output of every recurrent layer is its first state (clause 6.2).
        outputs = ops.transpose(states[0], (1, 0, 2))
        return outputs[:, -1], outputs, [state[-1] for state in states]


class QatDense(Refused, keras.layers.Dense):  # type: ignore[misc]  # as above
    """A dense layer; input and output are int16 codes."""

    def __init__(self, place: LayerPlace, **options: Any) -> None:
        super().__init__(place.model.layers[place.index].units, **options)
        self._place = place

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel [I, U], bias [U]."""
        if self._place.weights is None:
            super().build(input_shape)
        else:
            self._kernel, self.bias = (self._place.weights[name] for name in (KERNEL, BIAS))
            self.built = True
        self.float_weights = {KERNEL: self.kernel, BIAS: self.bias}
        self.integers = Integers(self, self._place)

    def save_own_variables(self, store: Any) -> None:
        """Store shifts and multipliers too; `keras.layers.Dense` stores kernel and bias alone."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` stored."""
        keras.layers.Layer.load_own_variables(self, store)

    def call(self, codes: Tensor, training: bool | None = None) -> Tensor:
        """Codes [..., I] to codes [..., U]."""
        integers = self.integers
        maps = integers.ready(self.float_weights, training=training)
        return each_step(
            lambda flat: integers.step(maps, integers.of_input(maps, flat), ())[0], codes
        )
