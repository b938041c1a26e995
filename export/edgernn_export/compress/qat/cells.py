"""The cells of NUMERICS.md section 7 in training: one step each, on codes.

Arguments of a step: the layer record; its maps; per map the products of the input, [B, R] or None;
the operand of a state; the state, codes [B, H]. It returns the new state; `h` comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import tensorflow as tf

from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GRUAfter,
    GRUBefore,
    SimpleRNN,
)
from edgernn_export.compress.qat.straight_through import (
    GATES,
    complement,
    product,
    rescaled,
    saturating_sum,
    sigmoid,
    tanh,
)
from edgernn_export.compress.qat.tensor_arithmetic import Tensor
from edgernn_export.compress.qat.training_maps import ReadyMap

Maps = dict[str, ReadyMap]
#: Products of the operands of one step with the kernels, by map; absent where a map has none.
Inputs = dict[str, Tensor]
States = tuple[Tensor, ...]
Operand = Callable[[Tensor], Tensor]

DENSE: Final[dict[DenseActivation, Callable[[Tensor], Tensor]]] = {
    DenseActivation.LINEAR: lambda y: y,
    DenseActivation.RELU: tf.nn.relu,
    DenseActivation.TANH: tanh,
    DenseActivation.SIGMOID: sigmoid,
}


def dense(record: Dense, maps: Maps, inputs: Inputs) -> Tensor:
    """Clause 8.1: codes [B, U]."""
    return DENSE[record.activation](maps["out"](inputs["out"]))


def simple_rnn(
    record: SimpleRNN, maps: Maps, inputs: Inputs, operand: Operand, states: States
) -> States:
    """Clause 7.1."""
    z = maps["gates"](inputs["gates"], operand(states[0]))
    return (tanh(z) if record.activation is CellActivation.TANH else tf.nn.relu(z),)


def lstm(record: LSTM, maps: Maps, inputs: Inputs, operand: Operand, states: States) -> States:
    """Clauses 7.2 to 7.4."""
    h, c = states
    sigma, exponent = GATES[record.gate_activation], record.cell_exponent
    z_i, z_f, z_g, z_o = tf.split(maps["gates"](inputs["gates"], operand(h)), 4, axis=-1)
    added = product(sigma(z_i), tanh(z_g), 30 - exponent)
    c_new = saturating_sum(product(sigma(z_f), c, 15), added)
    return product(sigma(z_o), tanh(rescaled(c_new, exponent - 10)), 15), c_new


def _update(z: Tensor, n: Tensor, h: Tensor) -> States:
    """Clause 7.5."""
    return (saturating_sum(product(z, h, 15), product(complement(z), n, 15)),)


def gru_before(
    record: GRUBefore, maps: Maps, inputs: Inputs, operand: Operand, states: States
) -> States:
    """Clause 7.6."""
    (h,) = states
    gates = GATES[record.gate_activation](maps["zr"](inputs["zr"], operand(h)))
    z, r = tf.split(gates, 2, axis=-1)
    n = tanh(maps["n"](inputs["n"], operand(product(r, h, 15))))
    return _update(z, n, h)


def gru_after(
    record: GRUAfter, maps: Maps, inputs: Inputs, operand: Operand, states: States
) -> States:
    """Clause 7.7."""
    (h,) = states
    q_h = operand(h)
    gates = GATES[record.gate_activation](maps["zr"](inputs["zr"], q_h))
    z, r = tf.split(gates, 2, axis=-1)
    reset = product(r, maps["n_h"](None, q_h), 15)
    return _update(z, tanh(saturating_sum(maps["n_x"](inputs["n_x"]), reset)), h)


#: layer record -> step
STEPS: Final[dict[type, Callable[[Any, Maps, Inputs, Operand, States], States]]] = {
    SimpleRNN: simple_rnn,
    LSTM: lstm,
    GRUBefore: gru_before,
    GRUAfter: gru_after,
}
