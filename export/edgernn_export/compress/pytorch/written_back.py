"""Fine-tuned weights in the PyTorch module that the float network was read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from edgernn.model.formats import FloatArray
from edgernn_export.compress.pytorch.module_weights import ModuleLayer, module_layers
from edgernn_export.float_model.model import FloatGRU, FloatLayer, FloatModel
from edgernn_export.keras_reader.findings import Findings


def paths_of(network: FloatModel, module: nn.Module) -> dict[int, str]:
    """Which layer of a module each layer of a float network has the matrices of.

    Args:
        network: read from the module.
        module: with the weights it had then.

    Returns:
        Paths by the position of the layer; layers whose matrices the module does not have, as
        those that took up a normalization, are left out.
    """
    candidates = {layer.path: layer.arrays() for layer in module_layers(module)}
    found: dict[int, str] = {}
    for index, layer in enumerate(network.layers):
        own = _matrices(layer)
        for path, arrays in candidates.items():
            theirs = {name: array for name, array in arrays.items() if array.ndim == 2}
            alike = own.keys() == theirs.keys() and all(
                np.array_equal(own[name], theirs[name]) for name in own
            )
            if own and alike and path not in found.values():
                found[index] = path
                break
    return found


def _matrices(layer: FloatLayer) -> dict[str, FloatArray]:
    names = {"kernel": "kernel", "recurrent": "recurrent_kernel", "table": "embeddings"}
    return {role: getattr(layer, name) for name, role in names.items() if hasattr(layer, name)}


def write_weights(
    tuned: FloatModel, trained: Mapping[int, Any], paths: Mapping[int, str], module: nn.Module
) -> None:
    """Set the weights of a module to those of a float network.

    Args:
        tuned: the network after training.
        trained: the layers with weights, by position.
        paths: of the layers of the module, by position.
        module: to write to.

    Raises:
        UnsupportedModelError: a layer is not one of the module, or the module lacks a bias; nothing
            is written then.
    """
    findings = Findings()
    layers = {layer.path: layer for layer in module_layers(module)}
    writes: list[tuple[ModuleLayer, dict[str, FloatArray]]] = []
    again = {use.layer for uses in tuned.shared for use in uses[1:]}
    for index in trained:
        layer = tuned.layers[index]
        if index in again:
            continue  # the first use of the weights writes them
        place = layers.get(paths.get(index, ""))
        if place is None:
            findings.add(
                repr(layer.name),
                "a layer with the weights of one layer of the module",
                "weights that it has in no layer, such as those that took up a normalization",
                "Take the float network itself (tuned_network), or train the module without what "
                "was merged into the layer.",
            )
            continue
        writes.append((place, _values(layer, place, findings)))
    findings.refuse()
    for place, values in writes:
        for name, rows in values.items():
            place.assign(name, rows)


def _values(layer: FloatLayer, place: ModuleLayer, findings: Findings) -> dict[str, FloatArray]:
    """What the module has of a layer, by name."""
    values = dict(_matrices(layer))
    bias = getattr(layer, "bias", None)
    if bias is None:
        return values
    if "bias" not in place.weights:
        second = getattr(layer, "recurrent_bias", np.zeros(1))
        if np.any(bias) or np.any(second):
            findings.add(
                repr(layer.name),
                f"a bias in {place.path} ({type(place.module).__name__})",
                "bias=False, and a bias that was trained",
                "Build the module with bias=True and zeros, and copy its weights.",
            )
        return values
    if "recurrent_bias" not in place.weights:
        return {**values, "bias": bias}
    if isinstance(layer, FloatGRU):
        return {**values, "bias": bias, "recurrent_bias": layer.recurrent_bias}
    # PyTorch adds two biases of which the sum counts; the second one stays.
    return {**values, "bias": bias - place.arrays()["recurrent_bias"]}
