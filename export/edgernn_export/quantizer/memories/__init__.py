"""Layers with a memory: the formats of rows, and the scales of scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from edgernn.cells.memories import LARGEST_SUM, MemoryLayer
from edgernn.cells.memories.additive_attention import AdditiveAttention
from edgernn.cells.memories.attention import Attention
from edgernn.cells.memories.memory import RowMemory
from edgernn.errors import QuantizationError
from edgernn.model.formats import (
    INT16_MAX,
    INT16_MIN,
    PREACTIVATION,
    VALUE_EXPONENTS,
    FloatArray,
    Int16Array,
)
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.scales import SCALE_SHIFTS, ScaleVector
from edgernn_export.calibration.ranges import exponent_for, limit
from edgernn_export.float_model.memories import FloatAttention, FloatMemory
from edgernn_export.float_model.model import FloatLayer
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.quantizer.layer_context import HIDDEN_HEADROOM, LayerContext

#: Shifts of sums of products (clause 7.30).
_SUM_SHIFTS: Final = range(1, 31)


def quantize_memory(context: LayerContext, layer: FloatMemory) -> RowMemory:
    """Quantize a memory that another program reads."""
    return RowMemory(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        **_rows(context, layer, slice(0, layer.inputs)),
    )


def quantize_attention(context: LayerContext, layer: FloatAttention) -> Layer:
    """Quantize attention.

    Raises:
        QuantizationError: scores are so large that no scale of a query fits.
    """
    rows = slice(layer.width, layer.inputs)
    given: dict[str, Any] = {
        "name": context.name,
        "inputs": layer.inputs,
        "units": layer.units,
        "appends": layer.appends,
        **_rows(context, layer, rows),
    }
    query = slice(0, layer.width)
    if layer.score == "additive":
        scaled = _scaling(context, query, PREACTIVATION.scale)
        return AdditiveAttention(query=scaled, weight=_weight(layer), **given)
    scaled, shift = _query(context, layer, query, given["key_exponent"])
    return Attention(query=scaled, score_shift=shift, **given)


def _rows(context: LayerContext, layer: FloatMemory, read: slice) -> dict[str, Any]:
    """The fields of the rows of a memory: exponents, and constants that bring rows there.

    Args:
        context: of the layer.
        layer: the layer.
        read: which of its inputs are key and value; none where another program appends them.
    """
    appends = read.start < read.stop
    value = slice(read.stop - layer.units, read.stop)
    key = slice(read.start, read.start + layer.width)
    if not appends:
        assert context.memory is not None  # those of the program that appends
        key_exponent, value_exponent = context.memory
    else:
        key_exponent = value_exponent = _exponent(context, value)
        if layer.score == "additive":
            key_exponent = PREACTIVATION.frac_bits
        elif not layer.tied:
            key_exponent = _exponent(context, key)
    return {
        "rows": layer.slots,
        "width": layer.width,
        "tied": layer.tied,
        "key_exponent": key_exponent,
        "value_exponent": value_exponent,
        "key": _scaling(context, key, 2.0**-key_exponent)
        if appends and not layer.tied
        else _kept(layer.width),
        "value": _scaling(context, value, 2.0**-value_exponent) if appends else _kept(layer.units),
    }


def _exponent(context: LayerContext, columns: slice) -> int:
    """Fraction bits of what is held of inputs of the layer."""
    stats = context.stats("x")
    low, high = stats.low[columns], stats.high[columns]
    reach = float(max(high.max(), -low.min()))
    if len(stats.spread):
        reach = limit(stats.spread[:, columns], reach, context.plan.method) or reach
    feed = context.feed
    farthest = INT16_MAX * feed.value_scale[columns] + np.abs(feed.offset[columns])
    reach = min(reach * HIDDEN_HEADROOM, float(farthest.max()))
    return exponent_for(max(reach, 2.0**-15), VALUE_EXPONENTS)


def _scaling(context: LayerContext, columns: slice, scale: float) -> ScaleVector:
    """Constants that bring inputs of a layer to codes of this scale."""
    feed = context.feed
    return _constants(feed.value_scale[columns] / scale, feed.offset[columns] / scale)


def _constants(ratio: FloatArray, bias: FloatArray) -> ScaleVector:
    largest = float(np.max(np.abs(ratio)))
    fitting = (k for k in reversed(SCALE_SHIFTS) if np.rint(largest * 2.0**k) <= INT16_MAX)
    shift = next(fitting, SCALE_SHIFTS[0])
    return ScaleVector(multiplier=_codes(ratio * 2.0**shift), shift=shift, bias=_codes(bias))


def _codes(values: FloatArray) -> Int16Array:
    return np.clip(np.rint(values), -INT16_MAX, INT16_MAX).astype(np.int16)


def _kept(width: int) -> ScaleVector:
    """Constants that change nothing."""
    fill = np.full(width, 1 << 14, np.int16)
    return ScaleVector(multiplier=fill, shift=14, bias=np.zeros(width, np.int16))


def _query(
    context: LayerContext, layer: FloatAttention, columns: slice, key_exponent: int
) -> tuple[ScaleVector, int]:
    """Constants of a query, and the shift of its products with keys, the largest that fits."""
    feed = context.feed
    for shift in reversed(_SUM_SHIFTS):
        # Codes of a score in Q5.10, 2^shift times as many, per code of a key.
        factor = layer.factor * 2.0 ** (shift + PREACTIVATION.frac_bits - key_exponent)
        made = _constants(feed.value_scale[columns] * factor, feed.offset[columns] * factor)
        if _fits(made, shift):
            return made, shift
    raise QuantizationError(
        f"{layer.name}: expected scores within ±32 of queries and keys in their calibrated range, "
        "got scores that are far beyond. Train with smaller queries or keys, or with use_scale."
    )


def _fits(query: ScaleVector, shift: int) -> bool:
    """The bound of clause 7.30."""
    multiplier = np.abs(query.multiplier.astype(np.int64))
    product = np.minimum((multiplier * -INT16_MIN >> query.shift) + 1, -INT16_MIN)
    largest = np.minimum(product + np.abs(query.bias.astype(np.int64)), -INT16_MIN)
    return int(largest.sum()) * -INT16_MIN + (1 << (shift - 1)) < LARGEST_SUM


def _weight(layer: FloatAttention) -> ScaleVector:
    """The weights of tanh, and the shift of their sum, the largest that fits (clause 7.30)."""
    for shift in reversed(SCALE_SHIFTS):
        codes = np.rint(layer.factor * 2.0 ** (shift + PREACTIVATION.frac_bits - 15))
        largest = float(np.abs(codes).sum()) * 2.0**15 + 2.0 ** (shift - 1)
        if np.abs(codes).max() <= INT16_MAX and largest < LARGEST_SUM:
            return ScaleVector(
                multiplier=codes.astype(np.int16),
                shift=shift,
                bias=np.zeros(layer.width, np.int16),
            )
    raise QuantizationError(
        f"{layer.name}: expected weights whose sum is below {1 << 19}, got "
        f"{np.abs(layer.factor).sum():.6g}. Train with a regularizer on them."
    )


def memories_of(
    programs: FloatPrograms,
    models: Mapping[str, IntegerModel],
    program: str,
    names: Callable[[tuple[FloatLayer, ...]], list[str]],
) -> dict[int, tuple[int, int]]:
    """Exponents of the memories that a program reads, by position of the layer that does.

    Args:
        programs: the float programs.
        models: those that are quantized.
        program: its name.
        names: what layers are called in an integer model.
    """
    found = {}
    for one in programs.handovers:
        if one.program != program or one.source_layer is None:
            continue
        if isinstance(programs[program].layers[one.layer], FloatMemory):
            name = names(programs[one.source].layers)[one.source_layer]
            (made,) = (layer for layer in models[one.source].layers if layer.name == name)
            assert isinstance(made, MemoryLayer)
            found[one.layer] = made.key_exponent, made.value_exponent
    return found


#: float layer record -> quantizer
MEMORIES: Final[Mapping[type, Any]] = {
    FloatMemory: quantize_memory,
    FloatAttention: quantize_attention,
}
