"""Which float weights an integer affine map is made of, and in which units.

Weights stand as in Keras, [N, R] and gates side by side; those of a registered cell are as many as
its float weights, and have their names. A kernel of 1 turns a reading one unit (`qat.columns`)
above its channel's mean, or a hidden state of 1, into a pre-activation of 1: training takes the
path it would take in a network that reads normalized data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.errors import TrainingError
from edgernn.graph.lowering import lowered
from edgernn.graph.ops import AffineResult, Scaling, Value
from edgernn.model.affine import Affine, Source
from edgernn.model.formats import PREACTIVATION, FloatArray, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn_export.compress.qat.maps.columns import Columns, output_scales
from edgernn_export.float_model.graph_run import offset_of
from edgernn_export.float_model.own_cells import row_scales

KERNEL: Final = "kernel"
RECURRENT: Final = "recurrent_kernel"
BIAS: Final = "bias"
RECURRENT_BIAS: Final = "recurrent_bias"

#: By kind of layer: map -> (its columns of the stacked weights in units of H, its bias).
_COLUMNS: Final[dict[str, dict[str, tuple[int, int | None, str]]]] = {
    "simple_rnn": {"gates": (0, None, BIAS)},
    "lstm": {"gates": (0, None, BIAS)},
    "gru_before": {"zr": (0, 2, BIAS), "n": (2, None, BIAS)},
    "gru_after": {"zr": (0, 2, BIAS), "n_x": (2, None, BIAS), "n_h": (2, None, RECURRENT_BIAS)},
    "dense": {"out": (0, None, BIAS)},
}
#: By source: the matrices whose columns its operands multiply.
MATRICES: Final = {
    Source.X: (KERNEL,),
    Source.H: (RECURRENT,),
    Source.RH: (RECURRENT,),
    Source.XH: (KERNEL, RECURRENT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSpec:
    """One affine map of a layer under training.

    Attributes:
        name: of the map, as in the layer record.
        affine: the integer map training starts from.
        matrices: the weights that hold its kernel and its recurrent kernel.
        columns: its columns of them.
        bias: the weights that hold its bias.
        bias_columns: its part of them.
        bias_gain: output codes per unit of bias, float64 [R].
        gains: per matrix, output codes per operand code for a weight of 1, float64 [R], or [N, R]
            where columns have several scales.
        center: value of operand code 0 in the kernel's units, float64 [I]; None where it is 0.
        out_offset: what is added to the bias, in its units, float64 [R], or 0.
    """

    name: str
    affine: Affine
    matrices: dict[str, str]
    columns: slice
    bias: str
    bias_columns: slice
    bias_gain: FloatArray
    gains: dict[str, FloatArray]
    center: FloatArray | None
    out_offset: FloatArray | float = 0.0


def is_registered(layer: Layer) -> bool:
    """Whether a layer's weights are those that the record of a registered cell says."""
    return layer.kind not in _COLUMNS


def map_specs(model: IntegerModel, index: int, columns: Columns) -> tuple[MapSpec, ...]:
    """The affine maps of layer ``index``.

    Args:
        model: the integer model.
        index: of the layer.
        columns: what it reads.
    """
    layer = model.layers[index]
    if is_registered(layer):
        return _cell_specs(model, index, columns)
    codes = {KERNEL: columns.operands(model), RECURRENT: _state_codes(model, layer)}
    specs = []
    for name, affine in layer.affines.items():
        first, last, bias = _COLUMNS[layer.kind][name]
        gates = slice(first * layer.units, None if last is None else last * layer.units)
        per_unit = np.broadcast_to(_output_scale(model, index), (affine.rows,))
        bias_gain = columns.out_gain / per_unit
        of_input = bias == BIAS
        specs.append(
            MapSpec(
                name=name,
                affine=affine,
                matrices={KERNEL: KERNEL, RECURRENT: RECURRENT},
                columns=gates,
                bias=bias,
                bias_columns=gates if of_input else slice(None),
                bias_gain=bias_gain,
                gains={matrix: _gain(bias_gain, codes[matrix]) for matrix in codes},
                center=columns.center if of_input and columns.center.any() else None,
                out_offset=columns.out_offset,
            )
        )
    return tuple(specs)


def _gain(bias_gain: FloatArray, codes: FloatArray | float) -> FloatArray:
    """Output codes per operand code for a weight of 1: [R], or [N, R] of columns unlike."""
    return bias_gain / (codes if isinstance(codes, float) else codes[:, None])


def _cell_specs(model: IntegerModel, index: int, columns: Columns) -> tuple[MapSpec, ...]:
    """The maps of a registered cell, in the order of its record, each with its own weights.

    Raises:
        TrainingError: a map reads two values besides the input.
    """
    layer, precision = model.layers[index], model.precision
    graph = lowered(precision, (layer,))
    made = {op.result.name: op for op in graph.ops}
    found = {}
    for op in graph.ops:
        if not isinstance(op, AffineResult):
            continue
        gain = 1.0 / row_scales(graph, op)
        gains = {KERNEL: _gain(gain, columns.operands(model))}
        matrices = {KERNEL: f"{op.name}.x"}
        for source, operand in op.by_source.items():
            if source is Source.X:
                continue
            name = operand.name if source is not Source.XH else made[operand.name].reads[1].name
            (value,) = made[name].reads
            if RECURRENT in gains:
                raise TrainingError(
                    f"{op.result.name}: expected a map of the input and one other value, got a "
                    "map of two others. Train the float network and quantize it afterwards."
                )
            gains[RECURRENT] = gain * _scale_of(value) * precision.operand_ratio
            read = Source.H if source is Source.XH else source
            matrices[RECURRENT] = f"{op.name}.{read.value}"
        of_input = {Source.X, Source.XH} & set(op.by_source)
        found[op.name] = MapSpec(
            name=op.name,
            affine=op.affine,
            matrices=matrices,
            columns=slice(None),
            bias=f"{op.name}.bias",
            bias_columns=slice(None),
            bias_gain=gain,
            gains=gains,
            center=columns.center if of_input and columns.center.any() else None,
        )
    return tuple(found[name] for name in layer.affines)


def _scale_of(value: Value) -> float:
    assert value.format is not None  # values of cells have formats
    return value.format.scale


def scale_rates(layer: Layer) -> dict[str, FloatArray]:
    """Codes per unit of constants and of offsets, by their names (clause 7.9)."""
    rates = {}
    for op in lowered(Precision.W8A8, (layer,)).ops:
        if isinstance(op, Scaling):
            per_unit = _scale_of(op.value) / _scale_of(op.result) * 2.0**op.scale.shift
            rates[op.name] = np.full(op.scale.width, per_unit)
            if op.name in layer.offsets:
                per_unit = 1.0 / _scale_of(op.result)
                rates[offset_of(op.name)] = np.full(op.scale.width, per_unit)
    return rates


def _state_codes(model: IntegerModel, layer: Layer) -> float:
    """Operand codes per unit of the layer's own state."""
    return 1.0 / (layer.output_scale * model.precision.operand_ratio)


def _output_scale(model: IntegerModel, index: int) -> FloatArray | float:
    """Real value of one code of a layer's affine results."""
    layer = model.layers[index]
    if isinstance(layer, Dense):
        if layer.activation in (DenseActivation.TANH, DenseActivation.SIGMOID):
            return PREACTIVATION.scale
        return output_scales(model, index)
    if isinstance(layer, SimpleRNN) and layer.activation is CellActivation.RELU:
        return layer.output_scale
    return PREACTIVATION.scale


def gates_of(layer: Layer) -> tuple[str, ...]:
    """Names of the gates side by side in the kernels of a layer that is no registered cell."""
    if isinstance(layer, Dense):
        return ("y",)
    if isinstance(layer, SimpleRNN):
        return ("h",)
    if isinstance(layer, LSTM):
        return ("i", "f", "g", "o")
    assert isinstance(layer, (GRUBefore, GRUAfter))  # the others of `_COLUMNS`
    return ("z", "r", "n")
