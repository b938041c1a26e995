"""Layers that bend every value they read: pointwise functions and PReLU."""

from __future__ import annotations

import numpy as np

from edgernn.cells.pointwise import Pointwise
from edgernn.cells.prelu import PReLU
from edgernn.errors import CalibrationError, QuantizationError
from edgernn.model.formats import INT16_MAX, UNIT, FloatArray, Int16Array, Precision
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.scales import SCALE_SHIFTS, ScaleVector
from edgernn_export.calibration.ranges import limit
from edgernn_export.float_model.model import FloatPointwise, FloatPReLU
from edgernn_export.quantizer.functions.curves import fitted_curve
from edgernn_export.quantizer.layer_context import (
    HIDDEN_HEADROOM,
    OUTPUT_HEADROOM,
    LayerContext,
)


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


def _headroom(context: LayerContext) -> float:
    return OUTPUT_HEADROOM[Precision.W8A8] if context.last else HIDDEN_HEADROOM


def _output_scale(context: LayerContext, name: str) -> float:
    """Real value of one output code of all units."""
    stats = context.stats("y")
    reach = limit(stats.spread, stats.limit, context.plan.method) or stats.limit
    if not reach > 0.0:
        raise CalibrationError(
            f"{name}: expected values that change during calibration, got zero at every step. "
            "Calibrate with representative readings."
        )
    asked = np.array([reach * _headroom(context) / INT16_MAX])
    scale = context.row_scales(asked, np.ones(1, bool))
    # Single precision: the last bits of the float run depend on the number of BLAS threads.
    return float(np.float32(scale[0]))


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
