"""Files in the styles of others: read without Keras, exactly, and quantized within 5 %."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn_export import quantize
from edgernn_export.float_model.float_run import run
from edgernn_export.keras_reader import read_keras
from tests.support.models.stored_networks import Layer, Writer, answers, batch_normalization, layer

pytest.importorskip("h5py", reason="pip install 'edgernn[export]'")

CUSTOM = {
    "module": "mine.training",
    "class_name": "Limit",
    "config": {"limit": 0.5},
    "registered_name": "mine>Limit",
}


def keras_2_1_bare_list(folder: Path):
    # Keras 2.1.4: the configuration is a list, GRU knows no reset_after, gates are hard_sigmoid.
    layers = [
        layer("GRU", "gru_1", 3, 8, 0, recurrent_activation="hard_sigmoid", return_sequences=True),
        layer("GRU", "gru_2", 8, 6, 1, recurrent_activation="hard_sigmoid"),
        layer("Dense", "dense_1", 6, 2, 2, activation="linear"),
    ]
    writer = Writer("2.1.4", (None, 12, 3), bare_list=True)
    return writer.hdf5(folder / "old.h5", layers), layers, "hard", 12


def keras_2_2_lstm(folder: Path):
    layers = [
        layer("LSTM", "lstm_1", 3, 8, 3, recurrent_activation="hard_sigmoid"),
        Layer("Dropout", "dropout_1", {"rate": 0.2, "noise_shape": None, "seed": None}),
        layer("Dense", "dense_1", 8, 1, 4, activation="linear"),
    ]
    return Writer("2.2.4", (None, 20, 3)).hdf5(folder / "old.HDF5", layers), layers, "hard", 20


def tensorflow_1_simple_rnn(folder: Path):
    # TensorFlow 1.15 names its batch normalization V1.
    rnn = layer("SimpleRNN", "simple_rnn", 3, 10, 5, return_sequences=True)
    normal = batch_normalization("batch_normalization", 10, 6)
    layers = [rnn, normal, layer("Dense", "dense", 10, 2, 7, activation="linear")]
    normal.kind = "BatchNormalizationV1"
    path = Writer("2.2.4-tf", (None, None, 3)).hdf5(folder / "weather.model", layers)
    normal.kind = "BatchNormalization"
    return path, layers, "sigmoid", None


def tensorflow_2_0_gru(folder: Path):
    sigmoid = {"recurrent_activation": "sigmoid", "reset_after": True, "time_major": False}
    layers = [
        layer("GRU", "gru", 3, 8, 8, **sigmoid, return_sequences=True),
        layer("GRU", "gru_1", 8, 8, 9, **sigmoid, return_sequences=True),
        layer("Dense", "dense", 8, 4, 10, activation="relu"),
        layer("Dense", "dense_1", 4, 1, 11, activation="linear"),
    ]
    writer = Writer("2.2.4-tf", (None, 30, 3))
    return writer.hdf5(folder / "GRU.H5", layers), layers, "sigmoid", None


def tensorflow_2_2_stateful(folder: Path):
    sigmoid = {"recurrent_activation": "sigmoid", "time_major": False, "stateful": True}
    layers = [
        layer("LSTM", "lstm", 3, 8, 12, **sigmoid),
        batch_normalization("batch_normalization", 8, 34),
        layer("Dense", "dense", 8, 3, 13, activation="linear"),
    ]
    layers[1].options["axis"] = [1]  # Keras 2 counts it from the batch
    writer = Writer("2.3.0-tf", (1, 1, 3))
    return writer.hdf5(folder / "stateful", layers), layers, "sigmoid", None


def tensorflow_2_11_named_keras(folder: Path):
    # Until TensorFlow 2.11 model.save("model.keras") wrote HDF5.
    gates = {"recurrent_activation": "sigmoid", "reset_after": False, "use_bias": False}
    layers = [
        layer("GRU", "gru", 3, 9, 14, **gates),
        layer("Dense", "dense", 9, 2, 15, activation="linear"),
    ]
    writer = Writer("2.11.0", (None, 15, 3), input_entry=True)
    return writer.hdf5(folder / "model.keras", layers), layers, "sigmoid", 15


def tensorflow_2_13_archive(folder: Path):
    gates = {"recurrent_activation": "hard_sigmoid", "reset_after": True}
    layers = [
        layer("GRU", "gru", 3, 6, 16, **gates, return_sequences=True),
        layer("GRU", "gru_1", 6, 6, 17, **gates, return_sequences=True),
        layer("GRU", "gru_2", 6, 5, 18, **gates, return_sequences=True),
        layer("Dense", "dense", 5, 4, 19, activation="relu"),
        layer("Dense", "dense_1", 4, 2, 20, activation="linear"),
    ]
    writer = Writer("2.13.1", (None, None, 3), input_entry=True, modules=True)
    config, name = writer.sequential(layers), "_layer_checkpoint_dependencies"
    return writer.archive(folder / "m.keras", config, layers, name), layers, "hard", None


def tensorflow_2_15_functional(folder: Path):
    layers = [
        layer("LSTM", "encoder", 3, 8, 21, recurrent_activation="sigmoid", return_sequences=True),
        layer("LSTM", "decoder", 8, 6, 22, recurrent_activation="sigmoid"),
        layer("Dense", "head", 6, 2, 23, activation="linear"),
    ]
    writer = Writer("2.15.0", (None, 24, 3), modules=True, extra={"time_major": False})
    start = {"batch_input_shape": [None, 24, 3], "dtype": "float32", "name": "readings"}
    entries = [writer.wrapped("InputLayer", start) | {"name": "readings", "inbound_nodes": []}]
    before = "readings"
    for given in layers:
        nodes = [[[before, 0, 0, {}]]]
        entries.append(writer.entry(given) | {"name": given.name, "inbound_nodes": nodes})
        before = given.name
    config = {"name": "forecast", "layers": entries, "trainable": True,
              "input_layers": [["readings", 0, 0]], "output_layers": [["head", 0, 0]]}  # fmt: skip
    entry = {"module": "keras.src.engine.functional", "class_name": "Functional",
             "config": config, "registered_name": "Functional"}  # fmt: skip
    return writer.archive(folder / "m.zip", entry, layers), layers, "sigmoid", 24


def architecture_and_old_weights(folder: Path):
    layers = [
        layer("LSTM", "lstm_4", 3, 8, 24, recurrent_activation="hard_sigmoid", use_bias=False),
        layer("Dense", "dense_9", 8, 2, 25, activation="linear"),
    ]
    writer = Writer("2.2.4", (None, 10, 3))
    config = writer.sequential(layers) | {"keras_version": "2.2.4", "backend": "tensorflow"}
    (folder / "model.json").write_text(json.dumps(config))
    writer.weights(folder / "model.h5", layers)
    return folder / "model.json", layers, "hard", 10


def architecture_and_weights_of_keras_3(folder: Path):
    import h5py

    gates = {"recurrent_activation": "sigmoid", "reset_after": True}
    layers = [
        layer("GRU", "gru", 3, 8, 26, **gates),
        layer("Dense", "dense", 8, 2, 27, activation="linear"),
    ]
    writer = Writer("3.6.0", (None, 10, 3), input_entry=True, modules=True)
    # json.dump(model.to_json(), file) leaves JSON within JSON.
    (folder / "net.json").write_text(json.dumps(json.dumps(writer.sequential(layers))))
    with h5py.File(folder / "net.weights.h5", "w") as file:
        writer.paths(file.create_group("layers"), layers, twice=False)
    return folder / "net.json", layers, "sigmoid", 10


def keras_3_with_objects_of_its_author(folder: Path):
    extra = {f"kernel_{what}": CUSTOM for what in ("constraint", "regularizer", "initializer")}
    extra |= {"activity_regularizer": CUSTOM}
    gates = {"recurrent_activation": "sigmoid", "reset_after": True}
    layers = [
        layer("GRU", "gru", 3, 8, 28, **gates, return_sequences=True),
        layer("Dense", "dense", 8, 2, 29, activation="linear"),
    ]
    writer = Writer("3.6.0", (None, None, 3), input_entry=True, modules=True, extra=extra)
    training = {"optimizer": CUSTOM, "loss": CUSTOM, "metrics": [CUSTOM]}
    config = writer.sequential(layers) | {"compile_config": training}
    return writer.archive(folder / "own.keras", config, layers), layers, "sigmoid", None


def hdf5_with_objects_of_its_author(folder: Path):
    extra = {"kernel_constraint": {"class_name": "mine>Limit", "config": {}}}
    extra |= {"kernel_regularizer": {"class_name": "Strange", "config": {}}}
    layers = [
        layer("LSTM", "lstm", 3, 8, 30, recurrent_activation="sigmoid"),
        layer("Dense", "dense", 8, 2, 31, activation="linear"),
    ]
    writer = Writer("2.9.0", (None, 16, 3), input_entry=True, extra=extra)
    training = {"loss": "own_loss", "metrics": ["own"], "optimizer_config": {"class_name": "Own"}}
    return writer.hdf5(folder / "own.h5", layers, training), layers, "sigmoid", 16


def keras_2_with_shapes_changed(folder: Path):
    layers = [
        Layer("Reshape", "reshape", {"target_shape": [1, 3]}),
        layer("GRU", "gru", 3, 8, 32, recurrent_activation="sigmoid", reset_after=True,
              return_sequences=True),
        Layer("Permute", "permute", {"dims": [1, 2]}),
        Layer("Flatten", "flatten", {"data_format": "channels_last"}),
        layer("Dense", "dense", 8, 2, 33, activation="linear"),
    ]  # fmt: skip
    return Writer("2.4.0", (None, 3)).hdf5(folder / "flat.h5", layers), layers, "sigmoid", 1


def tensorflow_1_cudnn(folder: Path):
    # cuDNN keeps each gate transposed, and a bias for each of the two products.
    gates = {"recurrent_activation": "sigmoid", "return_sequences": True}
    layers = [
        layer("LSTM", "cu_dnnlstm", 3, 8, 35, **gates),
        layer("GRU", "cu_dnngru", 8, 5, 36, **gates, reset_after=True),
        layer("Dense", "dense", 5, 2, 37, activation="linear"),
    ]
    stored = copy.deepcopy(layers)
    for given, count in zip(stored, (4, 3), strict=False):
        gates = np.hsplit(given.weights["kernel"], count)
        given.weights["kernel"] = np.hstack([gate.T.reshape(gate.shape) for gate in gates])
        gates = np.hsplit(given.weights["recurrent_kernel"], count)
        given.weights["recurrent_kernel"] = np.hstack([gate.T for gate in gates])
        kept = ("units", "return_sequences")
        given.options = {key: given.options[key] for key in kept}
        given.kind = f"CuDNN{given.kind}"
    stored[0].weights["bias"] = np.concatenate([layers[0].weights["bias"], np.zeros(32)])
    stored[1].weights["bias"] = layers[1].weights["bias"].ravel()
    return Writer("2.2.4-tf", (None, 9, 3)).hdf5(folder / "gpu.h5", stored), layers, "sigmoid", None


STYLES = [
    tensorflow_1_cudnn,
    keras_2_1_bare_list,
    keras_2_2_lstm,
    tensorflow_1_simple_rnn,
    tensorflow_2_0_gru,
    tensorflow_2_2_stateful,
    tensorflow_2_11_named_keras,
    tensorflow_2_13_archive,
    tensorflow_2_15_functional,
    architecture_and_old_weights,
    architecture_and_weights_of_keras_3,
    keras_3_with_objects_of_its_author,
    hdf5_with_objects_of_its_author,
    keras_2_with_shapes_changed,
]


def stream(steps: int, seed: int) -> np.ndarray:
    """Slow waves with noise, as sensors give them."""
    t = np.arange(steps)[:, None] / np.array([7.0, 19.0, 45.0])
    return np.sin(t) + np.random.default_rng(seed).normal(0.0, 0.3, (steps, 3))


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_read_exactly(style, tmp_path):
    path, layers, gates, steps = style(tmp_path)
    read = read_keras(path)
    xs = stream(40, 1)
    ys, _ = run(read, xs[None])
    wanted = answers(layers, xs, gates)
    assert wanted.std() > 0.01
    np.testing.assert_allclose(ys[0], wanted, rtol=0, atol=1e-6)
    assert (read.window.steps if read.window else None) == steps


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_quantized_within_five_percent(style, tmp_path):
    path, layers, gates, steps = style(tmp_path)
    model = quantize(path, stream(600, 2), progress=False)
    xs = stream(200, 3)
    with edgernn.load(model.save(tmp_path / "m.edgernn"), backend="reference") as session:
        ys = np.array(session.run(xs))
    if steps is None:
        wanted = answers(layers, xs, gates)
    else:
        windows = [xs[end - steps : end] for end in range(steps, len(xs) + 1)]
        wanted = np.array([answers(layers, window, gates)[-1] for window in windows])
        ys = ys[-len(wanted) :]
    assert np.sqrt(np.mean((ys - wanted) ** 2)) < 0.05 * wanted.std()


def test_reading_imports_no_keras(tmp_path):
    paths = [str(style(tmp_path)[0]) for style in STYLES[:8]]
    code = (
        "import sys; from edgernn_export.keras_reader import read_keras\n"
        "for path in sys.argv[1:]: read_keras(path)\n"
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow')))"
    )
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
