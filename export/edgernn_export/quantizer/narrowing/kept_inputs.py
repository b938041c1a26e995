"""Input kernels that keep 8 bits in layers of 4, because nearly all of the noise would be theirs.

A channel of readings with a heavy tail has a wide range, so that a code of it is worth much, and so
is its gain. It takes the step of the row: the kernel's other columns, whose operands use all of
their codes, are left with few levels. A recurrent kernel has no such columns. The noise at the
layer's pre-activations that rounding is expected to cause, over the operands that calibration saw
and that of the operands themselves included, predicts this before anything is run; it costs one
more quantization of the first layers.

Kept is what makes nine tenths of that noise (10 dB), and more than as many bits spread over all
weights of the layer would take away: 6.02 dB for one more bit in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edgernn.container.memory import weight_memory
from edgernn.errors import WeightBitsWarning
from edgernn.model.affine import Source
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.storage import Storage
from edgernn_export.quantizer.layer_context import LayerContext
from edgernn_export.quantizer.weights.bits import NARROW, WIDE, LayerBits, ModelBits, matrix_name

#: Setting of the provenance.
KEPT: Final = "kept_8_bits"
#: Noise in dB that 8 bits in the input kernel must take away.
_LEAST_DB: Final = 10.0
#: Noise in dB that one more bit in every weight takes away.
_DB_PER_BIT: Final = 20.0 * math.log10(2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInput:
    """An input kernel of 8 bits in a layer of 4.

    Attributes:
        matrix: its name.
        gain_db: noise at the pre-activations that it takes away, expected in calibration.
        cost_bytes: of weights on a device.
    """

    matrix: str
    gain_db: float
    cost_bytes: int

    def __str__(self) -> str:
        """For the provenance."""
        return f"{self.matrix}: {self.gain_db:.1f} dB for {self.cost_bytes} bytes"


def with_kept_input(
    context: LayerContext, make: Callable[[LayerContext], Layer]
) -> tuple[LayerContext, Layer, KeptInput | None]:
    """The layer, with 8 bits in its input kernel where that pays, and its place.

    Args:
        context: place of the layer.
        make: makes the integer layer of a place.
    """
    made, bits = make(context), context.weight_bits
    word = _free_input(context)
    if word is None:
        return context, made, None
    assert bits is not None
    wider = context.with_bits(bits.with_matrix(word, WIDE))
    kept = make(wider)
    gain_db = 10.0 * math.log10(context.expected_noise(made) / wider.expected_noise(kept))
    if gain_db < max(_LEAST_DB, (WIDE - NARROW) * _share(made) * _DB_PER_BIT):
        return context, made, None
    cost = weight_memory([kept]).total_bytes - weight_memory([made]).total_bytes
    name = matrix_name(context.name, word)
    return wider, kept, KeptInput(matrix=name, gain_db=gain_db, cost_bytes=cost)


def _free_input(context: LayerContext) -> str | None:
    """The word for an input kernel with 4 bits by default, next to other 4-bit matrices."""
    bits = context.weight_bits
    if bits is None or not context.reads_input or context.plan.operand_scales == "common":
        return None
    if bits.matrices.joint or len(bits.by_matrix) == 1 or set(bits.by_matrix.values()) != {NARROW}:
        return None
    words = (word for word, own in bits.matrices.sources.items() if own == (Source.X,))
    word = next(words, None)
    return None if word in bits.asked else word


def _share(made: Layer) -> float:
    """Weights of the input kernel among all of the layer."""
    inputs = total = 0
    for affine in made.affines.values():
        for term in affine.terms:
            rows, columns = term.weights.shape
            own = term.source in (Source.X, Source.XH)
            inputs += rows * made.columns(Source.X) * own
            total += rows * columns
    return inputs / total


def free_layers(bits: Mapping[str, LayerBits]) -> dict[str, LayerBits]:
    """The layers of 4 bits, in all matrices, all by default."""
    return {
        name: own
        for name, own in bits.items()
        if not own.asked and set(own.by_matrix.values()) == {NARROW}
    }


def kept_bits(asked: ModelBits, integer: IntegerModel) -> list[WeightBitsWarning]:
    """Warnings about bits that an integer model has instead of the requested ones.

    Args:
        asked: bits of weights by layer.
        integer: made of them.
    """
    free = free_layers(asked)
    if free and Storage.DENSE4 not in integer.storages:
        return [
            WeightBitsWarning(
                f"{integer.name}: the weights of {', '.join(free)} keep 8 bits, because the "
                "file would be larger with 4. To use 4 bits anyway, name these layers in "
                "weight_bits."
            )
        ]
    kept = dict(integer.provenance.settings).get(KEPT)
    if kept is None:
        return []
    return [
        WeightBitsWarning(
            f"{integer.name}: input kernels keep 8 bits, because 4 bits would add too much "
            f"noise: {kept}. To use 4 bits anyway, name these layers in weight_bits."
        )
    ]
