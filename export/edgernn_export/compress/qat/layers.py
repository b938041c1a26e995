"""Keras layers with affine maps whose forward pass is the integer model's, on int16 codes."""

from __future__ import annotations

from typing import Any

import keras

from edgernn_export.cells.cell_readers import CellMatrix, attribute
from edgernn_export.cells.keras_cell import Between
from edgernn_export.compress.qat.ends import Refused, variables_of
from edgernn_export.compress.qat.integer_side.layer_integers import Integers, layer_shapes
from edgernn_export.compress.qat.integer_side.sequences import each_step, initial_codes, recurrent
from edgernn_export.compress.qat.maps.columns import LayerPlace
from edgernn_export.compress.qat.maps.float_weights import (
    BIAS,
    KERNEL,
)
from edgernn_export.compress.tensors.back_ends import Tensor


class QatCell(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Weights of one recurrent layer."""

    def __init__(self, place: LayerPlace, **options: Any) -> None:
        super().__init__(**options)
        self._place = place
        model, index = place.model, place.index
        self.record = model.layers[index]
        self.units = self.record.units
        self.state_size = [spec.units for spec in self.record.states]

    def build(self, input_shape: Any) -> None:  # noqa: ARG002  # Keras passes it
        """Make the weights: kernel [I, G*H], recurrent_kernel [H, G*H], bias [G*H].

        Those of a registered cell have the shapes of its record, matrices [N, R]. A layer with the
        weights of another one takes these.
        """
        self.float_weights = dict(self._place.weights or self._made())
        for name, variable in self.float_weights.items():
            setattr(self, attribute(name), variable)
        self.integers = Integers(variables_of(self), self._place)

    def _made(self) -> dict[str, Any]:
        record = self.record
        made = {}
        for name, shape in layer_shapes(record).items():
            bounds = record.bounds.get(name)
            constraint = None if bounds is None else Between(*bounds)
            made[name] = self.add_weight(name=attribute(name), shape=shape, constraint=constraint)
        return made

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """What the states begin with in every stream, codes [B, H] each (clause 6.2)."""
        streams = keras.ops.zeros((batch_size, 1))
        return [initial_codes(spec, streams) for spec in self.record.states]

    def matrices(self) -> list[CellMatrix]:
        """Kernel and recurrent kernel; of a registered cell, all matrices of its maps."""
        return self.integers.matrices(self.float_weights)


class QatRNN(Refused, keras.layers.RNN):  # type: ignore[misc]  # as above
    """A recurrent layer; input, output and states are int16 codes."""

    def inner_loop(
        self, sequences: Tensor, initial_state: Any, mask: Any, training: bool | None = False
    ) -> Any:
        """Run the steps; the input's products and the integer weights are made once, before."""
        cell = self.cell
        maps = cell.integers.ready(cell.float_weights, training=training)
        outputs, states = recurrent(
            cell.integers, cell.float_weights, maps, sequences, initial_state, mask
        )
        return outputs[:, -1], outputs, states


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
        self.integers = Integers(variables_of(self), self._place)

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
