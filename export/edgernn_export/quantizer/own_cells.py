"""Registered cells: exponents, maps and constants, all derived from the graph of the cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.errors import ModelError, RangeRefused
from edgernn.graph.lowering import lowered
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import AffineResult, Curve, Normalization, OperandOf, Scaling, Value
from edgernn.model.affine import Source
from edgernn.model.formats import INT16_MAX, FloatArray, Int16Array, QFormat
from edgernn.model.functions.curves import CurveTable
from edgernn.model.layer_record import LayerRecord
from edgernn.model.scales import SCALE_SHIFTS, NormalizationConstants, ScaleVector
from edgernn_export.float_model.cell_plans import record_of, template
from edgernn_export.float_model.graph_run import offset_of
from edgernn_export.float_model.own_cells import FloatCell, row_scales
from edgernn_export.quantizer.functions.curves import fitted_curve
from edgernn_export.quantizer.functions.exponents import cell_exponents
from edgernn_export.quantizer.layer_context import STATE_HEADROOM, LayerContext
from edgernn_export.quantizer.weights.affine import RealTerm, join

#: The part of int16 that states and results fill in calibration at most.
_REACH = 1.0 / STATE_HEADROOM


def quantize_cell(context: LayerContext, layer: FloatCell, *, wide: bool = False) -> LayerRecord:
    """Quantize a layer of a registered cell.

    Args:
        context: of the layer.
        layer: the float layer.
        wide: with a wide state.

    Raises:
        OverflowRefused: an accumulator could overflow.
        RangeRefused: a constant is larger than clause 7.9 holds, an epsilon than 7.11 does, or no
            exponents fit together.
    """
    exponents = cell_exponents(context, layer, wide=wide)
    record = template(layer.kind, layer.inputs, layer.units, layer.options, exponents, wide=wide)
    graph = lowered(context.plan.precision, (record,))
    maps = {
        op.name: _map(context, layer, graph, op) for op in graph.ops if isinstance(op, AffineResult)
    }
    scales = {op.name: _scale(context, layer, op) for op in graph.ops if isinstance(op, Scaling)}
    norms = {
        op.name: _norm(context, layer, op) for op in graph.ops if isinstance(op, Normalization)
    }
    ordered = {name: maps[name] for name in record.shape}
    changed: dict[str, Any] = {
        **context.affines(ordered),
        **type(record).scale_arguments({name: scales[name] for name in record.scales}),
        **norms,
        **{op.name: _curve(op) for op in graph.ops if isinstance(op, Curve)},
    }
    return replace(record, name=context.name, **changed)


def _map(
    context: LayerContext, layer: FloatCell, graph: OpGraph, op: AffineResult
) -> tuple[list[RealTerm], FloatArray]:
    """The products of a map and its bias, in codes of the format that it goes to."""
    weights, out_scale = layer.by_name, row_scales(graph, op)
    terms = []
    bias = weights[f"{op.name}.bias"] / out_scale
    made = {one.result.name: one for one in graph.ops}
    for source in layer.plan.terms[op.name]:
        matrix = weights[f"{op.name}.{source.value}"]
        if source is Source.X:
            terms.append(context.x_term(matrix, out_scale))
            bias = context.bias(matrix, weights[f"{op.name}.bias"], out_scale)
            continue
        operand = op.by_source.get(source)
        if operand is None:
            operand = made[op.by_source[Source.XH].name].reads[1]
        read = made[operand.name]
        assert isinstance(read, OperandOf)
        tensor = layer.plan.operands[source]
        terms.append(context.h_term(matrix, _scale_of(read.value), out_scale, source, tensor))
    _, allowed = record_of(layer.kind).shape[op.name]
    joint = (Source.XH,) in allowed
    if joint and (Source.X, Source.H) not in allowed:
        return [join(*terms)], bias
    return (context.xh(*terms) if joint else terms), bias


def _scale(context: LayerContext, layer: FloatCell, op: Scaling) -> ScaleVector:
    """Constants of clause 7.9 with as many bits as int16 holds."""
    ratio = layer.by_name[op.name] * _scale_of(op.value) / _scale_of(op.result)
    largest = float(np.max(np.abs(ratio)))
    shifts = [k for k in SCALE_SHIFTS if np.rint(largest * 2.0**k) <= INT16_MAX]
    if not shifts:
        highest = INT16_MAX / 2.0 ** SCALE_SHIFTS[0] * _scale_of(op.result) / _scale_of(op.value)
        raise RangeRefused(
            [
                f"{context.name}.{op.name}: expected constants within ±{highest:.6g}, got "
                f"{float(np.max(np.abs(layer.by_name[op.name]))):.6g}. Train with smaller "
                "constants."
            ]
        )
    multiplier = np.rint(ratio * 2.0 ** shifts[-1]).astype(np.int16)
    return ScaleVector(multiplier=multiplier, shift=shifts[-1], bias=_offsets(context, layer, op))


def _curve(op: Curve) -> CurveTable:
    """The table of a function for the formats of its argument and its result."""
    reach = 1.0 if op.function.within_one else _REACH
    return fitted_curve(str(op.function), _scale_of(op.value), _scale_of(op.result), reach).table


def _offsets(context: LayerContext, layer: FloatCell, op: Scaling) -> Int16Array:
    """Offsets of clause 7.9 in codes of the result."""
    unit = _scale_of(op.result)
    real = layer.by_name.get(offset_of(op.name), np.zeros(op.scale.width))
    codes: FloatArray = np.rint(real / unit)
    if np.max(np.abs(codes)) > INT16_MAX:
        raise RangeRefused(
            [
                f"{context.name}.{offset_of(op.name)}: expected offsets within "
                f"±{INT16_MAX * unit:.6g}, got {float(np.max(np.abs(real))):.6g}. Train with "
                "smaller constants."
            ]
        )
    narrow: Int16Array = codes.astype(np.int16)
    return narrow


def _norm(context: LayerContext, layer: FloatCell, op: Normalization) -> NormalizationConstants:
    """Constants of clause 7.11 for the scale of the normalized values."""
    try:
        return NormalizationConstants.of(op.value.width, _scale_of(op.value), layer.plan.epsilon)
    except ModelError as error:
        raise RangeRefused([f"{context.name}.{op.name}: {error}"]) from error


def _scale_of(value: Value) -> float:
    form: QFormat | None = value.format
    assert form is not None  # values of cells have formats: only merges and outputs have none
    return form.scale
