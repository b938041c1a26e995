"""Read a Keras model: open it, walk its layers, join what they contribute, name the channels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from edgernn.errors import ShapeError, StreamKindWarning
from edgernn_export.float_model.model import FloatLayer, FloatModel
from edgernn_export.keras_reader.findings import Context, Findings, owner_of
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.layer_path import LayerPath, layer_path
from edgernn_export.keras_reader.layers.readers import read_layer
from edgernn_export.keras_reader.source import configuration_of, open_model


def read_keras(
    source: Any | str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel:
    """Read a Keras model.

    Args:
        source: a live keras.Model, or the path of a .keras file or whole-model HDF5 file (Keras 2
            or 3), an architecture in JSON, or a SavedModel directory written by Keras 2. The
            content tells which, not the name; Keras is imported for SavedModels alone.
        weights: path of an HDF5 file with the weights of an architecture; by default one of its
            name beside it, NAME.weights.h5, NAME.h5 or NAME_weights.h5.
        input_names: one per feature; x0, x1, ... by default.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model: scalings folded, activations merged, a final softmax taken off.

    Raises:
        BackendUnavailable: Keras or h5py is not installed.
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the model holds something edgernn does not execute; the error
            lists everything found.

    Warns:
        StreamKindWarning: the states of the network are its inputs and outputs.
    """
    findings = Findings()
    model, context = open_model(source, Context(findings=findings, keras2=False), weights)
    with configuration_of(getattr(model, "file", None)):
        layers, chain = _read_layers(model, context)
    findings.refuse()
    if layers.states_given:
        warnings.warn(
            f"{owner_of(model)}: the network takes its states as inputs and gives the next ones as "
            "outputs. A session keeps them itself: give it the readings alone, and it answers "
            "with the output alone.",
            StreamKindWarning,
            stacklevel=2,
        )
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
        stateful=chain.stateful or layers.states_given,
        steps=chain.steps,
    )


def _read_layers(model: Any, context: Context) -> tuple[LayerPath, JoinedLayers]:
    layers = layer_path(model, context)
    chain = JoinedLayers(findings=context.findings, shape=layers.shape)
    for layer in layers.main:
        rank = None if chain.shape is None else len(chain.shape) + 1
        for part in read_layer(layer, replace(context, rank=rank)):
            chain.add(part)
    for layer in layers.beside:
        read_layer(layer, context)
    if layers.main:
        chain.finish(owner_of(model))
    return layers, chain


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
