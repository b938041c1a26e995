"""Layers that normalize, most of them as y = gain * x + offset per feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.findings import Context, owner_of
from edgernn_export.keras_reader.layers.config import check_config, finite, weight
from edgernn_export.keras_reader.layers.layer_parts import (
    LayerNormPart,
    LayerPart,
    ScalePart,
    UnknownPart,
)

_LAST_AXIS = "Train with axis=-1, which normalizes each feature separately."
#: keras.config.epsilon() where nobody changed it; a file does not say.
_EPSILON = 1e-7


def read_normalization(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Normalization: (x - mean) / max(sqrt(variance), epsilon), or its inverse."""
    good = check_config(
        layer,
        layer.get_config(),
        context,
        free=("invert", "mean", "variance"),
        fixed={"axis": (*context.last_axis, None, ())},
        cures={"axis": _LAST_AXIS},
    )
    if not good:
        return _unknown(layer)
    mean = weight(layer.mean).reshape(-1)
    with np.errstate(invalid="ignore"):  # `finite` refuses a negative variance
        deviation = np.maximum(np.sqrt(weight(layer.variance).reshape(-1)), _epsilon(layer))
    if layer.invert:
        return _scale(layer, context, deviation, mean)
    return _scale(layer, context, 1.0 / deviation, -mean / deviation)


def read_rescaling(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Rescaling: scale * x + offset."""
    if not check_config(layer, layer.get_config(), context, free=("scale", "offset")):
        return _unknown(layer)
    gain, offset = weight(layer.scale), weight(layer.offset)
    if gain.ndim > 1 or offset.ndim > 1:
        context.findings.add(
            owner_of(layer),
            "scale and offset as scalars or one value per feature",
            f"shapes {gain.shape} and {offset.shape}",
            "Train with one scale and one offset per feature.",
        )
        return _unknown(layer)
    return _scale(layer, context, gain, offset)


def read_batch_normalization(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read BatchNormalization with its moving statistics, as inference uses them."""
    good = check_config(
        layer,
        layer.get_config(),
        context,
        free=(
            "momentum",
            "epsilon",
            "center",
            "scale",
            "synchronized",
            "renorm_clipping",
            "renorm_momentum",
        ),
        fixed={"axis": context.last_axis, "renorm": (False,)},
        cures={"axis": _LAST_AXIS, "renorm": "Train without batch renormalization."},
    )
    if not good:
        return _unknown(layer)
    mean, variance = weight(layer.moving_mean), weight(layer.moving_variance)
    with np.errstate(invalid="ignore", divide="ignore"):  # `finite` refuses what comes of it
        gain = 1.0 / np.sqrt(variance + float(layer.epsilon))
    if layer.scale:
        gain = gain * weight(layer.gamma)
    offset = -mean * gain
    if layer.center:
        offset = offset + weight(layer.beta)
    return _scale(layer, context, gain, offset)


def read_layer_normalization(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read LayerNormalization over the features of a step."""
    config = dict(layer.get_config())
    axis = config.get("axis")
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        config["axis"] = axis[0]  # alive, Keras has a list of one axis
    good = check_config(
        layer,
        config,
        context,
        free=("epsilon", "center", "scale"),
        fixed={"axis": context.last_axis, "rms_scaling": (False,)},
        cures={"axis": "Train with axis=-1, which normalizes the features of each step."},
    )
    if not good:
        return _unknown(layer)
    gain = weight(layer.gamma) if layer.scale else np.ones(())
    offset = weight(layer.beta) if layer.center else np.zeros(())
    if not finite(layer, context, gamma=gain, beta=offset):
        return _unknown(layer)
    name, epsilon = str(layer.name), float(layer.epsilon)
    return (
        LayerNormPart(owner=owner_of(layer), name=name, gain=gain, offset=offset, epsilon=epsilon),
    )


def _scale(
    layer: Any, context: Context, gain: FloatArray, offset: FloatArray
) -> tuple[LayerPart, ...]:
    if not finite(layer, context, scale=gain, offset=offset):
        return _unknown(layer)
    return (ScalePart(owner=owner_of(layer), gain=gain, offset=offset),)


def _epsilon(layer: Any) -> float:
    """Smallest standard deviation that Keras divides by."""
    if hasattr(layer, "stored_class"):
        return _EPSILON
    import keras

    return float(keras.config.epsilon())


def _unknown(layer: Any) -> tuple[LayerPart, ...]:
    return (UnknownPart(owner=owner_of(layer), recurrent=False),)
