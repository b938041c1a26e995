"""Dense, TimeDistributed(Dense), Embedding, and activations as separate layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.formats import MAX_VOCABULARY
from edgernn_export.float_model.model import FloatDense, FloatDenseRows
from edgernn_export.keras_reader.findings import Context, class_of, owner_of
from edgernn_export.keras_reader.layers.activations import (
    arguments_of,
    function_of_class,
    read_function,
)
from edgernn_export.keras_reader.layers.config import (
    check_config,
    finite,
    is_builtin,
    weight,
)
from edgernn_export.keras_reader.layers.layer_parts import (
    ActivationPart,
    DensePart,
    DenseRowsPart,
    EmbeddingPart,
    LayerPart,
    SlopesPart,
    UnknownPart,
)
from edgernn_export.keras_reader.layers.neutral import read_neutral
from edgernn_export.keras_reader.layers.scaling import read_layer_normalization

#: Functions that a Dense applies itself.
OF_DENSE: Final = ("linear", "relu", "tanh", "sigmoid")
#: Arguments that the table itself shows, or that matter in training only.
_TABLE_FREE: Final = ("input_dim", "output_dim", "input_length", "weights", "mask_zero")


def read_dense(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Dense; a function that is not one of `OF_DENSE` becomes a separate part."""
    unknown = (UnknownPart(owner=owner_of(layer), recurrent=False),)
    free = ("units", "activation", "use_bias", *(("rows",) if hasattr(layer, "rows") else ()))
    good = check_config(layer, layer.get_config(), context, free=free)
    function = read_function(layer, "activation", layer.activation, context, softmax=True)
    if not good or function is None:
        return unknown
    kernel = weight(layer.kernel)
    bias = weight(layer.bias) if layer.use_bias else np.zeros(kernel.shape[1])
    if not finite(layer, context, kernel=kernel, bias=bias):
        return unknown
    own = function in OF_DENSE
    dense = DensePart(
        owner=owner_of(layer),
        layer=FloatDense(
            name=layer.name,
            kernel=kernel.T,
            bias=bias,
            use_bias=bool(layer.use_bias),
            activation=function if own else "linear",
        ),
    )
    if own:
        return (dense,)
    return dense, ActivationPart(owner=owner_of(layer), activation=function)


def read_dense_rows(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a described Dense that is applied to several rows of features, one behind another."""
    parts = read_dense(layer, context)
    return tuple(
        DenseRowsPart(
            owner=part.owner,
            layer=FloatDenseRows(name=part.layer.name, dense=part.layer, count=layer.rows),
        )
        if isinstance(part, DensePart)
        else part
        for part in parts
    )


def read_time_distributed(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read TimeDistributed around a layer that acts on each step separately."""
    inner = layer.layer
    good = check_config(layer, layer.get_config(), context, free=("layer",))
    if class_of(inner) not in _EACH_STEP or not is_builtin(inner):
        context.findings.add(
            owner_of(layer),
            f"TimeDistributed around {', '.join(_EACH_STEP)}",
            owner_of(inner),
            "Train with one of these.",
        )
        good = False
    if not good:
        return (UnknownPart(owner=owner_of(layer), recurrent=False),)
    rank = None if context.rank is None else context.rank - 1
    return _EACH_STEP[class_of(inner)](inner, replace(context, rank=rank))


def read_activation(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Activation; linear is nothing at all."""
    good = check_config(layer, layer.get_config(), context, free=("activation",))
    function = read_function(layer, "activation", layer.activation, context, softmax=True)
    return _activation(layer, function, good)


def read_function_class(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read a layer, or an operation, whose class says which function it applies."""
    name, config = class_of(layer), layer.get_config()
    good = check_config(layer, config, context, free=arguments_of(name))
    try:
        function = function_of_class(name, config)
    except (ModelError, TypeError, ValueError, KeyError):
        told = ", ".join(
            f"{key}={config[key]!r:.40}" for key in arguments_of(name) if key in config
        )
        cure = "Train with a single number for all features."
        context.findings.add(owner_of(layer), "numbers as its arguments", told, cure)
        return _activation(layer, None, good)
    return _activation(layer, function, good)


def read_prelu(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read PReLU; its slopes are those of features, alike at every step."""
    good = check_config(layer, layer.get_config(), context, free=("shared_axes",))
    alpha = weight(layer.alpha)
    if not good or not finite(layer, context, alpha=alpha):
        return (UnknownPart(owner=owner_of(layer), recurrent=False),)
    rows = alpha.reshape(-1, alpha.shape[-1])
    if np.any(rows != rows[0]):
        context.findings.add(
            owner_of(layer),
            "slopes that are the same at every step",
            f"{len(rows)} rows of them",
            "Train with PReLU(shared_axes=[1]).",
        )
        return (UnknownPart(owner=owner_of(layer), recurrent=False),)
    return (SlopesPart(owner=owner_of(layer), name=str(layer.name), slope=rows[0]),)


def read_softmax(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Softmax over the features."""
    fixed = {"axis": context.last_axis}
    good = check_config(layer, layer.get_config(), context, fixed=fixed)
    return _activation(layer, "softmax", good)


#: What TimeDistributed may wrap. Flatten finds one axis there and leaves it.
_EACH_STEP: dict[str, Callable[[Any, Context], tuple[LayerPart, ...]]] = {
    "Dense": read_dense,
    "Activation": read_activation,
    "ELU": read_function_class,
    "LeakyReLU": read_function_class,
    "LayerNormalization": read_layer_normalization,
    "PReLU": read_prelu,
    "ReLU": read_function_class,
    "ThresholdedReLU": read_function_class,
    "Softmax": read_softmax,
    "Dropout": read_neutral,
    "GaussianDropout": read_neutral,
    "GaussianNoise": read_neutral,
    "Identity": read_neutral,
    "Flatten": read_neutral,
}


def _activation(layer: Any, activation: str | None, good: bool) -> tuple[LayerPart, ...]:
    if not good or activation is None:
        return (UnknownPart(owner=owner_of(layer), recurrent=False),)
    if activation == "linear":
        return ()
    return (ActivationPart(owner=owner_of(layer), activation=activation),)


def read_embedding(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read Embedding."""
    unknown = (UnknownPart(owner=owner_of(layer), recurrent=False),)
    if not check_config(layer, layer.get_config(), context, free=_TABLE_FREE):
        return unknown
    table = weight(layer.embeddings)
    if not finite(layer, context, embeddings=table):
        return unknown
    if len(table) > MAX_VOCABULARY:
        context.findings.add(
            owner_of(layer),
            f"a table of at most {MAX_VOCABULARY} tokens",
            f"{len(table)}",
            "Train with the most frequent tokens and map all others to one token.",
        )
        return unknown
    return (EmbeddingPart(owner=owner_of(layer), name=layer.name, table=table),)
