"""MaxPooling1D, AveragePooling1D and ZeroPadding1D, over readings that were."""

from __future__ import annotations

from typing import Any

from edgernn_export.keras_reader.findings import Context, class_of, owner_of
from edgernn_export.keras_reader.layers.config import check_config
from edgernn_export.keras_reader.layers.layer_parts import (
    LayerPart,
    PaddingPart,
    PoolPart,
    RowsPart,
    UnknownPart,
)


def read_pooling(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a pooling: the rows it looks at, and what is made of them."""
    config = layer.get_config()
    count = _one(config["pool_size"])
    stride = count if config.get("strides") is None else _one(config["strides"])
    fixed: dict[str, tuple[Any, ...]] = {
        "padding": ("valid",),
        "data_format": ("channels_last", None),
    }
    cures = {
        "padding": "A stream has no future: train with padding='valid'. With as many strides as "
        "the pool is wide, and a number of readings they divide, the answers stay."
    }
    free = ("pool_size", "strides", *(["padding"] if count == 1 else []))
    if not check_config(layer, config, context, free=free, fixed=fixed, cures=cures):
        return (UnknownPart(owner=owner_of(layer), recurrent=True),)
    owner, name = owner_of(layer), layer.name
    rows = RowsPart(
        owner=owner, name=f"{name}_rows", count=count, dilation=1, padded=False, stride=stride
    )
    if count == 1:
        return () if stride == 1 else (rows,)
    largest = class_of(layer) == "MaxPooling1D"
    return rows, PoolPart(owner=owner, name=name, count=count, largest=largest)


def read_zero_padding(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read ZeroPadding1D at the beginning, which the convolution behind it takes up."""
    padding = layer.get_config().get("padding")
    before, after = padding if isinstance(padding, (tuple, list)) else (padding, padding)
    cures = {"padding": "A stream has no end: pad its beginning alone, ZeroPadding1D((n, 0))."}
    free, fixed = ("data_format",), {"padding": ((before, 0), 0)}
    if not check_config(
        layer, layer.get_config(), context, free=free, fixed=fixed, cures=cures
    ) or not (before or after):
        return ()
    return (PaddingPart(owner=owner_of(layer), rows=int(before)),)


def _one(value: Any) -> int:
    return int(value[0] if isinstance(value, (tuple, list)) else value)
