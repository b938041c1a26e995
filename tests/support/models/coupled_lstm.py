"""A cell as a user's package has it, in one file: the LSTM with coupled gates (Greff et al. 2017).

What a network forgets makes room for what it takes: i = 1 - f. The Keras class is written by hand,
as that of a network which was trained before anyone thought of edgernn.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edgernn.cells import (
    CELL_EXPONENTS,
    PREACTIVATION,
    UNIT,
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
    Function,
    GateActivation,
    LayerRecord,
    QFormat,
    StateSpec,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn_export.cells import CellReader, FloatCell, register_keras_cell


@cell_record
class CoupledLSTM(LayerRecord):
    """c' = f*c + (1 - f)*g, h' = o*tanh(c'), rows f g o."""

    kind: ClassVar[str] = "coupled_lstm"
    shape: ClassVar[AffineShapes] = {"gates": (3, X_AND_H)}
    exponents: ClassVar[dict[str, Exponent]] = {
        "cell_exponent": Exponent(values=("c",), allowed=CELL_EXPONENTS)
    }

    gate_activation: GateActivation
    cell_exponent: int
    gates: Affine

    @property
    def states(self):
        cell = QFormat(bits=16, frac_bits=self.cell_exponent)
        return (
            StateSpec(name=f"{self.name}.h", units=self.units, format=UNIT),
            StateSpec(name=f"{self.name}.c", units=self.units, format=cell),
        )


def lower(g, layer, x, states):
    h, c = states
    sigma = Function(layer.gate_activation.value)
    z_f, z_g, z_o = g.split(g.affine("gates", layer.gates, x_and_h(g, x, h), rows="fgo"), "fgo")
    f, o = g.activation(sigma, z_f, "f"), g.activation(sigma, z_o, "o")
    added = g.product(g.complement(f, "i"), g.tanh(z_g, "g"), "i*g", c.format)
    c_new = g.sum(g.product(f, c, "f*c", c.format), added, "c")
    h_new = g.product(o, g.tanh(g.rescaled(c_new, PREACTIVATION, "z_c"), "tanh_c"), "h")
    return h_new, (h_new, c_new)


register_cell(CoupledLSTM, lower)


def read(name, cell):
    """The float layer of a `CoupledLSTMCell`, live or stored."""
    weights = {
        "gates.x": np.asarray(cell.kernel).T,
        "gates.h": np.asarray(cell.recurrent_kernel).T,
        "gates.bias": np.asarray(cell.bias),
    }
    return FloatCell.of("coupled_lstm", name, {"gate_activation": "sigmoid"}, weights)


register_keras_cell(
    "tests>CoupledLSTMCell",
    CellReader(variables=lambda config: ("kernel", "recurrent_kernel", "bias"), read=read),
)


def keras_cell(units):
    """The Keras cell; Keras is imported where it is asked for."""
    import keras

    @keras.saving.register_keras_serializable("tests")
    class CoupledLSTMCell(keras.layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.units, self.state_size, self.output_size = units, [units, units], units

        def build(self, input_shape):
            self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 3 * self.units))
            self.recurrent_kernel = self.add_weight(
                name="recurrent_kernel", shape=(self.units, 3 * self.units)
            )
            self.bias = self.add_weight(name="bias", shape=(3 * self.units,))

        def call(self, inputs, states):
            h, c = states
            z = inputs @ self.kernel + h @ self.recurrent_kernel + self.bias
            z_f, z_g, z_o = keras.ops.split(z, 3, axis=-1)
            f = keras.ops.sigmoid(z_f)
            c = f * c + (1 - f) * keras.ops.tanh(z_g)
            h = keras.ops.sigmoid(z_o) * keras.ops.tanh(c)
            return h, [h, c]

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return CoupledLSTMCell(units)
