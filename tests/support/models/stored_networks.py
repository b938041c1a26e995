"""Networks as tables of weights: what they answer, in NumPy alone, and files like those of others.

`answers` is the textbook; `Writer` writes configurations and weights as the versions of Keras did,
byte by byte, without Keras.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray

GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3, "Dense": 1}


@dataclass
class Layer:
    """A layer with its options as Keras calls them, and its weights in the order Keras keeps."""

    kind: str
    name: str
    options: dict[str, Any]
    weights: dict[str, FloatArray] = field(default_factory=dict)


def layer(kind: str, name: str, inputs: int, units: int, seed: int, **options: Any) -> Layer:
    """A layer with random weights that float32 holds exactly; biases count too."""
    rng = np.random.default_rng(seed)
    made = Layer(kind, name, {"units": units, "use_bias": True} | options)

    def random(*shape: int, scale: float) -> FloatArray:
        return rng.normal(0.0, scale, shape).astype(np.float32).astype(np.float64)

    columns = GATES[kind] * units
    made.weights["kernel"] = random(inputs, columns, scale=inputs**-0.5)
    if kind != "Dense":
        made.weights["recurrent_kernel"] = random(units, columns, scale=0.7 * units**-0.5)
    if made.options["use_bias"]:
        rows = (2,) if options.get("reset_after") else ()
        made.weights["bias"] = random(*rows, columns, scale=0.2)
    return made


def batch_normalization(name: str, width: int, seed: int) -> Layer:
    """Statistics and factors that all count."""
    rng = np.random.default_rng(seed)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    made = Layer("BatchNormalization", name, {"axis": -1, "epsilon": 0.001})
    for key in names:
        made.weights[key] = rng.uniform(0.5, 1.5, width).astype(np.float32).astype(np.float64)
    return made


def answers(layers: list[Layer], xs: FloatArray, gates: str = "sigmoid") -> FloatArray:
    """What a network answers at every step [T, O] of a stream [T, I] from the zero state."""
    for entry in layers:
        if entry.kind == "BatchNormalization":
            w = entry.weights
            deviation = np.sqrt(w["moving_variance"] + entry.options["epsilon"])
            xs = (xs - w["moving_mean"]) / deviation * w["gamma"] + w["beta"]
        elif entry.kind == "Dense":
            xs = xs @ entry.weights["kernel"] + entry.weights.get("bias", 0.0)
            xs = np.maximum(xs, 0.0) if entry.options.get("activation") == "relu" else xs
        elif entry.kind in GATES:
            xs = _recurrent(entry, xs, _sigmoid if gates == "sigmoid" else _hard_sigmoid_of_keras_2)
    return xs


def _sigmoid(z: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-z))


def _hard_sigmoid_of_keras_2(z: FloatArray) -> FloatArray:
    return np.clip(0.2 * z + 0.5, 0.0, 1.0)


def _recurrent(entry: Layer, xs: FloatArray, gate: Any) -> FloatArray:
    units = entry.options["units"]
    kernel, recurrent = entry.weights["kernel"], entry.weights["recurrent_kernel"]
    bias = entry.weights.get("bias", np.zeros(kernel.shape[1]))
    h, c = np.zeros(units), np.zeros(units)
    ys = []
    for x in xs:
        if entry.kind == "SimpleRNN":
            h = np.tanh(x @ kernel + h @ recurrent + bias)
        elif entry.kind == "LSTM":
            i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
            c = gate(f) * c + gate(i) * np.tanh(g)
            h = gate(o) * np.tanh(c)
        elif entry.options.get("reset_after"):
            a, b = x @ kernel + bias[0], h @ recurrent + bias[1]
            z, r, n = (slice(k * units, (k + 1) * units) for k in range(3))
            update, reset = gate(a[z] + b[z]), gate(a[r] + b[r])
            h = update * h + (1.0 - update) * np.tanh(a[n] + reset * b[n])
        else:
            az, ar, an = np.split(x @ kernel + bias, 3)
            rz, rr, rn = np.split(recurrent, 3, axis=1)
            update, reset = gate(az + h @ rz), gate(ar + h @ rr)
            h = update * h + (1.0 - update) * np.tanh(an + (reset * h) @ rn)
        ys.append(h)
    return np.array(ys)


@dataclass
class Writer:
    """Writes a network as a version of Keras did.

    Attributes:
        version: what the file says, such as "2.1.4", "2.2.4-tf" or "3.6.0".
        shape: of the input, with the batch.
        input_entry: whether the list of layers begins with an InputLayer.
        bare_list: whether a Sequential configuration is the list itself.
        modules: whether entries name their module, as from Keras 2.12 on.
        extra: what every configuration of a layer holds beside.
    """

    version: str
    shape: tuple[int | None, ...]
    input_entry: bool = False
    bare_list: bool = False
    modules: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def keras3(self) -> bool:
        return self.version.startswith("3")

    def entry(self, given: Layer) -> dict[str, Any]:
        """One entry of a list of layers."""
        config = {"name": given.name, "trainable": True} | given.options
        if given.kind in ("GRU", "LSTM", "SimpleRNN"):
            no = ("return_sequences", "return_state", "stateful", "go_backwards", "unroll")
            config = dict.fromkeys(no, False) | {"activation": "tanh", "dropout": 0.0} | config
        if given.weights and given.kind != "BatchNormalization":
            config |= {
                "kernel_initializer": {
                    "class_name": "VarianceScaling",
                    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"},
                },
                "kernel_regularizer": None,
                "kernel_constraint": None,
            }
        return self.wrapped(given.kind, config | self.extra)

    def wrapped(self, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        """A class with its configuration."""
        entry = {"class_name": kind, "config": config}
        if self.modules:
            entry |= {"module": "keras.layers", "registered_name": None}
        return entry

    def sequential(self, layers: list[Layer]) -> dict[str, Any]:
        """The configuration of a Sequential model."""
        entries = [self.entry(given) for given in layers]
        if self.input_entry:
            key = "batch_shape" if self.keras3 else "batch_input_shape"
            config = {key: self.shape, "dtype": "float32", "sparse": False, "name": "input_1"}
            entries.insert(0, self.wrapped("InputLayer", config))
        else:
            entries[0]["config"] |= {"batch_input_shape": self.shape, "dtype": "float32"}
        config = entries if self.bare_list else {"name": "sequential_1", "layers": entries}
        return self.wrapped("Sequential", config)

    def hdf5(self, path: Path, layers: list[Layer], training: Any = None) -> Path:
        """A whole-model HDF5 file."""
        import h5py

        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = self.version.encode()
            file.attrs["backend"] = b"tensorflow"
            file.attrs["model_config"] = json.dumps(self.sequential(layers)).encode()
            if training is not None:
                file.attrs["training_config"] = json.dumps(training).encode()
            self._groups(file.create_group("model_weights"), layers)
        return path

    def weights(self, path: Path, layers: list[Layer]) -> Path:
        """An HDF5 file of weights alone."""
        import h5py

        with h5py.File(path, "w") as file:
            self._groups(file, layers)
        return path

    def _groups(self, group: Any, layers: list[Layer]) -> None:
        group.attrs["layer_names"] = [given.name.encode() for given in layers]
        group.attrs["keras_version"] = self.version.encode()
        for given in layers:
            part = group.create_group(given.name)
            names = [f"{given.name}/{name}:0" for name in given.weights]
            part.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, given.weights.values(), strict=True):
                part.create_dataset(name, data=values.astype(np.float32))

    def archive(
        self, path: Path, config: dict[str, Any], layers: list[Layer], container: str = "layers"
    ) -> Path:
        """A .keras archive; TensorFlow 2.12 to 2.14 kept _layer_checkpoint_dependencies."""
        import h5py

        packed = io.BytesIO()
        with h5py.File(packed, "w") as file:
            self.paths(file.create_group(container), layers, container != "layers")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": self.version}))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", packed.getvalue())
        return path

    def paths(self, group: Any, layers: list[Layer], twice: bool) -> None:
        """Weights by class; ``twice`` counts a layer with weights twice, as TensorFlow 2.12 did."""
        names = {"SimpleRNN": "simple_rnn", "BatchNormalization": "batch_normalization"}
        count: dict[str, int] = {}
        for given in layers:
            base = names.get(given.kind, given.kind.lower())
            number = count.get(base, 0)
            count[base] = number + (2 if twice and given.weights else 1)
            cell = "/cell" if given.kind in ("GRU", "LSTM", "SimpleRNN") else ""
            place = f"{base}_{number}{cell}/vars" if number else f"{base}{cell}/vars"
            part = group.create_group(place)
            for index, values in enumerate(given.weights.values()):
                part.create_dataset(str(index), data=values.astype(np.float32))
