"""Give the layers of a stored model their weights, in any of the layouts Keras has used.

Keras 3 (and Keras 2 in .keras files) stores the weights of a layer under a path of class names,
``layers/gru_1/cell/vars/0``; HDF5 files of both have one group per layer, by name, with its
weights in order, those that training changes first.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.keras_reader.findings import owner_of
from edgernn_export.keras_reader.stored.hdf5 import array, child, texts
from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.keras_reader.stored.layer import ATTENTION, StoredLayer
from edgernn_export.keras_reader.stored.network import StoredModel

_CONTAINERS: Final = ("layers", "_layer_checkpoint_dependencies")
_ANOTHER: Final = "Save the model again, or pass the weights of this model."
_HEADS: Final = "MultiHeadAttention"
_GATES: Final = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def fill(model: StoredModel, group: Any, owner: str) -> None:
    """Read the weights of every layer that a reader supports.

    Args:
        model: the stored model.
        group: what holds its weights in an HDF5 file.
        owner: how reasons name the file.

    Raises:
        UnsupportedModelError: weights are missing, or do not fit their layer.
    """
    if "layer_names" in group.attrs or "layer_names0" in group.attrs:
        _by_layer(model, group, owner)
    else:
        _by_path(model, group, owner)


def _by_layer(model: StoredModel, group: Any, owner: str) -> None:
    stored = {name: _in_order(group, name, owner) for name in texts(group.attrs, "layer_names")}
    layers = [layer for layer in model.layers if _weighted(layer)]
    if not all(stored.get(layer.name) for layer in layers):
        # The architecture gave other names: Keras goes by the order.
        owned = [arrays for arrays in stored.values() if arrays]
        if len(owned) != len(layers):
            got = f"{len(owned)}"
            refuse(owner, f"weights of {len(layers)} layers", got, _ANOTHER)
        stored = {layer.name: arrays for layer, arrays in zip(layers, owned, strict=True)}
    for layer in layers:
        _take(layer, stored[layer.name], owner)


def _in_order(group: Any, name: str, owner: str) -> list[FloatArray]:
    part = child(group, name, owner)
    if part is None:
        return []
    found = [child(part, weight, owner) for weight in texts(part.attrs, "weight_names")]
    return [array(dataset, owner).astype(np.float64) for dataset in found]


def _weighted(layer: StoredLayer) -> bool:
    if isinstance(layer, StoredModel):
        return any(_weighted(inner) for inner in layer.layers)
    return bool(layer.variables())


def _slots(layer: StoredLayer, frozen: bool = False) -> list[tuple[StoredLayer, str, bool]]:
    """Weights of a layer, or of all layers in a nested model, and whether training changes them."""
    frozen = frozen or not layer.trainable
    if layer.halves:
        return [slot for half in layer.halves for slot in _slots(half, frozen)]
    if isinstance(layer, StoredModel):
        return [slot for inner in layer.layers for slot in _slots(inner, frozen)]
    return [(layer, name, own and not frozen) for name, own in layer.variables()]


def _take(layer: StoredLayer, arrays: list[FloatArray], owner: str) -> None:
    slots = sorted(_slots(layer), key=lambda slot: not slot[2])  # a stable sort
    stateful = layer.config.get("stateful") is True  # its states may follow its weights
    if len(arrays) != len(slots) and not (stateful and len(arrays) > len(slots)):
        refuse(owner, f"{len(slots)} weights of {owner_of(layer)}", f"{len(arrays)}", _ANOTHER)
    for (target, name, _), values in zip(slots, arrays, strict=False):
        _set(target, name, values, owner)


def _set(layer: StoredLayer, name: str, values: FloatArray, owner: str) -> None:
    holder = layer.owner_of_weights
    if holder.cells:
        index, _, name = name.partition("/")
        layer = holder = holder.cells[int(index)]
    # The axes of a Normalization, and the weights of attention and of a registered cell, are their
    # reader's affair.
    free = holder.stored_class in ("Normalization", *ATTENTION) or holder.custom is not None
    wanted = values.shape if free else _shape(holder, name)
    if layer.cudnn and name == "bias":
        wanted = (2 * _GATES[layer.stored_class] * layer.config["units"],)
    fits = len(wanted) == values.ndim and all(
        size is None or size == got for size, got in zip(wanted, values.shape, strict=True)
    )
    if not fits:
        text = f"{name} of {owner_of(layer)} with shape ({', '.join(map(_size, wanted))})"
        refuse(owner, text, f"shape {values.shape}", _ANOTHER)
    holder.weights[name] = _from_cudnn(layer, name, values) if layer.cudnn else values


def _from_cudnn(layer: StoredLayer, name: str, values: FloatArray) -> FloatArray:
    """Weights of CuDNNLSTM and CuDNNGRU: gates transposed, a bias for each product."""
    if name == "bias":
        both = values.reshape(2, -1)
        return both if layer.stored_class == "GRU" else both.sum(axis=0)
    gates = np.hsplit(values, _GATES[layer.stored_class])
    if name == "kernel":
        return np.hstack([gate.reshape(gate.shape[::-1]).T for gate in gates])
    return np.hstack([gate.T for gate in gates])


def _size(size: int | None) -> str:
    return "any" if size is None else str(size)


def _shape(layer: StoredLayer, name: str) -> tuple[int | None, ...]:
    kind = layer.stored_class.removesuffix("Cell")
    if kind in ("BatchNormalization", "LayerNormalization"):
        return (None,)
    if kind.endswith("Conv1D"):
        return _convolution_shape(layer, name)
    units = layer.config.get("units")
    columns = _GATES.get(kind, 1) * (units if isinstance(units, int) else -1)
    if name == "alpha":  # as many axes as what it reads
        shared = layer.config.get("shared_axes") or ()
        return (*([None] * (len(shared) or 1)), None)
    if name == "embeddings":
        return (None, layer.config.get("output_dim"))
    if name == "kernel":
        return (None, columns)
    if name == "recurrent_kernel":
        return (units, columns)
    return (2, columns) if layer.config.get("reset_after") else (columns,)


def _convolution_shape(layer: StoredLayer, name: str) -> tuple[int | None, ...]:
    config = layer.config
    filters = config.get("filters", None if name == "bias" else config.get("depth_multiplier"))
    if name == "bias":
        return (filters,)
    if name == "pointwise_kernel":
        return (1, None, filters)
    if name == "depthwise_kernel":
        filters = config.get("depth_multiplier")
    size = config["kernel_size"]
    return (size[0] if isinstance(size, tuple) else size, None, filters)


def _by_path(model: StoredModel, group: Any, owner: str) -> None:
    container = next((c for c in (child(group, n, owner) for n in _CONTAINERS) if c), None)
    if container is None:
        refuse(owner, "weights of Keras 2 or 3", "none", _ANOTHER)
    for layer, path in _paths(model.layers, container):
        if isinstance(layer, StoredModel) and _weighted(layer):
            inner = child(container, path, owner)
            _by_path(layer, inner if inner is not None else container, owner)
        elif layer.variables():
            _take_path(layer, container, path, owner)


def _take_path(layer: StoredLayer, container: Any, path: str, owner: str) -> None:
    if layer.halves:
        for half, part in zip(layer.halves, ("forward_layer", "backward_layer"), strict=True):
            _take_path(half, container, f"{path}/{part}", owner)
        return
    if layer.owner_of_weights.cells:
        cells = layer.owner_of_weights.cells
        holder = child(container, f"{path}/cell/cells", owner)
        for cell, name in _paths(cells, holder if holder is not None else {}):
            _take_path(cell, container, f"{path}/cell/cells/{name}", owner)
        return
    inner = layer.owner_of_weights is not layer or layer.cell is layer
    part = {"TimeDistributed": "layer"}.get(layer.stored_class, "cell") if inner else ""
    place = "/".join(filter(None, (path, part, "vars")))
    names = [name for name, _ in layer.variables()]
    places = [f"{place}/{index}" for index in range(len(names))]
    if layer.stored_class == _HEADS:  # each projection has weights of its own
        places = [_of_projection(path, name) for name in names]
    found = [child(container, one, owner) for one in places]
    missing = sum(dataset is None for dataset in found)
    if missing:
        got = f"{len(names) - missing}"
        refuse(owner, f"{len(names)} weights of {owner_of(layer)} at {place}", got, _ANOTHER)
    for name, dataset in zip(names, found, strict=True):
        _set(layer, name, array(dataset, owner).astype(np.float64), owner)


def _of_projection(path: str, name: str) -> str:
    """Where a weight of a projection is stored: kernel first, then bias."""
    projection, _, own = name.partition("/")
    return f"{path}/{projection}/vars/{int(own == 'bias')}"


def _paths(layers: list[StoredLayer], container: Any) -> list[tuple[StoredLayer, str]]:
    """Where each layer is stored: its class in snake case, numbered from the second on.

    TensorFlow 2.12 to 2.14 omitted numbers; the existing ones then count in order.
    """
    by_class: dict[str, list[StoredLayer]] = {}
    for layer in layers:
        by_class.setdefault(_snake_case(layer.stored_class), []).append(layer)
    places: dict[int, str] = {}
    for name, members in by_class.items():
        expected = [name, *(f"{name}_{number}" for number in range(1, len(members)))]
        stored = [key for key in container if re.fullmatch(rf"{name}(_\d+)?", key)]
        stored.sort(key=lambda key: (len(key), key))
        if len(stored) == len(members):
            expected = stored
        places |= {id(layer): place for layer, place in zip(members, expected, strict=True)}
    return [(layer, places[id(layer)]) for layer in layers]


def _snake_case(name: str) -> str:
    """As Keras names the members of a container."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
