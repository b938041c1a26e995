"""Layers that read values: merges and their constants, delays and their starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.errors import CalibrationError, QuantizationError
from edgernn.model.formats import INT16_MAX, INT16_MIN, FloatArray, Int16Array, Precision
from edgernn.model.layers import Delay
from edgernn.model.merges import Merge, MergeOperation
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn.model.scales import SCALE_SHIFTS, ScaleVector
from edgernn_export.calibration.input_ranges import Pair
from edgernn_export.calibration.ranges import PERCENTILE, RangeMethod
from edgernn_export.calibration.statistics import TensorStatistics
from edgernn_export.float_model.merges import FloatDelay
from edgernn_export.float_model.model import FloatDenseRows, FloatMerge, FloatModel
from edgernn_export.quantizer.layer_context import (
    HIDDEN_HEADROOM,
    OUTPUT_HEADROOM,
    Feed,
    LayerContext,
)

#: Codes that the largest code of an element may be scaled to, were there more bits. All elements of
#: a vector share a shift: the steepest leaves a multiplier of 0.37 elsewhere 7 bits (clause 7.9).
_FARTHEST_CODE: Final = float(1 << 20)
#: A factor has a scale this much coarser than it could, at most, for the shift of its product: 8
#: bits are left to it.
_MOST_SPARED: Final = 2.0**6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vectors:
    """The vectors of a merge as their codes have them: real value = gain * code + constant.

    Attributes:
        gain: [n, U].
        constant: [n, U].
        reach: [n, U], the largest magnitude of a value, of its parts, in calibration.
        lows, highs: [n, U], ends of the values in calibration.
        steepest: [n, U], output codes per code that is read, at most: none needs more codes.
    """

    gain: FloatArray
    constant: FloatArray
    reach: FloatArray
    lows: FloatArray
    highs: FloatArray
    steepest: FloatArray

    @staticmethod
    def of(context: LayerContext, layer: FloatMerge) -> _Vectors:
        feed, shape = context.feed, layer.gain.shape
        offset = feed.offset.reshape(shape)
        constant = layer.gain * offset + layer.offset
        ends = [
            end.reshape(shape) * layer.gain + layer.offset
            for end in _ends(context.stats("x"), context.plan.method)
        ]
        values = np.abs([*ends, *(end - constant for end in ends), constant])
        largest = np.max(np.abs(feed.ends), axis=0) * feed.scale / feed.value_scale
        return _Vectors(
            gain=layer.gain * feed.value_scale.reshape(shape),
            constant=constant,
            reach=values.max(axis=0),
            lows=np.minimum(*ends),
            highs=np.maximum(*ends),
            steepest=_FARTHEST_CODE / largest.reshape(shape),
        )

    def scaled(self, index: int, scale: FloatArray, bias: FloatArray) -> ScaleVector:
        """Constants that convert one vector to codes of this scale [U]; bias in codes."""
        ratio = self.gain[index] / scale
        largest = float(np.max(np.abs(ratio)))
        shift = next(k for k in reversed(SCALE_SHIFTS) if np.rint(largest * 2.0**k) <= INT16_MAX)
        return ScaleVector(multiplier=_codes(ratio * 2.0**shift), shift=shift, bias=_codes(bias))

    def finest(self, index: int) -> FloatArray:
        """The finest scale [U] that a vector with room beyond calibration has codes of."""
        held = self.reach[index] * HIDDEN_HEADROOM / INT16_MAX
        finest: FloatArray = np.maximum(held, np.abs(self.gain[index]) / self.steepest[index])
        return finest

    @property
    def kept(self) -> int | None:
        """The first vector whose codes can stay what they are."""
        stay = ~self.constant.any(axis=1) & self.gain.all(axis=1)
        return int(np.argmax(stay)) if stay.any() else None


def merge_output_scale(context: LayerContext, layer: FloatMerge) -> FloatArray:
    """Real value of one output code per element [U], all alike where a matrix reads them.

    Raises:
        CalibrationError: all values were zero at every step, so nothing is known of their range.
    """
    vectors = _Vectors.of(context, layer)
    reach = np.max(np.abs(_ends(context.stats("y"), context.plan.method)), axis=0)
    if not reach.any():
        raise CalibrationError(
            f"{layer.name}: expected values that change during calibration, got zero at every "
            "step. Calibrate with representative readings."
        )
    product = layer.operation is MergeOperation.PRODUCT
    if not product:
        reach = np.maximum(reach, vectors.reach.max(axis=0))
    if layer.operation is MergeOperation.SUM:
        partial = [np.cumsum(ends, axis=0) for ends in (vectors.lows, vectors.highs)]
        reach = np.maximum(reach, np.abs(partial)[:, :-1].max(axis=(0, 1)))
    headroom = OUTPUT_HEADROOM[Precision.W8A8] if context.last else HIDDEN_HEADROOM
    scale = np.where(reach > 0.0, reach, reach.max()) * headroom / INT16_MAX
    if product:
        scale = np.maximum(scale, 2.0 * _finest_product(vectors))
    else:
        scale = np.maximum(scale, (np.abs(vectors.gain) / vectors.steepest).max(axis=0))
    scale = context.row_scales(scale, np.ones(layer.units, bool))
    if product and np.ptp(scale) > 0.0:
        scale = _with_room(scale, _finest_product(vectors))
    # Single precision: the last bits of the float run depend on the number of BLAS threads.
    rounded: FloatArray = scale.astype(np.float32).astype(np.float64)
    return rounded


def quantize_merge(context: LayerContext, layer: FloatMerge) -> Merge:
    """Quantize a merge."""
    vectors, scale = _Vectors.of(context, layer), merge_output_scale(context, layer)
    if layer.operation is MergeOperation.PRODUCT:
        terms, shift = _product(vectors, scale)
    else:
        biases = np.rint(vectors.constant / scale)
        if layer.operation is MergeOperation.SUM:
            # Roundings of offsets do not add up: one of those that are there takes the rest.
            rest = np.rint(vectors.constant.sum(axis=0) / scale) - biases.sum(axis=0)
            biases[int(np.argmax(vectors.constant.any(axis=1)))] += rest
        terms = [vectors.scaled(j, scale, bias) for j, bias in enumerate(biases)]
        shift = 0
    return Merge(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        operation=layer.operation,
        terms=tuple(terms),
        shift=shift,
        output_scale=float(scale.max()),
        unit_scales=context.unit_scales(scale),
    )


def _factors(vectors: _Vectors) -> tuple[FloatArray, int]:
    """The scale [U] of the factor that is chosen first, and which is the other one."""
    kept = vectors.kept
    if kept is not None:
        return np.abs(vectors.gain[kept]), 1 - kept
    return vectors.finest(0), 1


def _finest_product(vectors: _Vectors) -> FloatArray:
    """The scale [U] of the product of both factors, unshifted."""
    first, other = _factors(vectors)
    return first * vectors.finest(other)


def _with_room(scale: FloatArray, finest: FloatArray) -> FloatArray:
    """Scales [U] of a product that one shift serves: where there is little room, coarser ones."""
    least = float(np.max(scale / finest)) / _MOST_SPARED
    served: FloatArray = np.maximum(scale, 2.0 ** np.floor(np.log2(least)) * finest)
    return served


def _product(vectors: _Vectors, scale: FloatArray) -> tuple[list[ScaleVector], int]:
    """Scales of both factors, whose product shifted is on the wanted scale."""
    first, other = _factors(vectors)
    room = float(np.min(scale / _finest_product(vectors)))
    # A scale in single precision may be a hair below the one that leaves room for a shift of 1.
    shift = int(np.clip(np.floor(np.log2(room)), SCALE_SHIFTS[0], SCALE_SHIFTS[-1]))
    scales = {1 - other: first, other: scale / (first * 2.0**shift)}
    terms = [vectors.scaled(j, scales[j], vectors.constant[j] / scales[j]) for j in (0, 1)]
    return terms, shift


def _codes(values: FloatArray) -> Int16Array:
    return np.clip(np.rint(values), -INT16_MAX, INT16_MAX).astype(np.int16)


def _ends(stats: TensorStatistics, method: RangeMethod) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end per column."""
    if method is RangeMethod.PERCENTILE:
        low, high = np.percentile(stats.spread, [100.0 - PERCENTILE, PERCENTILE], axis=0)
        return low, high
    return stats.low, stats.high


def quantize_delay(context: LayerContext, layer: FloatDelay) -> Delay:
    """Quantize a delay.

    Raises:
        QuantizationError: the values for the rows before the stream exceed the codes of a layer.
    """
    feed, step = context.feed, context.plan.precision.input_step
    if not layer.padded:
        codes = np.zeros(layer.inputs)  # no answer reads them
    elif context.reads_input:
        codes = input_codes(layer.start, feed, step)
    else:
        codes = np.rint(layer.start / feed.value_scale)
        if codes.min() < INT16_MIN or codes.max() > INT16_MAX:
            worst = int(np.argmax(np.abs(codes)))
            raise QuantizationError(
                f"{layer.name}: expected rows before the stream within "
                f"±{INT16_MAX * feed.value_scale[worst]:.6g}, the range of the layer before "
                f"it, got {layer.start[worst]:.6g} (channel {worst}), which is 0 after a "
                "scaling. Train without the scaling before the convolution."
            )
    return Delay(
        name=context.name,
        inputs=layer.inputs,
        units=layer.units,
        codes=context.reads_input,
        start=codes.astype(np.int16),
    )


def input_codes(values: FloatArray, feed: Feed, step: int) -> FloatArray:
    """Codes [N] of input values that no program computes.

    Args:
        values: [N], in physical units.
        feed: of the model's input, or of as much of it as the values are.
        step: what input codes are multiples of.
    """
    low, high = feed.ends
    nearest = step * np.rint((values - feed.offset) / (step * feed.scale))
    codes: FloatArray = np.minimum(np.maximum(nearest, step * np.ceil(low / step)), high)
    return codes


def delayed(feed: Feed, depth: int) -> Feed:
    """The feed of a delay that reads a feed: every row has its scales."""
    return Feed(
        scale=np.tile(feed.scale, depth),
        offset=np.tile(feed.offset, depth),
        code_ranges=feed.code_ranges * depth,
        value_scale=np.tile(feed.value_scale, depth),
    )


def reads_input(route: Route) -> bool:
    """Whether a layer reads only the model's input."""
    return {part.source for part in route} == {MODEL_INPUT}


def with_starts(
    model: FloatModel, low: FloatArray, high: FloatArray, given: tuple[Pair | None, ...]
) -> tuple[FloatArray, FloatArray]:
    """Ranges of the input that include the values for the rows before the stream.

    Channels that the same weights read get one range.

    Args:
        model: the float model.
        low: lower ends of the ranges per channel.
        high: upper ends of them.
        given: ranges that are used unchanged.

    Raises:
        QuantizationError: a given range does not hold it.
    """
    low, high = low.copy(), high.copy()
    for layer, route in zip(model.layers, model.wiring, strict=False):
        if not isinstance(layer, FloatDelay) or not reads_input(route):
            continue
        if not layer.padded:
            continue
        channels = [(part.start + i) % model.inputs for part in route for i in range(part.width)]
        for channel, start in zip(channels, layer.start, strict=True):
            pair = given[channel]
            if pair is not None and not pair[0] <= start <= pair[1]:
                raise QuantizationError(
                    f"quantize input_range: expected a range that includes {start:.6g}, which "
                    f"{layer.name} reads before the stream starts, got {pair} "
                    f"({model.input_names[channel]}). Pass a wider range."
                )
            low[channel] = min(low[channel], start)
            high[channel] = max(high[channel], start)
    return _alike(model, low, high, given)


def _alike(
    model: FloatModel, low: FloatArray, high: FloatArray, given: tuple[Pair | None, ...]
) -> tuple[FloatArray, FloatArray]:
    """Ranges in which channels that the same weights read have one, that of all of them.

    Raises:
        QuantizationError: the given ranges of such channels differ.
    """
    group = np.arange(model.inputs)
    for layer, route in zip(model.layers, model.wiring, strict=False):
        if isinstance(layer, FloatDenseRows):
            channels = [
                (part.start + i) % model.inputs if part.source == MODEL_INPUT else -1
                for part in route
                for i in range(part.width)
            ]
            for column in np.array(channels).reshape(layer.count, -1).T:
                joined = np.isin(group, group[column[column >= 0]])
                group[joined] = group[joined].min(initial=model.inputs)
    for first in np.unique(group[np.bincount(group)[group] > 1]):
        members = np.flatnonzero(group == first)
        known = {pair for pair in (given[channel] for channel in members) if pair is not None}
        if len(known) > 1:
            raise QuantizationError(
                f"quantize input_range: expected one range for all of the {len(members)} channels "
                f"that {model.input_names[first]} shares weights with, got {len(known)}. Pass the "
                "same range for all of them."
            )
        ends = next(iter(known), (low[members].min(), high[members].max()))
        low[members], high[members] = ends
    return low, high
