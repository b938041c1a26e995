"""Layers quantized with wide states, if these are requested or needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from edgernn.cells.general.general_lstm import GeneralLSTM
from edgernn.cells.general.leaky_rnn import LeakyRNN
from edgernn.errors import QuantizationError
from edgernn.model.formats import (
    INT16_MAX,
    INT16_MIN,
    LOW_BITS,
    RELU_EXPONENTS,
    FloatArray,
    Int16Array,
    Precision,
)
from edgernn.model.layers import Layer
from edgernn.model.scales import ENTRY_SHIFTS, LeakConstants
from edgernn_export.calibration.ranges import exponent_for, limit
from edgernn_export.float_model.cell_plans import open_exponents, record_of
from edgernn_export.float_model.float_run import state_widths
from edgernn_export.float_model.model import (
    RECURRENT,
    FloatCell,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatSimpleRNN,
)
from edgernn_export.float_model.own_cells import general_cell
from edgernn_export.guards.long_memory import layer_memory
from edgernn_export.guards.state_ranges import HIGH_CODE, NARROW_CELL_LIMIT, high_code
from edgernn_export.guards.wide_forms import wide_defect
from edgernn_export.quantizer.layer_context import STATE_HEADROOM, LayerContext
from edgernn_export.quantizer.layers import FARTHEST_CODE8, STEEPEST_GAIN16, quantize_layer
from edgernn_export.quantizer.own_cells import quantize_cell
from edgernn_export.quantizer.states.storage import storage_of

#: Bits of a share (clause 7.20).
_SHARE_BITS: Final = 2 * LOW_BITS
#: Room above what a leaky sum takes in at most in the steps that are sampled.
_ENTRY_HEADROOM: Final = 2.0


def quantize_state(context: LayerContext, layer: FloatLayer, longest_steps: int | None) -> Layer:
    """Quantize a layer with the state that the plan or the calibration requires.

    Args:
        context: of the layer.
        layer: the float layer.
        longest_steps: steps after which the state is reset in use; None where it never is.
    """
    made = _quantized(context, layer, longest_steps)
    if not isinstance(layer, RECURRENT) or layer.start is None:
        return made
    return _begun(made, layer.start, state_widths(layer))


def _begun(made: Layer, start: FloatArray, widths: tuple[int, ...]) -> Layer:
    """The layer whose states begin with the codes next to what the float states begin with.

    A low part begins with 0.

    Raises:
        QuantizationError: a state begins beyond its format.
    """
    parts = np.split(start, np.cumsum(widths)[:-1])
    starts = []
    for spec, part in zip(made.states, parts, strict=False):
        codes = np.rint(part / spec.format.scale)
        if np.max(np.abs(codes)) > -INT16_MIN:
            most = -INT16_MIN * spec.format.scale
            raise QuantizationError(
                f"{spec.name}: expected to begin within ±{most:g}, as the state stays in "
                f"calibration, got {np.max(np.abs(part)):.6g}. Train with first states within "
                "that, or with zeros."
            )
        if np.any(codes):
            held = np.clip(codes, INT16_MIN, INT16_MAX).astype(int)
            starts.append((spec.name.partition(".")[2], tuple(held.tolist())))
    return replace(made, starts=tuple(starts))


def _quantized(context: LayerContext, layer: FloatLayer, longest_steps: int | None) -> Layer:
    """The layer, whose states begin with zeros."""
    if not isinstance(layer, RECURRENT):
        return quantize_layer(context, layer)
    asked = storage_of(context.plan.state, context.name)
    if asked == "32":
        return quantize_wide(context, layer)
    able = asked == "auto" and wide_defect(layer) is None
    if able and _leaves_narrow(context, layer):
        return quantize_wide(context, layer)
    made = quantize_layer(context, layer)
    if able and layer_memory(layer, made, context.index, context.calibration, longest_steps):
        return quantize_wide(context, layer)
    return made


def quantize_wide(context: LayerContext, layer: FloatLayer) -> Layer:
    """Quantize a layer that `wide_defect` finds nothing in, with a wide state."""
    if isinstance(layer, FloatSimpleRNN):
        keep = layer.recurrent.diagonal()
        return _leaky(context, layer.kernel, layer.recurrent, layer.bias, keep, rectified=True)
    if isinstance(layer, (FloatLSTM, FloatGRU)):
        return quantize_cell(context, general_cell(layer), wide=True)
    assert isinstance(layer, FloatCell)
    weights = layer.by_name
    if layer.kind == "linear_recurrence":
        return _leaky(
            context, weights["entry.x"], None, weights["entry.bias"], weights["decay"],
            rectified=False,
        )  # fmt: skip
    if layer.kind == "general_rnn":
        recurrent = weights["gates.h"]
        rectified = dict(layer.options)["cell_function"] == "relu"
        return _leaky(
            context, weights["gates.x"], recurrent, weights["gates.bias"], recurrent.diagonal(),
            rectified=rectified,
        )  # fmt: skip
    return quantize_cell(context, layer, wide=True)


def _leaves_narrow(context: LayerContext, layer: FloatLayer) -> bool:
    """Whether a state that may be wide is beyond all that 16 bits hold, headroom included."""
    limits = {}
    if isinstance(layer, FloatLSTM):
        limits["c"] = NARROW_CELL_LIMIT
    elif isinstance(layer, FloatCell):
        record = record_of(layer.kind)
        for exponent in open_exponents(record, dict(layer.options)).values():
            if record.widened in exponent.values:
                high = high_code(layer, exponent, context.plan.precision)
                limits[record.widened] = high * 2.0 ** -min(exponent.allowed)
        if issubclass(record, GeneralLSTM):
            limits["c"] = NARROW_CELL_LIMIT
    for value, most in limits.items():
        stats = context.stats(value)
        if limit(stats.spread, stats.limit, context.plan.method) * STATE_HEADROOM > most:
            return True
    return False


def _leaky(
    context: LayerContext,
    kernel: FloatArray,
    recurrent: FloatArray | None,
    bias: FloatArray,
    keep: FloatArray,
    *,
    rectified: bool,
) -> LeakyRNN:
    """A recurrence that keeps shares of its state as constants, apart from its matrix.

    Args:
        context: of the layer.
        kernel: over x, [H, I].
        recurrent: over h, [H, H]; None where each unit reads itself alone.
        bias: [H].
        keep: the share that each unit keeps of itself [H]; values outside [0, 1] stay in the
            matrix.
        rectified: a sum below 0 becomes 0.
    """
    stats, plan = context.stats("h"), context.plan
    reach = limit(stats.spread, stats.limit, plan.method)
    exponent = exponent_for(reach * STATE_HEADROOM, RELU_EXPONENTS)
    kept = np.clip(keep, 0.0, 1.0)
    lost = np.minimum(np.rint((1.0 - kept) * 2.0**_SHARE_BITS), 2.0**_SHARE_BITS - 1).astype(int)
    rest = np.diag(keep - kept) if recurrent is None else recurrent - np.diag(kept)
    alone = not rest.any()
    parts = [context.stats("x").sample @ kernel.T + bias]
    if not alone:
        parts.append(context.stats("h_in").sample @ rest.T)
    shift = _entry_shifts(
        parts, kernel, rest, bias, context, 2.0**-exponent, reach if rectified else np.inf
    )
    out_scale = np.exp2(shift - float(exponent + LOW_BITS))
    x = context.x_term(kernel, out_scale)
    terms = [x] if alone else context.xh(x, context.h_term(rest, 2.0**-exponent, out_scale))
    return LeakyRNN(
        name=context.name,
        inputs=kernel.shape[1],
        units=kernel.shape[0],
        rectified=rectified,
        state_exponent=exponent,
        leak=LeakConstants(
            high=(lost >> LOW_BITS).astype(np.int16),
            low=(lost & INT16_MAX).astype(np.int16),
            shift=shift,
        ),
        gates=context.affines({"gates": (terms, context.bias(kernel, bias, out_scale))})["gates"],
    )


def _entry_shifts(
    parts: list[FloatArray],
    kernel: FloatArray,
    rest: FloatArray,
    bias: FloatArray,
    context: LayerContext,
    code: float,
    state_reach: float,
) -> Int16Array:
    """The j of clause 7.23: the finest scale of what comes in that holds it, per unit [H].

    Args:
        parts: what the products of x, and of h where there is one, give in sampled steps, [S, H].
        kernel: over x.
        rest: over h.
        bias: of the map.
        context: of the layer.
        code: real value of one code of the state.
        state_reach: a value less than this below 0 does not change a rectified state.
    """
    feed, precision = context.feed, context.plan.precision
    total = np.sum(parts, axis=0)
    below = np.minimum(np.max(-total, axis=0), state_reach)
    largest = np.maximum(np.max(total, axis=0), below)
    gains = np.abs(kernel) * feed.scale, np.abs(rest) * code * precision.operand_ratio
    if precision is Precision.W8A16:  # products saturate one by one (clause 5.2)
        largest = np.maximum.reduce([largest, *(np.max(np.abs(part), axis=0) for part in parts)])
        share = context.least_weight_max / 127
        finest = np.max(np.concatenate(gains, axis=1), axis=1) / (STEEPEST_GAIN16 * share)
    else:
        offset = np.abs(bias + kernel @ feed.offset)
        farthest = gains[0] @ -feed.ends[0] + gains[1].sum(axis=1) * -precision.operand_low
        finest = (farthest + offset) / FARTHEST_CODE8
    scale = np.maximum(largest * _ENTRY_HEADROOM / HIGH_CODE[precision], finest)
    scale = np.maximum(scale, np.finfo(np.float64).tiny)
    shift = np.ceil(np.log2(scale / code)) + LOW_BITS
    limited: Int16Array = np.clip(shift, min(ENTRY_SHIFTS), max(ENTRY_SHIFTS)).astype(np.int16)
    return limited
