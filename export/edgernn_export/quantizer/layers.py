"""One function per layer kind: float layer and calibration in, integer layer out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgernn.cells.dense_rows import DenseRows
from edgernn.errors import CalibrationError, CalibrationWarning
from edgernn.model.affine import Source
from edgernn.model.formats import (
    CELL_EXPONENTS,
    INT16_MAX,
    PREACTIVATION,
    RELU_EXPONENTS,
    UNIT,
    WEIGHT_MAX,
    FloatArray,
    Precision,
)
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    Embedding,
    GateActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn_export.calibration.ranges import exponent_for, limit
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDelay,
    FloatDense,
    FloatDenseRows,
    FloatEmbedding,
    FloatGRU,
    FloatLayer,
    FloatLayerNorm,
    FloatLSTM,
    FloatMerge,
    FloatPointwise,
    FloatPReLU,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell
from edgernn_export.quantizer.functions.value_functions import (
    layer_norm_scale,
    quantize_layer_norm,
    quantize_pointwise,
    quantize_prelu,
)
from edgernn_export.quantizer.layer_context import (
    HIDDEN_HEADROOM,
    OUTPUT_HEADROOM,
    STATE_HEADROOM,
    LayerContext,
)
from edgernn_export.quantizer.memories import MEMORIES
from edgernn_export.quantizer.own_cells import quantize_cell
from edgernn_export.quantizer.value_layers import merge_output_scale, quantize_delay, quantize_merge
from edgernn_export.quantizer.weights.bits import Matrices, matrices_of

#: A `w8a16` row saturates between half of and the full int16 range (clause 5.2).
_HIGH_CODE = {Precision.W8A8: 32767, Precision.W8A16: 16383}
#: Code of the largest value a `w8a8` dense row can reach; within clause 4.4 at a shift of 1.
FARTHEST_CODE8 = 1 << 26
#: Output codes per operand code of a `w8a16` dense row; just below 127 steps of 2^-3 (clause 5.2).
STEEPEST_GAIN16 = 15.8


def _simple_rnn(context: LayerContext, layer: FloatSimpleRNN) -> Layer:
    if layer.activation == "tanh":
        exponent, out_scale = UNIT.frac_bits, PREACTIVATION.scale
    else:
        stats = context.stats("h")
        reach = limit(stats.spread, stats.limit, context.plan.method) * STATE_HEADROOM
        exponent = exponent_for(reach, RELU_EXPONENTS, _HIGH_CODE[context.plan.precision])
        out_scale = 2.0**-exponent
    terms = context.xh(
        context.x_term(layer.kernel, out_scale),
        context.h_term(layer.recurrent, 2.0**-exponent, out_scale),
    )
    bias = context.bias(layer.kernel, layer.bias, out_scale)
    return SimpleRNN(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        activation=CellActivation(layer.activation),
        state_exponent=exponent,
        gates=context.affines({"gates": (terms, bias)})["gates"],
    )


def _lstm(context: LayerContext, layer: FloatLSTM) -> Layer:
    stats = context.stats("c")
    reach = limit(stats.spread, stats.limit, context.plan.method) * STATE_HEADROOM
    if reach > INT16_MAX * 2.0 ** -min(CELL_EXPONENTS):
        return quantize_cell(context, general_cell(layer))
    z_scale = PREACTIVATION.scale
    terms = context.xh(
        context.x_term(layer.kernel, z_scale), context.h_term(layer.recurrent, UNIT.scale, z_scale)
    )
    bias = context.bias(layer.kernel, layer.bias, z_scale)
    return LSTM(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        gate_activation=GateActivation(layer.recurrent_activation),
        cell_exponent=exponent_for(reach, CELL_EXPONENTS),
        gates=context.affines({"gates": (terms, bias)})["gates"],
    )


def _gru(context: LayerContext, layer: FloatGRU) -> Layer:
    split, z_scale = 2 * layer.units, PREACTIVATION.scale
    k_zr, k_n = layer.kernel[:split], layer.kernel[split:]
    u_zr, u_n = layer.recurrent[:split], layer.recurrent[split:]
    b_zr = layer.bias[:split] + layer.recurrent_bias[:split]
    zr_terms = context.xh(context.x_term(k_zr, z_scale), context.h_term(u_zr, UNIT.scale, z_scale))
    zr = (zr_terms, context.bias(k_zr, b_zr, z_scale))
    n_x = context.x_term(k_n, z_scale)
    n_bias = context.bias(k_n, layer.bias[split:], z_scale)
    base: dict[str, Any] = {
        "name": context.name,
        "inputs": layer.inputs,
        "units": layer.units,
        "gate_activation": GateActivation(layer.recurrent_activation),
    }
    if layer.reset_after:
        n_h = context.h_term(u_n, UNIT.scale, z_scale)
        h_bias = layer.recurrent_bias[split:] / z_scale
        maps = {"zr": zr, "n_x": ([n_x], n_bias), "n_h": ([n_h], h_bias)}
        return GRUAfter(**base, **dict[str, Any](context.affines(maps)))
    n_rh = context.h_term(u_n, UNIT.scale, z_scale, Source.RH)
    maps = {"zr": zr, "n": ([n_x, n_rh], n_bias)}
    return GRUBefore(**base, **dict[str, Any](context.affines(maps)))


def dense_output_scale(context: LayerContext, layer: FloatDense) -> FloatArray:
    """Real value of one output code per row (clause 8.2).

    Raises:
        CalibrationError: an output was zero at every step, so nothing is known of its range.
    """
    if layer.activation in ("tanh", "sigmoid"):
        return np.full(layer.units, UNIT.scale)
    scale = np.maximum(_needed_scale(context, layer), _finest_scale(context, layer))
    scale[silent_units(context, layer)] = 0.0
    stats = context.stats("y")
    scale = context.row_scales(scale, (stats.high != 0.0) | (stats.low != 0.0))
    # Single precision: the last bits of the float run depend on the number of BLAS threads.
    rounded: FloatArray = scale.astype(np.float32).astype(np.float64)
    return rounded


def silent_units(context: LayerContext, layer: FloatDense) -> NDArray[np.int_]:
    """Units of a relu that never fire in calibration, and too steep for the scale of the others.

    Were they kept, all units would get a scale so coarse that it can tell how far below 0 they are.
    """
    if layer.activation != "relu":
        return np.zeros(0, np.int_)
    fires = context.stats("y").high > 0.0
    others = _needed_scale(context, layer)[fires].max(initial=np.inf if not fires.any() else 0.0)
    return np.flatnonzero(~fires & (_finest_scale(context, layer) > others))


def _needed_scale(context: LayerContext, layer: FloatDense) -> FloatArray:
    """The scale per row that holds what calibration reached, and room beyond it."""
    headroom = OUTPUT_HEADROOM[context.plan.precision] if context.last else HIDDEN_HEADROOM
    held: FloatArray = _dense_reach(context, layer) * headroom
    return held / _HIGH_CODE[context.plan.precision]


def _dense_reach(context: LayerContext, layer: FloatDense) -> FloatArray:
    """Largest output to code, per row."""
    stats = context.stats("y")
    largest = np.maximum(stats.high, -stats.low)
    still = np.flatnonzero((largest == 0.0) & np.any(layer.kernel, axis=1))
    if still.size:
        raise CalibrationError(
            f"{layer.name}: expected outputs that change during calibration, got zero at every "
            f"step (unit {int(still[0])}). Calibrate with representative readings."
        )
    columns = [
        limit(stats.spread[:, r], float(largest[r]), context.plan.method) or float(largest[r])
        for r in range(layer.units)
    ]
    reach: FloatArray = np.maximum(np.array(columns), 1e-9)
    return reach


def _finest_scale(context: LayerContext, layer: FloatDense) -> FloatArray:
    """The finest output scale per row that safe integers exist for (clauses 4.4 and 5.2).

    An output that hardly changes during calibration would need more: weights that turn one operand
    code into thousands of output codes.
    """
    gain = np.abs(layer.kernel) * context.feed.scale
    if context.plan.precision is Precision.W8A16:
        share = context.weight_max(Source.X) / WEIGHT_MAX
        steepest: FloatArray = gain.max(axis=1) / (STEEPEST_GAIN16 * share)
        return steepest
    offset = np.abs(layer.bias + layer.kernel @ context.feed.offset)
    farthest: FloatArray = (gain * -context.feed.ends[0]).sum(axis=1) + offset
    return farthest / FARTHEST_CODE8


def _dense(context: LayerContext, layer: FloatDense) -> Layer:
    bounded = layer.activation in ("tanh", "sigmoid")
    scale, silent = dense_output_scale(context, layer), silent_units(context, layer)
    if silent.size:
        layer = _left_out(layer, silent)
    row_scale: FloatArray = np.full(layer.units, PREACTIVATION.scale) if bounded else scale
    terms = [context.x_term(layer.kernel, row_scale)]
    bias = context.bias(layer.kernel, layer.bias, row_scale)
    return Dense(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        activation=DenseActivation(layer.activation),
        output_scale=float(scale.max()),
        unit_scales=context.unit_scales(scale),
        out=context.affines({"out": (terms, bias)})["out"],
    )


def _left_out(layer: FloatDense, units: NDArray[np.int_]) -> FloatDense:
    """A layer some of whose units are always 0, with a warning that tells it."""
    told = ", ".join(map(str, units[:8])) + (", …" if units.size > 8 else "")
    warnings.warn(
        f"{layer.name}: expected units that fire during calibration, got {units.size} of "
        f"{layer.units} that never do and whose weights are too steep for the scale of the others "
        f"({told}). They are always 0 in the integer model. If they fire on your data, calibrate "
        "with such readings.",
        CalibrationWarning,
        stacklevel=2,
    )
    kernel, bias = layer.kernel.copy(), layer.bias.copy()
    kernel[units], bias[units] = 0.0, 0.0
    return replace(layer, kernel=kernel, bias=bias)


def _dense_rows(context: LayerContext, layer: FloatDenseRows) -> Layer:
    """One Dense of all rows: its ranges hold what each of them reads and puts out."""
    made = _dense(context.of_rows(layer.count), layer.dense)
    assert isinstance(made, Dense)
    return DenseRows(
        name=made.name,
        inputs=layer.inputs,
        units=layer.units,
        rows=layer.count,
        activation=made.activation,
        output_scale=made.output_scale,
        out=made.out,
    )


def _embedding(context: LayerContext, layer: FloatEmbedding) -> Layer:
    """The largest magnitude of the table gets the code 127; a code of it is 256 of the output."""
    largest = float(np.abs(layer.table).max()) or 1.0
    scale = float(np.float32(largest / WEIGHT_MAX))
    codes = np.clip(np.rint(layer.table / scale), -WEIGHT_MAX, WEIGHT_MAX)
    return Embedding(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        output_scale=scale / 256,
        table=codes.astype(np.int8),
    )


#: float layer record -> quantizer
QUANTIZERS: Final[dict[type, Callable[[LayerContext, Any], Layer]]] = {
    FloatSimpleRNN: _simple_rnn,
    FloatLSTM: _lstm,
    FloatGRU: _gru,
    FloatDense: _dense,
    FloatDenseRows: _dense_rows,
    FloatMerge: quantize_merge,
    FloatCell: quantize_cell,
    FloatEmbedding: _embedding,
    FloatDelay: quantize_delay,
    FloatPointwise: quantize_pointwise,
    FloatPReLU: quantize_prelu,
    FloatLayerNorm: quantize_layer_norm,
    **MEMORIES,
}


def quantize_layer(context: LayerContext, layer: FloatLayer) -> Layer:
    """Quantize one layer by its kind."""
    return QUANTIZERS[type(layer)](context, layer)


def output_scale(context: LayerContext, layer: FloatLayer, made: Layer) -> FloatArray:
    """Real value of one output code per row of a layer.

    Args:
        context: of the layer.
        layer: the float layer.
        made: the integer layer made of it.
    """
    if isinstance(layer, FloatDense):
        return dense_output_scale(context, layer)
    if isinstance(layer, FloatDenseRows):
        scale = dense_output_scale(context.of_rows(layer.count), layer.dense)
        return np.tile(scale, layer.count)
    if isinstance(layer, FloatMerge):
        return merge_output_scale(context, layer)
    if isinstance(layer, FloatLayerNorm):
        return layer_norm_scale(context, layer)
    if isinstance(layer, FloatDelay):
        return np.tile(context.feed.value_scale, layer.depth)
    return np.full(layer.units, made.output_scale)


def weight_matrices(layers: tuple[FloatLayer, ...]) -> dict[str, Matrices]:
    """The matrices of the layers that have some, by their names as `layer_names` gives them."""
    found = zip(layer_names(layers), map(matrices_of, layers), strict=True)
    return {name: own for name, own in found if own is not None}


def layer_names(layers: tuple[FloatLayer, ...]) -> list[str]:
    """Distinct names within the file format's alphabet, as close to the originals as possible."""
    names: list[str] = []
    for index, layer in enumerate(layers):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", layer.name)[:56].lstrip("-") or f"layer_{index}"
        while name in names:
            name = f"{name}_{index}"
        names.append(name)
    return names
