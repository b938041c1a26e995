"""Read a Keras model into a float model: layers and weights, never a converter's graph.

Everything that cannot be read is refused by name, all reasons at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from edgernn.errors import ShapeError
from edgernn_export.float_model import FloatLayer, FloatModel
from edgernn_export.keras_reader.assemble import Chain
from edgernn_export.keras_reader.dense import (
    read_activation,
    read_dense,
    read_relu,
    read_softmax,
    read_time_distributed,
)
from edgernn_export.keras_reader.neutral import read_neutral
from edgernn_export.keras_reader.parts import Context, Part, UnknownPart
from edgernn_export.keras_reader.path import layer_path
from edgernn_export.keras_reader.recurrent import read_recurrent, read_rnn
from edgernn_export.keras_reader.scaling import (
    read_batch_normalization,
    read_normalization,
    read_rescaling,
)
from edgernn_export.keras_reader.source import open_source
from edgernn_export.preflight import Findings, owner_of

__all__ = ["READERS", "read_keras"]

#: Which reader understands which class of keras.layers.
READERS: dict[str, Callable[[Any, Context], tuple[Part, ...]]] = {
    "Activation": read_activation,
    "ActivityRegularization": read_neutral,
    "BatchNormalization": read_batch_normalization,
    "Dense": read_dense,
    "Dropout": read_neutral,
    "GRU": read_recurrent,
    "GaussianDropout": read_neutral,
    "GaussianNoise": read_neutral,
    "Identity": read_neutral,
    "LSTM": read_recurrent,
    "Normalization": read_normalization,
    "RNN": read_rnn,
    "ReLU": read_relu,
    "Rescaling": read_rescaling,
    "SimpleRNN": read_recurrent,
    "Softmax": read_softmax,
    "SpatialDropout1D": read_neutral,
    "TimeDistributed": read_time_distributed,
}
_RECURRENT_NAME = re.compile(r"RNN|LSTM|GRU|Bidirectional")
_CURES = {
    "Bidirectional": "A stream has no future: train a forward layer.",
    "Masking": "Feed streams without padding and remove the layer.",
    "Embedding": "Feed numbers; edgernn has no lookup layer.",
    "LayerNormalization": "Use BatchNormalization, which folds into the weights.",
    "QuantizeInput": "Take the integers with edgernn_export.qat.integer_model.",
    "Lambda": "Move the computation out of the model.",
}


def read_keras(
    source: Any | str | PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel:
    """Read a Keras model.

    Args:
        source: a live keras.Model, or the path of a .keras file, a whole-model .h5 file (Keras 2
            or 3), or a SavedModel directory written by Keras 2.
        input_names: one per feature; x0, x1, ... by default.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model: scalings folded, activations merged, a final softmax taken off.

    Raises:
        BackendUnavailable: Keras is not installed.
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the model holds something edgernn does not execute; the error
            lists everything found.
    """
    findings = Findings()
    path = source if not isinstance(source, PathLike) else str(source)
    model, context = open_source(path, Context(findings=findings, keras2=False))
    chain = Chain(findings=findings)
    layers = layer_path(model, context)
    for layer in layers.main:
        for part in _read_layer(layer, context):
            chain.add(part)
    for layer in layers.beside:
        _read_layer(layer, context)
    if layers.main:
        chain.finish(owner_of(model))
    findings.refuse()
    named = _with_plain_names(chain.layers)
    inputs, outputs = named[0].inputs, named[-1].units
    return FloatModel(
        name=_plain(model.name),
        layers=named,
        input_names=_texts("input_names", input_names, [f"x{i}" for i in range(inputs)]),
        input_units=_texts("input_units", input_units, [""] * inputs),
        output_names=_texts("output_names", output_names, [f"y{i}" for i in range(outputs)]),
        output_units=_texts("output_units", output_units, [""] * outputs),
        final_activation="softmax" if chain.softmax else "linear",
        return_sequences=chain.return_sequences,
        stateful=chain.stateful,
        steps=layers.steps,
    )


def _read_layer(layer: Any, context: Context) -> tuple[Part, ...]:
    """Read one layer with the reader of exactly its class; subclasses are refused."""
    import keras

    name = type(layer).__name__
    if name in READERS and getattr(keras.layers, name) is type(layer):
        return READERS[name](layer, context)
    ours = type(layer).__module__.startswith("keras.")
    got = name if ours else f"the class {type(layer).__module__}.{type(layer).__qualname__}"
    context.findings.add(
        owner_of(layer),
        f"one of {', '.join(READERS)}",
        got,
        _CURES.get(name, "Remove it, or use a supported layer in its place."),
    )
    recurrent = _RECURRENT_NAME.search(name) is not None
    return (UnknownPart(owner=owner_of(layer), recurrent=recurrent),)


def _texts(owner: str, given: Sequence[str] | None, default: list[str]) -> tuple[str, ...]:
    if given is None:
        return tuple(default)
    if isinstance(given, str) or len(given) != len(default):
        raise ShapeError(f"{owner}: expected {len(default)} strings, got {given!r:.80}")
    return tuple(given)


def _plain(name: str) -> str:
    """A name of 1..56 letters, digits, '_' or '-', as integer models want it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:56].lstrip("-") or "layer"


def _with_plain_names(layers: list[FloatLayer]) -> tuple[FloatLayer, ...]:
    """Plain names; a second layer of the same name (nested models) gets _2, then _3."""
    named: list[FloatLayer] = []
    for layer in layers:
        base = name = _plain(layer.name)
        count = 1
        while name in {other.name for other in named}:
            count += 1
            name = f"{base}_{count}"
        named.append(replace(layer, name=name))
    return tuple(named)
