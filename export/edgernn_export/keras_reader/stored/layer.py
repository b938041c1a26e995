"""Layers as a file describes them, with the attributes by which the readers know Keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.cells.cell_readers import cell_reader
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.layers.convolution import OWN_LAYERS

#: What Keras of today calls layers of TensorFlow 1, and the layers of cuDNN it computes alike.
_RENAMED: Final = {
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}
#: Arguments that say nothing about inference, and the wrong thing to a reader of today.
_DROPPED: Final = frozenset(
    {"batch_input_shape", "batch_shape", "input_dim", "input_length", "input_dtype", "input_shape"}
)
_CONVOLUTION: Final = {
    "activation": "linear", "use_bias": True, "padding": "valid", "dilation_rate": (1,)
}  # fmt: skip
#: Values of arguments that a file may leave out.
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "Activation": {"activation": "linear"},
    "Bidirectional": {"merge_mode": "concat"},
    "AdditiveAttention": {"use_scale": True, "score_mode": "dot"},
    "Attention": {"use_scale": False, "score_mode": "dot"},
    "BatchNormalization": {"center": True, "scale": True, "epsilon": 1e-3, "axis": -1},
    "Conv1D": _CONVOLUTION,
    "Dense": {"activation": "linear", "use_bias": True},
    "DepthwiseConv1D": _CONVOLUTION,
    "Embedding": {"mask_zero": False},
    "LayerNormalization": {"center": True, "scale": True, "epsilon": 1e-3, "axis": -1},
    "MultiHeadAttention": {"use_bias": True, "value_dim": None},
    "Normalization": {"mean": None, "variance": None, "invert": False, "axis": -1},
    "Rescaling": {"offset": 0.0},
    "SeparableConv1D": _CONVOLUTION,
}
#: Layers that may be given as activations.
_FUNCTION_LAYERS: Final = ("Activation", "ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU")
_SEQUENCE_DEFAULTS: Final = {
    "return_sequences": False, "stateful": False, "go_backwards": False
}  # fmt: skip
_CELL_DEFAULTS: Final = {"activation": "tanh", "use_bias": True}
_GATED: Final = ("GRU", "LSTM")
_RECURRENT: Final = ("GRU", "LSTM", "SimpleRNN")
_CELLS: Final = tuple(f"{name}Cell" for name in _RECURRENT)
ATTENTION: Final = ("AdditiveAttention", "Attention", "MultiHeadAttention")
_BATCH_NORMALIZATION: Final = (
    ("gamma", "scale", True),
    ("beta", "center", True),
    ("moving_mean", None, False),
    ("moving_variance", None, False),
)


class StoredLayer:
    """A layer of a file: what its configuration says, and its weights once they are read.

    Attributes:
        name: of the layer.
        stored_class: name of its class.
        cudnn: its weights lie as cuDNN wants them.
        custom: the class as its author calls it, or None for a class of Keras.
        stored_module: where Keras has the class; None in files that do not name it.
        config: arguments by name, those left out at their defaults.
        trainable: whether training changed its weights, which orders them in HDF5 files.
        dtype_policy: its precision, with a name.
        inner: the cell of a recurrent layer, or what TimeDistributed wraps; None for others.
        halves: the layers of a Bidirectional, the forward one first; none for others.
        cells: of a stack of cells.
        origin: how reasons name it in the words of another format; "" for Keras.
        reordered: it reads backward, and gives its steps in the order of the readings.
        start: what its states begin with, one behind the other; None for zeros.
        weights: arrays by name, as stored.
    """

    def __init__(self, entry: dict[str, Any], *, keras2: bool, findings: Findings) -> None:
        """Take over one entry of a list of layers."""
        stored = str(entry["class_name"])
        self.stored_class = _RENAMED.get(stored, stored)
        self.cudnn = stored.startswith("CuDNN")
        self.custom = custom_class(entry)
        self.stored_module = entry.get("module")
        config = {
            key: tuple(value) if isinstance(value, list) and key != "layers" else value
            for key, value in dict(entry["config"]).items()
            if key not in _DROPPED
        }
        self.name = str(config.get("name") or entry.get("name") or stored.lower())
        self.trainable = config.get("trainable") is not False
        self.dtype_policy = SimpleNamespace(name=_policy_name(config.get("dtype")))
        self.origin = str(entry.get("origin", ""))
        self.reordered = False
        self.start: FloatArray | None = None
        self.inner: StoredLayer | None = None
        self.halves: tuple[StoredLayer, ...] = ()
        self.cells: list[StoredLayer] = []
        self.weights: dict[str, FloatArray] = {}
        owner = self.origin or f"{self.name!r} ({self.stored_class})"
        if config.pop("time_major", False):
            cure = "Build the layer with (batch, time, features) and copy the weights."
            findings.add(owner, "time_major=False", "time_major=True", cure)
        self.config = self._defaults(config, keras2, findings, owner) | config
        for key in ("activation", "recurrent_activation"):
            if key in self.config:
                self.config[key] = _activation(self.config[key])
        self._set_inner(keras2, findings)

    def _defaults(
        self, config: dict[str, Any], keras2: bool, findings: Findings, owner: str
    ) -> dict[str, Any]:
        kind = self.stored_class.removesuffix("Cell")
        defaults = dict(_DEFAULTS.get(self.stored_class, {}))
        if self.stored_class in (*_RECURRENT, "RNN"):
            defaults |= _SEQUENCE_DEFAULTS
        if kind not in _RECURRENT:
            return defaults
        defaults |= _CELL_DEFAULTS
        if self.cudnn:
            return defaults | {"recurrent_activation": "sigmoid", "reset_after": True}
        if kind == "GRU":  # Keras knew one GRU until 2.1.5, and kept it the default of old files
            defaults["reset_after"] = not keras2
        if kind in _GATED and not keras2:
            defaults["recurrent_activation"] = "sigmoid"
        elif kind in _GATED and "recurrent_activation" not in config:
            got, cure = "none", "Load it with Keras 2 and save it with model.save('model.h5')."
            findings.add(owner, "a recurrent_activation in the file", got, cure)
            defaults["recurrent_activation"] = "sigmoid"
        return defaults

    def _set_inner(self, keras2: bool, findings: Findings) -> None:
        if self.stored_class in _RECURRENT:  # Keras gives these a cell that owns the weights
            self.inner = self
            return
        if self.stored_class == "Bidirectional" and self.custom is None:
            self.halves = _halves(self.config, keras2, findings)
            return
        entry = self.config.get("cell" if self.stored_class == "RNN" else "layer")
        if self.stored_class in ("RNN", "TimeDistributed") and isinstance(entry, dict):
            self.inner = StoredLayer(entry, keras2=keras2, findings=findings)
        if self.stored_class == "StackedRNNCells" and self.custom is None:
            self.cells = [
                StoredLayer(each, keras2=keras2, findings=findings)
                for each in self.config.pop("cells")
            ]

    @property
    def cell(self) -> Any:
        """The cell of a recurrent layer."""
        return self.inner

    @property
    def layer(self) -> Any:
        """What TimeDistributed wraps."""
        return self.inner

    @property
    def forward_layer(self) -> StoredLayer:
        """The first half of a Bidirectional."""
        return self.halves[0]

    @property
    def backward_layer(self) -> StoredLayer:
        """The second half of a Bidirectional."""
        return self.halves[1]

    @property
    def owner_of_weights(self) -> StoredLayer:
        """The layer itself, its cell, or what it wraps."""
        return self.inner or self

    def get_config(self) -> dict[str, Any]:
        """Arguments by name."""
        return self.config

    def variables(self) -> list[tuple[str, bool]]:
        """Names of the weights in the order Keras stores them, and whether training changes them.

        Empty if no reader supports the class.
        """
        if self.halves:
            return [pair for half in self.halves for pair in half.variables()]
        if self.inner is not None and self.inner is not self:
            return [(name, own and self.trainable) for name, own in self.inner.variables()]
        kind, names = self.stored_class, []
        if self.cells:
            return [
                (f"{index}/{name}", own and self.trainable)
                for index, cell in enumerate(self.cells)
                for name, own in cell.variables()
            ]
        if self.custom is not None:
            own = OWN_LAYERS.get(self.custom) or cell_reader(self.custom)
            return [] if own is None else [(n, self.trainable) for n in own.variables(self.config)]
        if kind in (*_RECURRENT, *_CELLS):
            names = [("kernel", True), ("recurrent_kernel", True)]
        elif kind in ("Dense", "Conv1D", "DepthwiseConv1D"):
            names = [("kernel", True)]
        elif kind in ATTENTION:
            names = [(name, True) for name in _names_of_attention(kind, self.config)]
        elif kind == "PReLU":
            names = [("alpha", True)]
        elif kind == "Embedding":
            names = [("embeddings", True)]
        elif kind == "SeparableConv1D":
            names = [("depthwise_kernel", True), ("pointwise_kernel", True)]
        elif kind == "Normalization" and self.config["mean"] is None:
            names = [("mean", False), ("variance", False), ("count", False)]
        elif kind == "BatchNormalization" and not self.config.get("renorm"):
            names = [(name, own) for name, key, own in _BATCH_NORMALIZATION if self._has(key)]
        elif kind == "LayerNormalization":
            names = [(name, own) for name, key, own in _BATCH_NORMALIZATION[:2] if self._has(key)]
        kernel = bool(names) and kind not in ATTENTION and names[0][0].endswith("kernel")
        if kernel and self.config["use_bias"]:
            names.append(("bias", True))
        return [(name, own and self.trainable) for name, own in names]

    def _has(self, key: str | None) -> bool:
        return key is None or bool(self.config[key])

    def __getattr__(self, name: str) -> Any:
        """Weights and arguments are attributes, as those of Keras layers are."""
        parts = self.__dict__
        if name in parts.get("weights", {}):
            return parts["weights"][name]
        config = parts.get("config", {})
        if name not in config:
            raise AttributeError(name)
        if name in ("mean", "variance"):  # Keras keeps them as float32
            return numbers(config[name]).astype(np.float32)
        return numbers(config[name]) if name in ("scale", "offset") else config[name]


def described_layer(
    kind: str,
    name: str,
    origin: str,
    config: Mapping[str, Any] = MappingProxyType({}),
    weights: Mapping[str, FloatArray] = MappingProxyType({}),
    *,
    custom: str | None = None,
    inner: StoredLayer | None = None,
    reordered: bool = False,
) -> StoredLayer:
    """A layer that a reader of another format describes in terms of Keras.

    Args:
        kind: name of the class of Keras, or of the registered class without its package.
        name: of the layer.
        origin: how reasons name it; it holds the name in single quotes.
        config: arguments that differ from the defaults of Keras.
        weights: arrays by name, as Keras lays them out.
        custom: registered name of a class that is none of Keras, "package>name".
        inner: the cell of an RNN, or what TimeDistributed wraps.
        reordered: it reads backward, and gives its steps in the order of the readings.
    """
    module = "keras.layers" if custom is None else None
    entry = {"class_name": kind, "module": module, "registered_name": custom, "origin": origin}
    own = {"name": name, "trainable": True, "dtype": None, **config}
    made = StoredLayer(entry | {"config": own}, keras2=False, findings=Findings())
    made.inner = made.inner if inner is None else inner
    made.weights = dict(weights)
    made.reordered = reordered
    return made


def described_operation(
    kind: str, name: str, origin: str, config: Mapping[str, Any] = MappingProxyType({})
) -> StoredLayer:
    """An operation on tensors that a reader of another format describes in terms of Keras.

    Args:
        kind: name of its class in keras.ops; a constant that it takes is an argument of its call.
        name: of the operation.
        origin: how reasons name it; it holds the name in single quotes.
        config: its arguments.
    """
    entry = {"class_name": kind, "module": "keras.src.ops.numpy", "origin": origin}
    return StoredLayer(
        entry | {"config": {"name": name, **config}}, keras2=False, findings=Findings()
    )


def _halves(
    config: dict[str, Any], keras2: bool, findings: Findings
) -> tuple[StoredLayer, StoredLayer]:
    """The layers of a Bidirectional; files omit the second one where it is made of the first."""
    first = dict(config["layer"])
    second = config.get("backward_layer")
    plain = str(dict(first["config"]).get("name", "layer")).removeprefix("forward_")
    if not isinstance(second, dict):
        turned = not dict(first["config"]).get("go_backwards", False)
        own = dict(first["config"]) | {"go_backwards": turned, "name": f"backward_{plain}"}
        second = first | {"config": own}
    first["config"] = dict(first["config"]) | {"name": f"forward_{plain}"}
    made = [StoredLayer(entry, keras2=keras2, findings=findings) for entry in (first, second)]
    return made[0], made[1]


def _names_of_attention(kind: str, config: dict[str, Any]) -> list[str]:
    """Names of the weights of attention, those of the projections behind the name of each."""
    if kind == "MultiHeadAttention":
        own = ("kernel", "bias") if config["use_bias"] else ("kernel",)
        parts = ("query", "key", "value", "output")
        return [f"{part}_dense/{one}" for part in parts for one in own]
    scaled = ["scale"] if config["use_scale"] else []
    return scaled + ["concat_score_weight"] * (config["score_mode"] == "concat")


def custom_class(entry: dict[str, Any]) -> str | None:
    """How the author of a class calls it; None for a class of Keras."""
    name, module = str(entry["class_name"]), entry.get("module")
    registered = entry.get("registered_name")
    if "module" not in entry:  # HDF5: "package>name" where it was registered
        return name if ">" in name else None
    foreign = ">" in str(registered) and not str(registered).startswith("keras>")
    if isinstance(module, str) and module.split(".")[0] in ("keras", "tf_keras") and not foreign:
        return None
    return str(registered or f"{module}.{name}")


def numbers(value: Any) -> FloatArray:
    """A number or array of a configuration, as Keras writes it, in float64."""
    if isinstance(value, dict):
        value = value["config"]["value"]
    return np.asarray(value, dtype=np.float64)


def _policy_name(dtype: Any) -> str:
    """Name of a dtype policy, which Keras stores as a string or with its class."""
    if isinstance(dtype, dict):
        config = dict(dtype["config"])
        mode = config.get("mode")
        return str(f"{mode} quantization" if mode else config.get("name"))
    return "float32" if dtype is None else str(dtype)


def _activation(value: Any) -> str | dict[str, Any] | PointwiseFunction:
    """Name of an activation, or a layer that is one; "custom ..." for what is none of Keras.

    Layers of other formats have a function itself.
    """
    if value is None:
        return "linear"
    if isinstance(value, PointwiseFunction):
        return value
    if not isinstance(value, dict):
        return str(value)
    if value.get("class_name") in _FUNCTION_LAYERS and custom_class(value) is None:
        return value
    name = value["config"] if value["class_name"] == "function" else value["class_name"]
    known = value["class_name"] == "function" and str(value.get("module")).startswith("keras")
    return str(name) if known else f"custom {name}"
