"""SimpleRNN, LSTM, GRU, and RNN around one of their cells.

Keras stores kernels as [I, G*H] with gates in the order i f c o (LSTM) and z r h (GRU), which is
the order of `float_model` under other names; matrices are transposed, nothing is permuted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn_export.cells.cell_readers import CellReader, cell_reader
from edgernn_export.float_model.model import FloatGRU, FloatLSTM, FloatRecurrent, FloatSimpleRNN
from edgernn_export.keras_reader.findings import Context, class_of, owner_of
from edgernn_export.keras_reader.layers.config import (
    activation_name,
    check_activation,
    check_config,
    check_dtype,
    finite,
    is_builtin,
    weight,
)
from edgernn_export.keras_reader.layers.layer_parts import LayerPart, RecurrentPart, UnknownPart

#: dropout acts in training only; a mask, which zero_output_for_mask needs, is always refused; where
#: a state is returned to is seen by the walk along the path.
_FREE = (
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "unit_forget_bias",
    "dropout",
    "recurrent_dropout",
    "reset_after",
    "implementation",
    "unroll",
    "return_sequences",
    "stateful",
    "zero_output_for_mask",
    "return_state",
    "cell",
)
_FIXED: dict[str, tuple[Any, ...]] = {"go_backwards": (False,)}
_CURES = {
    "go_backwards": "A stream has no end to start from; train the layer forwards.",
}
_GATED = ("sigmoid", "hard_sigmoid")
#: clip(0.2 x + 0.5, 0, 1) of Keras 2 is clip(y/6 + 0.5, 0, 1) of Keras 3 at y = 1.2 x.
_KERAS2_HARD_SIGMOID_GAIN = 1.2

_CELLS = {
    "SimpleRNN": "SimpleRNN",
    "LSTM": "LSTM",
    "GRU": "GRU",
    "SimpleRNNCell": "SimpleRNN",
    "LSTMCell": "LSTM",
    "GRUCell": "GRU",
}


def read_recurrent(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read SimpleRNN, LSTM or GRU."""
    return _read(layer, layer.cell, _CELLS[class_of(layer)], context)


def read_rnn(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read keras.layers.RNN around a SimpleRNNCell, LSTMCell, GRUCell or a registered cell."""
    name = class_of(layer.cell)
    own = _own_reader(layer.cell)
    if own is not None:
        return _read_own(layer, own, context)
    if name not in _CELLS or not is_builtin(layer.cell):
        stacked = name == "StackedRNNCells"
        context.findings.add(
            owner_of(layer),
            "a cell of type SimpleRNNCell, LSTMCell or GRUCell, or one that is registered",
            f"cell {owner_of(layer.cell)}",
            "Build one RNN layer per cell, all but the last with return_sequences=True, and copy "
            "the weights."
            if stacked
            else "Train with one of these cells, or register it: docs/guides/add-a-cell.md.",
        )
        return (UnknownPart(owner=owner_of(layer), recurrent=True),)
    return _read(layer, layer.cell, _CELLS[name], context)


def _own_reader(cell: Any) -> CellReader | None:
    """Who reads a cell that is no class of Keras."""
    if is_builtin(cell):
        return None
    if hasattr(cell, "stored_class"):
        return cell_reader(str(cell.custom))
    import keras

    return cell_reader(keras.saving.get_registered_name(type(cell)))


def _read_own(layer: Any, own: CellReader, context: Context) -> tuple[LayerPart, ...]:
    """Read keras.layers.RNN around a registered cell."""
    unknown = (UnknownPart(owner=owner_of(layer), recurrent=True),)
    good = check_config(layer, layer.get_config(), context, free=_FREE, fixed=_FIXED, cures=_CURES)
    check_dtype(layer.cell, context.findings)
    try:
        made = own.read(layer.name, layer.cell)
    except UnsupportedModelError as error:
        context.findings.reasons.extend(error.reasons)
        return unknown
    if not good:
        return unknown
    return (
        RecurrentPart(
            owner=owner_of(layer),
            layer=made,
            return_sequences=bool(layer.return_sequences),
            stateful=bool(layer.stateful),
        ),
    )


def read_cell(cell: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a cell that is itself a layer of a network of one step."""
    return _read(cell, cell, _CELLS[class_of(cell)], context)


def _read(layer: Any, cell: Any, kind: str, context: Context) -> tuple[LayerPart, ...]:
    unknown = (UnknownPart(owner=owner_of(layer), recurrent=True),)
    good = check_config(layer, layer.get_config(), context, free=_FREE, fixed=_FIXED, cures=_CURES)
    if class_of(layer) == "RNN":
        good = check_config(cell, cell.get_config(), context, free=_FREE) and good
    allowed = ("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)
    good = check_activation(layer, "activation", cell.activation, allowed, context) and good
    if kind != "SimpleRNN":
        function = cell.recurrent_activation
        good = check_activation(layer, "recurrent_activation", function, _GATED, context) and good
    if not good or not _weights_finite(layer, cell, context):
        return unknown
    one_step = class_of(layer).endswith("Cell")
    return (
        RecurrentPart(
            owner=owner_of(layer),
            layer=_FLOAT[kind](layer.name, cell, context),
            return_sequences=not one_step and bool(layer.return_sequences),
            stateful=not one_step and bool(layer.stateful),
            one_step=one_step,
        ),
    )


def _weights_finite(layer: Any, cell: Any, context: Context) -> bool:
    arrays = {"kernel": weight(cell.kernel), "recurrent_kernel": weight(cell.recurrent_kernel)}
    if cell.use_bias:
        arrays["bias"] = weight(cell.bias)
    return finite(layer, context, **arrays)


def _bias(cell: Any, rows: int) -> FloatArray:
    return weight(cell.bias) if cell.use_bias else np.zeros(rows)


def _gate_gain(cell: Any, gated: tuple[bool, ...], context: Context) -> FloatArray:
    """Factor per row that turns Keras 2's hard_sigmoid into Keras 3's; 1 everywhere else."""
    hard = context.keras2 and activation_name(cell.recurrent_activation) == "hard_sigmoid"
    gain = _KERAS2_HARD_SIGMOID_GAIN if hard else 1.0
    return np.repeat([gain if gate else 1.0 for gate in gated], cell.units)


def _simple_rnn(name: str, cell: Any, _context: Context) -> FloatSimpleRNN:
    return FloatSimpleRNN(
        name=name,
        kernel=weight(cell.kernel).T,
        recurrent=weight(cell.recurrent_kernel).T,
        bias=_bias(cell, cell.units),
        use_bias=bool(cell.use_bias),
        activation=activation_name(cell.activation),
    )


def _lstm(name: str, cell: Any, context: Context) -> FloatLSTM:
    gain = _gate_gain(cell, (True, True, False, True), context)
    return FloatLSTM(
        name=name,
        kernel=weight(cell.kernel).T * gain[:, None],
        recurrent=weight(cell.recurrent_kernel).T * gain[:, None],
        bias=_bias(cell, 4 * cell.units) * gain,
        use_bias=bool(cell.use_bias),
        recurrent_activation=activation_name(cell.recurrent_activation),
    )


def _gru(name: str, cell: Any, context: Context) -> FloatGRU:
    gain = _gate_gain(cell, (True, True, False), context)
    rows = 3 * cell.units
    both = _bias(cell, rows)
    first, second = both if both.ndim == 2 else (both, np.zeros(rows))
    return FloatGRU(
        name=name,
        kernel=weight(cell.kernel).T * gain[:, None],
        recurrent=weight(cell.recurrent_kernel).T * gain[:, None],
        bias=first * gain,
        recurrent_bias=second * gain,
        use_bias=bool(cell.use_bias),
        reset_after=bool(cell.reset_after),
        recurrent_activation=activation_name(cell.recurrent_activation),
    )


_FLOAT: dict[str, Callable[[str, Any, Context], FloatRecurrent]] = {
    "GRU": _gru,
    "LSTM": _lstm,
    "SimpleRNN": _simple_rnn,
}
