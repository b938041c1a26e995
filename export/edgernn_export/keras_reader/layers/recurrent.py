"""SimpleRNN, LSTM, GRU, and RNN around one of their cells.

Keras stores kernels as [I, G*H] with gates in the order i f c o (LSTM) and z r h (GRU), which is
the order of `float_model` under other names; matrices are transposed, nothing is permuted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn_export.cells.cell_readers import CellReader, cell_reader
from edgernn_export.float_model.model import (
    FloatCell,
    FloatGRU,
    FloatLSTM,
    FloatRecurrent,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell
from edgernn_export.keras_reader.findings import Context, class_of, owner_of
from edgernn_export.keras_reader.layers.activations import read_function
from edgernn_export.keras_reader.layers.config import (
    check_config,
    check_dtype,
    finite,
    is_builtin,
    registered_name,
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
    "go_backwards": "A stream has no end to start from. Quantize the network for whole chunks with "
    "edgernn_export.quantize or: edgernn quantize; or train with go_backwards=False.",
}
#: Functions of gates, and of a SimpleRNN, that layers have beside those with any function.
_GATES = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")
_SIMPLE = ("tanh", "relu")
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


def _fixed(context: Context) -> dict[str, tuple[Any, ...]]:
    """Arguments with the values that are supported."""
    return {"go_backwards": (False, True)} if context.directed else _FIXED


def read_recurrent(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read SimpleRNN, LSTM or GRU."""
    return _read(layer, layer.cell, _CELLS[class_of(layer)], context)


def read_rnn(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read keras.layers.RNN around Keras's cells, registered ones, or a stack of them."""
    if class_of(layer.cell) != "StackedRNNCells" or not is_builtin(layer.cell):
        return _read_one(layer, layer.cell, layer.name, context)
    cells = layer.cell.cells
    if context.directed:
        context.findings.add(
            owner_of(layer),
            "one cell in each layer of a network with backward layers",
            f"{len(cells)} cells",
            "Build one keras.layers.RNN per cell, with return_sequences=True in all except the "
            "last, and copy the weights.",
        )
        return (UnknownPart(owner=owner_of(layer), recurrent=True),)
    # A stack of cells in one layer computes what layers behind one another do.
    parts = [
        part
        for index, cell in enumerate(cells)
        for part in _read_one(layer, cell, f"{layer.name}_{index}", context)
    ]
    return tuple(
        replace(part, return_sequences=True)
        if isinstance(part, RecurrentPart) and index < len(parts) - 1
        else part
        for index, part in enumerate(parts)
    )


def _read_one(layer: Any, cell: Any, name: str, context: Context) -> tuple[LayerPart, ...]:
    """Read one cell of keras.layers.RNN as a layer of this name."""
    kind = class_of(cell)
    own = _own_reader(cell)
    if own is not None:
        return _read_own(layer, cell, own, name, context)
    if kind not in _CELLS or not is_builtin(cell):
        context.findings.add(
            owner_of(layer),
            "a cell of type SimpleRNNCell, LSTMCell or GRUCell, or a registered cell",
            f"cell {owner_of(cell)}",
            "Train with one of these cells, or register it: docs/guides/add-a-cell.md.",
        )
        return (UnknownPart(owner=owner_of(layer), recurrent=True),)
    return _read(layer, cell, _CELLS[kind], context, name=name)


def _own_reader(cell: Any) -> CellReader | None:
    """Who reads a cell that is no class of Keras."""
    name = registered_name(cell)
    return None if name is None else cell_reader(name)


def _read_own(
    layer: Any, cell: Any, own: CellReader, name: str, context: Context
) -> tuple[LayerPart, ...]:
    """Read a registered cell of keras.layers.RNN."""
    unknown = (UnknownPart(owner=owner_of(layer), recurrent=True),)
    good = check_config(
        layer, layer.get_config(), context, free=_FREE, fixed=_fixed(context), cures=_CURES
    )
    check_dtype(cell, context.findings)
    try:
        made = own.read(name, cell)
    except UnsupportedModelError as error:
        context.findings.reasons.extend(error.reasons)
        return unknown
    if not good:
        return unknown
    return (
        RecurrentPart(
            owner=owner_of(layer),
            layer=_begun(made, layer),
            return_sequences=bool(layer.return_sequences),
            stateful=bool(layer.stateful),
        ),
    )


def _begun(made: FloatRecurrent, layer: Any) -> FloatRecurrent:
    """The float layer with what a layer of another format lets its states begin with."""
    start = getattr(layer, "start", None) if hasattr(layer, "stored_class") else None
    return made if start is None else replace(made, start=start)


def read_cell(cell: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a cell that is itself a layer of a network of one step."""
    return _read(cell, cell, _CELLS[class_of(cell)], context)


def _read(
    layer: Any, cell: Any, kind: str, context: Context, name: str = ""
) -> tuple[LayerPart, ...]:
    unknown = (UnknownPart(owner=owner_of(layer), recurrent=True),)
    good = check_config(
        layer, layer.get_config(), context, free=_FREE, fixed=_fixed(context), cures=_CURES
    )
    if class_of(layer) == "RNN":
        good = check_config(cell, cell.get_config(), context, free=_FREE) and good
    function = read_function(layer, "activation", cell.activation, context)
    gate: str | None = ""
    if kind != "SimpleRNN":
        gate = read_function(layer, "recurrent_activation", cell.recurrent_activation, context)
    if function is None or gate is None:
        return unknown
    if not good or not _weights_finite(layer, cell, context):
        return unknown
    one_step = class_of(layer).endswith("Cell")
    return (
        RecurrentPart(
            owner=owner_of(layer),
            layer=_begun(_FLOAT[kind](name or layer.name, cell, function, gate), layer),
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


def _gate_gain(cell: Any, gated: tuple[bool, ...], gate: str) -> FloatArray:
    """Factor per row that turns Keras 2's hard_sigmoid into Keras 3's; 1 everywhere else."""
    gain = _KERAS2_HARD_SIGMOID_GAIN if gate == _GATES[2] else 1.0
    return np.repeat([gain if row else 1.0 for row in gated], cell.units)


def _simple_rnn(name: str, cell: Any, function: str, _: str) -> FloatSimpleRNN | FloatCell:
    if function not in _SIMPLE:
        weights = {
            "gates.x": weight(cell.kernel).T,
            "gates.h": weight(cell.recurrent_kernel).T,
            "gates.bias": _bias(cell, cell.units),
        }
        return FloatCell.of("general_rnn", name, {"cell_function": function}, weights)
    return FloatSimpleRNN(
        name=name,
        kernel=weight(cell.kernel).T,
        recurrent=weight(cell.recurrent_kernel).T,
        bias=_bias(cell, cell.units),
        use_bias=bool(cell.use_bias),
        activation=function,
    )


def _lstm(name: str, cell: Any, function: str, gate: str) -> FloatLSTM | FloatCell:
    usual = function == "tanh" and gate in _GATES
    gain = _gate_gain(cell, (True, True, False, True), gate if usual else "")
    made = FloatLSTM(
        name=name,
        kernel=weight(cell.kernel).T * gain[:, None],
        recurrent=weight(cell.recurrent_kernel).T * gain[:, None],
        bias=_bias(cell, 4 * cell.units) * gain,
        use_bias=bool(cell.use_bias),
        recurrent_activation=gate.removesuffix("_keras2") if usual else "sigmoid",
    )
    return made if usual else _general(made, function, gate)


def _gru(name: str, cell: Any, function: str, gate: str) -> FloatGRU | FloatCell:
    usual = function == "tanh" and gate in _GATES
    gain = _gate_gain(cell, (True, True, False), gate if usual else "")
    rows = 3 * cell.units
    both = _bias(cell, rows)
    first, second = both if both.ndim == 2 else (both, np.zeros(rows))
    made = FloatGRU(
        name=name,
        kernel=weight(cell.kernel).T * gain[:, None],
        recurrent=weight(cell.recurrent_kernel).T * gain[:, None],
        bias=first * gain,
        recurrent_bias=second * gain,
        use_bias=bool(cell.use_bias),
        reset_after=bool(cell.reset_after),
        recurrent_activation=gate.removesuffix("_keras2") if usual else "sigmoid",
    )
    return made if usual else _general(made, function, gate)


def _general(layer: FloatLSTM | FloatGRU, function: str, gate: str) -> FloatCell:
    """The cell with a layer's weights and any functions."""
    made = general_cell(layer)
    options = {"gate_function": gate, "cell_function": function}
    return FloatCell.of(made.kind, made.name, options, made.by_name)


#: kind -> what makes the layer of a name, a cell, its function and that of its gates
_FLOAT: dict[str, Callable[[str, Any, str, str], FloatRecurrent]] = {
    "GRU": _gru,
    "LSTM": _lstm,
    "SimpleRNN": _simple_rnn,
}
