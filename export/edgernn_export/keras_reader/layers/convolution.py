"""Convolutions, SVDF, pooling and padding over earlier readings only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.float_model.model import FloatDense
from edgernn_export.keras_reader.findings import Context, class_of, owner_of
from edgernn_export.keras_reader.layers.activations import read_function
from edgernn_export.keras_reader.layers.config import (
    check_config,
    finite,
    weight,
)
from edgernn_export.keras_reader.layers.dense import OF_DENSE
from edgernn_export.keras_reader.layers.layer_parts import (
    ActivationPart,
    DensePart,
    DepthwisePart,
    LayerPart,
    PaddingPart,
    PoolPart,
    RowsPart,
    ScalePart,
    UnknownPart,
    WholePoolPart,
)

_FIXED: Final[dict[str, tuple[Any, ...]]] = {
    "data_format": ("channels_last", None),
    "groups": (1,),
    "depth_multiplier": (1,),
}
_CURES: Final = {
    "groups": "Train with groups=1, or slice the features, convolve each slice and concatenate "
    "the results.",
    "depth_multiplier": "Train with depth_multiplier=1, or with Conv1D.",
}
_FREE: Final = (
    "filters", "kernel_size", "padding", "strides", "dilation_rate", "activation", "use_bias"
)  # fmt: skip


def read_conv1d(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Conv1D: a Dense over the last rows; a softmax becomes a separate part."""
    function = _function(layer, context)
    if function is None:
        return _unknown(layer)
    kernel = weight(layer.kernel)
    bias = weight(layer.bias) if layer.use_bias else np.zeros(kernel.shape[2])
    if not finite(layer, context, kernel=kernel, bias=bias):
        return _unknown(layer)
    matrix = kernel[::-1].reshape(-1, kernel.shape[2]).T  # the newest row first
    return *_rows(layer), *_dense(layer, layer.name, matrix, bias, function)


def read_depthwise(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read DepthwiseConv1D: sums of the last rows, each times its own constants."""
    function = _function(layer, context)
    if function is None:
        return _unknown(layer)
    kernel = weight(layer.kernel)[:, :, 0]
    bias = weight(layer.bias) if layer.use_bias else np.zeros(kernel.shape[1])
    if not finite(layer, context, kernel=kernel, bias=bias):
        return _unknown(layer)
    after = () if function == "linear" else _activation(layer, function)
    return *_rows(layer), *_depthwise(layer, layer.name, kernel, bias), *after


def read_separable(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read SeparableConv1D: a depthwise one, then a Dense."""
    function = _function(layer, context)
    if function is None:
        return _unknown(layer)
    depthwise = weight(layer.depthwise_kernel)[:, :, 0]
    pointwise = weight(layer.pointwise_kernel)[0]
    bias = weight(layer.bias) if layer.use_bias else np.zeros(pointwise.shape[1])
    if not finite(layer, context, depthwise=depthwise, pointwise=pointwise, bias=bias):
        return _unknown(layer)
    name = f"{layer.name}_depthwise"
    sums = _depthwise(layer, name, depthwise, np.zeros(depthwise.shape[1]))
    return *_rows(layer), *sums, *_dense(layer, layer.name, pointwise.T, bias, function)


def _unknown(layer: Any) -> tuple[LayerPart, ...]:
    return (UnknownPart(owner=owner_of(layer), recurrent=True),)


def _one(value: Any) -> int:
    return int(value[0] if isinstance(value, (tuple, list)) else value)


def _function(layer: Any, context: Context) -> str | None:
    """The function that it applies; None for what is refused."""
    config = layer.get_config()
    free = _FREE if _one(config["kernel_size"]) == 1 else tuple(k for k in _FREE if k != "padding")
    reach = (_one(config["kernel_size"]) - 1) * _one(config["dilation_rate"])
    cures = {
        **_CURES,
        "padding": "A stream has no future readings: train with padding='causal' or 'valid', "
        f"or with ZeroPadding1D(({reach}, 0)) before it and padding='valid'.",
    }
    fixed = {**_FIXED, "padding": ("causal", "valid")}
    good = check_config(layer, config, context, free=free, fixed=fixed, cures=cures)
    function = read_function(layer, "activation", layer.activation, context, softmax=True)
    return function if good else None


def _rows(layer: Any) -> tuple[LayerPart, ...]:
    """The rows that a kernel of more than one looks at."""
    count, stride = _one(layer.kernel_size), _one(layer.strides)
    if count == stride == 1:
        return ()
    part = RowsPart(
        owner=owner_of(layer),
        name=f"{layer.name}_rows",
        count=count,
        dilation=_one(layer.dilation_rate),
        padded=layer.padding == "causal",
        stride=stride,
    )
    return (part,)


def _dense(
    layer: Any, name: str, kernel: FloatArray, bias: FloatArray, function: str
) -> tuple[LayerPart, ...]:
    own = function in OF_DENSE
    dense = FloatDense(
        name=name,
        kernel=kernel,
        bias=bias,
        use_bias=bool(layer.use_bias),
        activation=function if own else "linear",
    )
    part = DensePart(owner=owner_of(layer), layer=dense)
    return (part,) if own else (part, *_activation(layer, function))


def _activation(layer: Any, activation: str) -> tuple[LayerPart, ...]:
    return (ActivationPart(owner=owner_of(layer), activation=activation),)


def _depthwise(
    layer: Any, name: str, kernel: FloatArray, bias: FloatArray
) -> tuple[LayerPart, ...]:
    owner = owner_of(layer)
    if len(kernel) == 1:
        return (ScalePart(owner=owner, gain=kernel[0], offset=bias),)
    return (DepthwisePart(owner=owner, name=name, gain=kernel[::-1], bias=bias),)


def read_pooling(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a pooling: the rows it reads, and the result."""
    config = layer.get_config()
    count = _one(config["pool_size"])
    stride = count if config.get("strides") is None else _one(config["strides"])
    fixed: dict[str, tuple[Any, ...]] = {
        "padding": ("valid",),
        "data_format": ("channels_last", None),
    }
    cures = {
        "padding": "A stream has no future readings: train with padding='valid'. If strides "
        "equals pool_size and divides the number of readings, the outputs do not "
        "change."
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


def read_whole_pooling(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a pooling over all steps."""
    fixed: dict[str, tuple[Any, ...]] = {
        "keepdims": (False,),
        "data_format": ("channels_last", None),
    }
    cures = {"keepdims": "Train with keepdims=False, and a Reshape((1, features)) after it."}
    if not check_config(layer, layer.get_config(), context, fixed=fixed, cures=cures):
        return (UnknownPart(owner=owner_of(layer), recurrent=True),)
    largest = class_of(layer).endswith("MaxPooling1D")
    return (WholePoolPart(owner=owner_of(layer), name=layer.name, largest=largest),)


def read_zero_padding(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read ZeroPadding1D at the beginning, which the convolution behind it takes up."""
    padding = layer.get_config().get("padding")
    before, after = padding if isinstance(padding, (tuple, list)) else (padding, padding)
    cures = {"padding": "A stream has no end: pad only its start, with ZeroPadding1D((n, 0))."}
    free, fixed = ("data_format",), {"padding": ((before, 0), 0)}
    if not check_config(
        layer, layer.get_config(), context, free=free, fixed=fixed, cures=cures
    ) or not (before or after):
        return ()
    return (PaddingPart(owner=owner_of(layer), rows=int(before)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLayer:
    """How layers of one class are read.

    Attributes:
        variables: names of the weights in the order the class makes them, from its configuration.
        read: the reader.
    """

    variables: Callable[[Mapping[str, Any]], Sequence[str]]
    read: Callable[[Any, Context], tuple[LayerPart, ...]]


def read_svdf(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read SVDF: a Dense, and the sum of its last rows, each times its own constants."""
    free = ("units", "memory_size", "rank", "activation", "use_bias")
    good = check_config(layer, layer.get_config(), context, free=free)
    function = read_function(layer, "activation", layer.activation, context)
    units, rank, count = layer.units, layer.rank, layer.memory_size
    kernel, time_kernel = weight(layer.kernel), weight(layer.time_kernel)
    bias = weight(layer.bias) if layer.use_bias else np.zeros(units)
    finite_ones = finite(layer, context, kernel=kernel, time_kernel=time_kernel, bias=bias)
    owner, name = owner_of(layer), layer.name
    if function is None or not good or not finite_ones:
        return (UnknownPart(owner=owner, recurrent=True),)
    features = FloatDense(
        name=f"{name}_features", kernel=kernel.T, bias=np.zeros(rank * units), use_bias=False
    )
    # A row has the ranks one behind another, so that rows and ranks are summed alike.
    gain = time_kernel[::-1].reshape(count * rank, units)
    rows = RowsPart(owner=owner, name=f"{name}_rows", count=count, dilation=1, padded=True)
    sums: LayerPart = DepthwisePart(owner=owner, name=name, gain=gain, bias=bias)
    if len(gain) == 1:
        sums = ScalePart(owner=owner, gain=gain[0], offset=bias)
    after = () if function == "linear" else (ActivationPart(owner=owner, activation=function),)
    held = (rows,) if count > 1 else ()
    return DensePart(owner=owner, layer=features), *held, sums, *after


def _svdf_variables(config: Mapping[str, Any]) -> Sequence[str]:
    return ("kernel", "time_kernel", *(("bias",) if config["use_bias"] else ()))


#: Registered name of a class -> how it is read.
OWN_LAYERS: Final = {"edgernn>SVDF": OwnLayer(variables=_svdf_variables, read=read_svdf)}
