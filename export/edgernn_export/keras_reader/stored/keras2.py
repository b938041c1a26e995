"""Models written by Keras 2: legacy .h5 files and SavedModel directories.

Keras 3 no longer loads either (it refuses the `time_major` argument that Keras 2 wrote for every
recurrent layer, and all SavedModels), but it still understands the layers. The structure is
rebuilt from the stored configuration, the weights are read separately.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edgernn_export.keras_reader.findings import Context
from edgernn_export.keras_reader.layers.config import NEUTRAL_ENDINGS

#: Layers whose weights are looked up in a SavedModel; any other layer is refused later by name.
_WITH_WEIGHTS = frozenset(
    {
        "BatchNormalization",
        "Dense",
        "GRU",
        "LSTM",
        "LayerNormalization",
        "Normalization",
        "PReLU",
        "RNN",
        "SimpleRNN",
        "TimeDistributed",
    }
)
#: Layers inside layers, which Keras 3 looks up by module.
_WRAPPED = frozenset({"backward_layer", "cell", "layer"})


def load_h5(path: Path, context: Context) -> Any:
    """Rebuild a Keras 2 model from a whole-model .h5 file."""
    import h5py

    with h5py.File(path, "r") as file:
        raw = file.attrs.get("model_config")
    if raw is None:
        raise ValueError("the file contains weights without a model; save the whole model")
    text = raw.decode() if isinstance(raw, bytes) else str(raw)
    model = _rebuild(json.loads(text), context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3 warns about habits of Keras 2 files
        model.load_weights(str(path))
    return model


def load_saved_model(path: Path, context: Context) -> Any:
    """Rebuild a Keras 2 model from a SavedModel directory with keras_metadata.pb."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs

    try:
        metadata = _metadata(path)
        if "config" not in metadata.get("root", {}):
            raise ValueError("the SavedModel has no model configuration")
        model = _rebuild(metadata["root"], context)
        paths = {(at.rpartition(".")[0], node.get("name")): at for at, node in metadata.items()}
        _restore(model, "root", paths, _Checkpoint(path))
    except (DecodeError, tf.errors.OpError) as error:
        raise ValueError(f"the SavedModel is damaged: {error}") from error
    return model


def _metadata(path: Path) -> dict[str, Any]:
    """What Keras 2 noted about every object of a SavedModel, by its path in the object graph."""
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    saved = saved_metadata_pb2.SavedMetadata()
    saved.ParseFromString((path / "keras_metadata.pb").read_bytes())
    return {node.node_path: json.loads(node.metadata) for node in saved.nodes}


class _Checkpoint:
    """Values of a checkpoint by their path in the object graph."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        self._reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        self._graph = trackable_object_graph_pb2.TrackableObjectGraph()
        self._graph.ParseFromString(self._reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))

    def value(self, path: list[str]) -> Any:
        node = self._graph.nodes[0]
        for name in path:
            children = {child.local_name: child.node_id for child in node.children}
            if name not in children:
                raise ValueError(f"the SavedModel has no variable {'/'.join(path)}")
            node = self._graph.nodes[children[name]]
        return np.asarray(self._reader.get_tensor(node.attributes[0].checkpoint_key))


def _restore(
    model: Any, prefix: str, paths: dict[tuple[str, Any], str], checkpoint: _Checkpoint
) -> None:
    import keras

    for layer in model.layers:
        where = paths.get((prefix, layer.name))
        if isinstance(layer, keras.Model) and where is not None:
            _restore(layer, where, paths, checkpoint)
        elif type(layer).__name__ in _WITH_WEIGHTS and layer.weights:
            if where is None:
                raise ValueError(f"the SavedModel has no layer {layer.name!r}")
            inner = next((name for name in ("cell", "layer") if hasattr(layer, name)), None)
            holder = getattr(layer, inner) if inner else layer
            steps = where.split(".")[1:] + ([inner] if inner else [])
            for variable in holder.weights:
                variable.assign(checkpoint.value([*steps, variable.name]))
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()


def _rebuild(config: dict[str, Any], context: Context) -> Any:
    """Make a live Keras 3 model of a Keras 2 configuration."""
    import keras

    cleaned = _cleaned(config, context)
    kinds = {"Sequential": keras.Sequential, "Functional": keras.Model, "Model": keras.Model}
    kind = cleaned.get("class_name")
    if kind not in kinds:
        raise ValueError(f"the model class is {kind}, not Sequential or Functional")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3 warns about habits of Keras 2 files
        return kinds[kind].from_config(cleaned["config"])


def _with_input(config: Any) -> dict[str, Any]:
    """A Sequential configuration of today: named, and with a separate input.

    Until TensorFlow 2.2 the first layer had the shape of the input, until Keras 2.2.2 the list of
    layers was all there is.
    """
    made: dict[str, Any] = {"name": "sequential"}
    made |= {"layers": config} if isinstance(config, list) else config
    shapes = [layer["config"].get("batch_input_shape") for layer in made["layers"]]
    if shapes and shapes[0] and made["layers"][0]["class_name"] != "InputLayer":
        given = {"batch_shape": shapes[0], "name": f"{made['name']}_input"}
        made["layers"] = [{"class_name": "InputLayer", "config": given}, *made["layers"]]
    for layer in made["layers"]:
        if layer["class_name"] != "InputLayer":
            layer["config"].pop("batch_input_shape", None)
    return made


def _cleaned(value: Any, context: Context, owner: str = "model") -> Any:
    """Drop what training alone needs, which may be of any class, and time_major.

    Keras 3 does not know time_major; a reason is noted where it was in use.
    """
    if isinstance(value, list):
        return [_cleaned(item, context, owner) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__tuple__":
        return tuple(_cleaned(item, context, owner) for item in value["items"])
    config = value.get("config")
    if isinstance(config, dict) and "name" in config:
        owner = f"{config['name']!r} ({value.get('class_name')})"
    if value.get("time_major"):
        context.findings.add(
            owner,
            "time_major=False",
            "time_major=True",
            "Build the layer with (batch, time, features) and copy the weights.",
        )
    cleaned = {
        key: _cleaned(item, context, owner)
        for key, item in value.items()
        if key != "time_major" and not key.endswith(NEUTRAL_ENDINGS)
    }
    if cleaned.get("class_name") == "Sequential":
        cleaned["config"] = _with_input(cleaned["config"])
    if cleaned.get("class_name") == "GRU":  # until Keras 2.1.5 there was one GRU
        cleaned["config"].setdefault("reset_after", False)
    for key in _WRAPPED & cleaned.keys():
        if isinstance(cleaned[key], dict):
            cleaned[key].setdefault("module", "keras.layers")
            cleaned[key].setdefault("registered_name", None)
    return cleaned
