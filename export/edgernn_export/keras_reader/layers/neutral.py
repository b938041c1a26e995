"""Layers that do nothing at inference, and those that may only change a shape."""

from __future__ import annotations

import math
from typing import Any, Final

from edgernn_export.keras_reader.findings import Context, owner_of
from edgernn_export.keras_reader.layers.config import check_config
from edgernn_export.keras_reader.layers.layer_parts import LayerPart, Shape, ShapePart, UnknownPart

#: Arguments that matter in training only.
_FREE: Final = ("rate", "stddev", "noise_shape", "l1", "l2", "data_format", "mask_value")
#: Arguments with which a layer leaves every step as it is.
_AS_IT_IS: Final = {
    "cropping": ((0, 0), 0),
    "size": (1,),
}


def read_neutral(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Check a layer that adds nothing to the float model."""
    check_config(layer, layer.get_config(), context, free=_FREE)
    return ()


def read_resampling(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Check Cropping1D or UpSampling1D that does not change any step."""
    check_config(layer, layer.get_config(), context, free=("data_format",), fixed=_AS_IT_IS)
    return ()


def read_flatten(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Flatten: all axes become one."""
    check_config(layer, layer.get_config(), context, free=("data_format",))

    def reshaped(shape: Shape) -> Shape | None:
        known = [size for size in shape if size is not None]
        return (math.prod(known),) if len(known) == len(shape) else None

    return (ShapePart(owner=owner_of(layer), reshaped=reshaped),)


def read_reshape(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Reshape; one size of its target may be -1."""
    check_config(layer, layer.get_config(), context, free=("target_shape",))
    target = tuple(layer.target_shape)

    def reshaped(shape: Shape) -> Shape | None:
        rest = math.prod(size for size in target if size not in (-1, None))
        if -1 not in target and None not in target:
            return target
        size: int | None = None
        if None not in shape and rest > 0:
            size = math.prod(n for n in shape if n is not None) // rest
        return tuple(size if n in (-1, None) else n for n in target)

    return (ShapePart(owner=owner_of(layer), reshaped=reshaped),)


def read_permute(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Permute; dims count from 1."""
    check_config(layer, layer.get_config(), context, free=("dims",))
    dims = tuple(layer.dims)

    def reshaped(shape: Shape) -> Shape | None:
        return shape if dims == tuple(range(1, len(shape) + 1)) else None

    return (ShapePart(owner=owner_of(layer), reshaped=reshaped),)


def read_repeat(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read RepeatVector: (F,) becomes (1, F); no stream repeats its last step."""
    cures = {
        "n": "Train without it, with return_sequences=True before it. A decoder can start from "
        "the encoder's states (initial_state, docs/guides/programs.md)."
    }
    if not check_config(layer, layer.get_config(), context, fixed={"n": (1,)}, cures=cures):
        return (UnknownPart(owner=owner_of(layer), recurrent=False),)
    return (ShapePart(owner=owner_of(layer), reshaped=lambda shape: (1, *shape)),)
