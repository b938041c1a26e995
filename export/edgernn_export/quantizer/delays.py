"""Delays: codes of the row that stands for those before the stream (NUMERICS.md clause 8.4)."""

from __future__ import annotations

import numpy as np

from edgernn.errors import QuantizationError
from edgernn.model.formats import INT16_MAX, INT16_MIN, FloatArray
from edgernn.model.layers import Delay
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn_export.calibration.input_ranges import Pair
from edgernn_export.float_model.merges import FloatDelay
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.layer_context import Feed, LayerContext


def quantize_delay(context: LayerContext, layer: FloatDelay) -> Delay:
    """Quantize a delay.

    Raises:
        QuantizationError: what stands for the rows before the stream is beyond the codes of a
            layer.
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
                f"{layer.name}: expected rows before the stream within ±"
                f"{INT16_MAX * feed.value_scale[worst]:.6g}, as far as the layer before it goes, "
                f"got {layer.start[worst]:.6g} (channel {worst}), which is 0 behind a scaling. "
                "Train without the scaling in front of the convolution."
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
    """Whether a layer reads the model's input and nothing else."""
    return {part.source for part in route} == {MODEL_INPUT}


def with_starts(
    model: FloatModel, low: FloatArray, high: FloatArray, given: tuple[Pair | None, ...]
) -> tuple[FloatArray, FloatArray]:
    """Ranges of the input that hold what stands for the rows before the stream.

    Args:
        model: the float model.
        low: lower ends of the ranges per channel.
        high: upper ends of them.
        given: ranges that are taken as they are.

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
                    f"quantize input_range: expected a range that holds {start:.6g}, which "
                    f"{layer.name} reads before the stream begins, got {pair} "
                    f"({model.input_names[channel]}). Give a wider range."
                )
            low[channel] = min(low[channel], start)
            high[channel] = max(high[channel], start)
    return low, high
