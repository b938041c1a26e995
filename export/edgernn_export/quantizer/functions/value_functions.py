"""Layers of values without matrices: pointwise functions, PReLU and layer normalization."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from edgernn.cells.layer_norm import LayerNorm
from edgernn.cells.pointwise import Pointwise
from edgernn.cells.prelu import PReLU
from edgernn.errors import CalibrationError, ModelError, QuantizationError
from edgernn.model.formats import (
    INT16_MAX,
    NORMALIZED,
    UNIT,
    FloatArray,
    Int16Array,
    Precision,
)
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.scales import SCALE_SHIFTS, NormalizationConstants, ScaleVector
from edgernn_export.calibration.ranges import limit
from edgernn_export.float_model.model import FloatLayerNorm, FloatPointwise, FloatPReLU
from edgernn_export.quantizer.functions.curves import fitted_curve
from edgernn_export.quantizer.layer_context import (
    HIDDEN_HEADROOM,
    OUTPUT_HEADROOM,
    LayerContext,
)

#: Beyond the root of N - 1 to which a normalized row reaches at most: the bound of clause 7.11.
_OF_ROUNDING: Final = 1.0 + 2.0**-5


def quantize_pointwise(context: LayerContext, layer: FloatPointwise) -> Pointwise:
    """Quantize a function of every value.

    Raises:
        CalibrationError: all results were zero at every step, so nothing is known of their range.
        QuantizationError: what it reads has several scales, or codes for numbers that are not
            multiples of its scale.
    """
    within_one = PointwiseFunction.parse(layer.function).within_one
    scale = UNIT.scale if within_one else _output_scale(context, layer.name)
    argument = _one_scale(context, layer.name)
    reach = 1.0 if within_one else 1.0 / _headroom(context)
    return Pointwise(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        output_scale=scale,
        function=layer.function,
        curve=fitted_curve(layer.function, argument, scale, reach).table,
    )


def quantize_prelu(context: LayerContext, layer: FloatPReLU) -> PReLU:
    """Quantize a PReLU.

    Raises:
        CalibrationError: all results were zero at every step, so nothing is known of their range.
        QuantizationError: what it reads has codes that stand for other numbers than multiples of
            its scale.
    """
    _no_offset(context, layer.name)
    scale = _output_scale(context, layer.name)
    ratio = context.feed.value_scale / scale
    return PReLU(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        output_scale=scale,
        negated=_scaling(np.full(layer.units, -1.0)),
        positive=_scaling(ratio),
        negative=_scaling(-ratio * layer.slope),
    )


def layer_norm_scale(context: LayerContext, layer: FloatLayerNorm) -> FloatArray:
    """Real value of one output code per element [U] of a layer normalization.

    The parts of a sum need room, too; and no result is further from its offset than the root of
    N - 1 times its gain.

    Raises:
        CalibrationError: all values were zero at every step, so nothing is known of their range.
    """
    gain, offset = (np.tile(values, layer.count) for values in (layer.gain, layer.offset))
    y, method = context.stats("y"), context.plan.method
    seen = [
        limit(y.spread[:, unit], float(largest), method) or float(largest)
        for unit, largest in enumerate(np.maximum(y.high, -y.low))
    ]
    parts = np.abs([offset, y.high - offset, y.low - offset]).max(axis=0)
    room = np.maximum(seen, parts)
    farthest = np.abs(gain) * np.sqrt(layer.width - 1) * _OF_ROUNDING + np.abs(offset)
    reach = np.minimum(room * _headroom(context), farthest)
    if not reach.any():
        raise _still(layer.name)
    asked = np.where(reach > 0.0, reach, reach.max()) / INT16_MAX
    scale = context.row_scales(asked, np.ones(layer.units, bool))
    # Single precision: the last bits of the float run depend on the number of BLAS threads.
    rounded: FloatArray = scale.astype(np.float32).astype(np.float64)
    return rounded


def quantize_layer_norm(context: LayerContext, layer: FloatLayerNorm) -> LayerNorm:
    """Quantize a layer normalization.

    Raises:
        CalibrationError: all values were zero at every step, so nothing is known of their range;
            or its epsilon outweighs all values that it reads.
        QuantizationError: what it reads has several scales, or codes for numbers that are not
            multiples of its scale.
    """
    scale = layer_norm_scale(context, layer)
    try:
        read = _one_scale(context, layer.name)
        norm = NormalizationConstants.of(layer.width, read, layer.epsilon)
    except ModelError as error:
        raise CalibrationError(f"{layer.name}: {error}") from error
    ratio = np.tile(layer.gain, layer.count) * NORMALIZED.scale / scale
    offset = np.tile(layer.offset, layer.count) / scale
    codes: Int16Array = np.clip(np.rint(offset), -INT16_MAX, INT16_MAX).astype(np.int16)
    return LayerNorm(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        rows=layer.count,
        norm=norm,
        gain=replace(_scaling(ratio), bias=codes),
        output_scale=float(scale.max()),
        unit_scales=context.unit_scales(scale),
    )


def _headroom(context: LayerContext) -> float:
    return OUTPUT_HEADROOM[Precision.W8A8] if context.last else HIDDEN_HEADROOM


def _output_scale(context: LayerContext, name: str) -> float:
    """Real value of one output code of all units."""
    stats = context.stats("y")
    reach = limit(stats.spread, stats.limit, context.plan.method) or stats.limit
    if not reach > 0.0:
        raise _still(name)
    asked = np.array([reach * _headroom(context) / INT16_MAX])
    scale = context.row_scales(asked, np.ones(1, bool))
    # Single precision: the last bits of the float run depend on the number of BLAS threads.
    return float(np.float32(scale[0]))


def _still(name: str) -> CalibrationError:
    return CalibrationError(
        f"{name}: expected values that change during calibration, got zero at every step. "
        "Calibrate with representative readings."
    )


def _no_offset(context: LayerContext, name: str) -> None:
    if context.feed.offset.any():
        raise QuantizationError(
            f"{name}: expected a layer before it, got the model's input, whose codes have "
            "offsets. Add a merge or a linear Dense layer between them."
        )


def _one_scale(context: LayerContext, name: str) -> float:
    """The scale of what a table reads."""
    _no_offset(context, name)
    scales = context.feed.value_scale
    if np.ptp(scales) > 0.0:
        raise QuantizationError(
            f"{name}: expected values of one scale, got {scales.min():.6g} to "
            f"{scales.max():.6g}. Add a merge or a linear Dense layer before it, which gives "
            "all values one scale."
        )
    return float(scales[0])


def _scaling(ratio: FloatArray) -> ScaleVector:
    """Constants of clause 7.9 with as many bits as int16 holds."""
    largest = float(np.max(np.abs(ratio)))
    shift = next(k for k in reversed(SCALE_SHIFTS) if np.rint(largest * 2.0**k) <= INT16_MAX)
    codes: Int16Array = np.rint(ratio * 2.0**shift).astype(np.int16)
    return ScaleVector(multiplier=codes, shift=shift, bias=np.zeros(len(codes), np.int16))
