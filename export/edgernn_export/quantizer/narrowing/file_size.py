"""4-bit weights never make a larger file than 8-bit weights.

Matrices of few weights are the case: 4 bits mostly require separate scales for input and state
(`quantize`'s ``operand_scales``), and a second product has a second entry in the header of the
.edgernn file and a second multiplier per row, which may be more than the halved weights save. Such
layers get one product and one scale, unless that costs a bit (four times the noise) or does not
help: then the model keeps 8 bits. What is compared are dense weights: those of 4 bits leave no
tiles of zeros out, so that a model of many pruned weights is smaller in 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from edgernn.container.file import to_bytes
from edgernn.model.integer_model import IntegerModel
from edgernn_export.quantizer.layer_context import LayerContext
from edgernn_export.quantizer.narrowing.kept_inputs import KeptInput, free_layers
from edgernn_export.quantizer.weight_storage import NEVER, bits_of, with_storage
from edgernn_export.quantizer.weights.bits import WIDE, ModelBits

#: Weights from which on 4 bits save more than headers can cost.
_MANY_WEIGHTS: Final = 1 << 15
#: Noise that one scale may bring, as a multiple of that of two.
_MOST_NOISE: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An integer model, and what its layers were made from.

    Attributes:
        model: the integer model.
        contexts: of its layers.
        kept: input kernels that kept 8 bits.
    """

    model: IntegerModel
    contexts: Sequence[LayerContext]
    kept: tuple[KeptInput, ...]


#: Makes a model of bits; free layers of 4 bits get one product where the second argument is true.
Build = Callable[[ModelBits, bool], Built]


def as_asked(build: Build, bits: ModelBits) -> Built:
    """The model of these bits, whose scales somebody chose."""
    return build(bits, False)


def never_larger(build: Build, bits: ModelBits) -> Built:
    """The model of these bits, or one whose file is no larger than with 8 bits.

    Args:
        build: makes a model.
        bits: of its weights; 4 bits that were requested by name are always kept.
    """
    made, free = build(bits, False), free_layers(bits)
    if not free or made.model.macs >= _MANY_WEIGHTS:
        return made
    wide = build({**bits, **{name: own.with_all(WIDE) for name, own in free.items()}}, False)
    limit = len(to_bytes(_dense(wide.model)))
    if len(to_bytes(made.model)) <= limit:
        return made
    joined = build(bits, True)
    if len(to_bytes(joined.model)) <= limit and _is_quiet(joined, made):
        return joined
    return wide


def _dense(model: IntegerModel) -> IntegerModel:
    """The same model, no tile left out."""
    layers = []
    for layer in model.layers:
        affines: dict[str, Any] = {
            name: with_storage(affine, layer.inputs, bits_of(affine), NEVER)
            for name, affine in layer.affines.items()
        }
        layers.append(replace(layer, **affines))
    return replace(model, layers=tuple(layers))


def _is_quiet(joined: Built, apart: Built) -> bool:
    """Whether no layer has too much more noise."""
    pairs = zip(_noises(joined), _noises(apart), strict=True)
    return all(noise <= _MOST_NOISE * before for noise, before in pairs)


def _noises(built: Built) -> list[float]:
    return [
        context.expected_noise(layer)
        for context, layer in zip(built.contexts, built.model.layers, strict=True)
        if layer.affines
    ]
