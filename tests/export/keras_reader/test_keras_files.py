"""Files: what Keras 3 saves, and what Keras 2 saved."""

import builtins
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import BackendUnavailable, UnsupportedModelError
from edgernn.install import hint
from edgernn_export.float_model.float_run import run
from edgernn_export.keras_reader import read_keras
from tests.support.models.keras import answer, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
h5py = pytest.importorskip("h5py", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

KERAS2 = Path(__file__).parents[2] / "golden" / "keras2"
ANSWERS = json.loads((KERAS2 / "answers.json").read_text())


def example():
    normal = L.Normalization()
    normal.adapt(np.random.default_rng(5).normal(3.0, 4.0, (8, 6, 3)))
    cells = (L.LSTM(3, return_sequences=True), L.GRU(3, return_sequences=True), L.SimpleRNN(3))
    model = sequential(*cells, L.BatchNormalization(), L.Dense(2, activation="relu"))
    return keras.Sequential([keras.Input((None, 3)), normal, *model.layers])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.filterwarnings("ignore:.*HDF5 file")
def test_saved_and_read_again(tmp_path, suffix, kind):
    model = example()
    target = tmp_path / f"model{suffix}"
    model.save(target)
    read = read_keras(kind(target))
    assert read.sha256 == read_keras(model).sha256
    ys, _ = run(read, readings())
    np.testing.assert_allclose(ys[:, -1], answer(model, readings()), rtol=0, atol=1e-5)


def test_unpacked_keras_file(tmp_path):
    model = example()
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extractall(tmp_path / "folder")
    assert read_keras(tmp_path / "folder").sha256 == read_keras(model).sha256


def saved_model(tmp_path, name):
    with zipfile.ZipFile(KERAS2 / f"{name}_saved_model.zip") as archive:
        archive.extractall(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("name", ["stack", "hard"])
@pytest.mark.parametrize("form", ["h5", "saved_model"])
def test_keras_2(tmp_path, name, form):
    # "hard" holds hard_sigmoid, which Keras 2 defined as clip(0.2 x + 0.5, 0, 1).
    source = KERAS2 / f"{name}.h5" if form == "h5" else saved_model(tmp_path, name)
    read = read_keras(source)
    ys, _ = run(read, np.array(ANSWERS[name]["x"]))
    np.testing.assert_allclose(ys[:, -1], ANSWERS[name]["y"], rtol=0, atol=1e-5)


def test_keras_2_hard_sigmoid_is_not_that_of_keras_3():
    # The same weights under the other definition are off by far more than the tolerance above.
    with h5py.File(KERAS2 / "hard.h5", "r") as file:
        config = json.loads(file.attrs["model_config"])["config"]
        groups = file["model_weights"]
        stored = [np.array(groups["gru_1"][name]) for name in groups["gru_1"].attrs["weight_names"]]
    assert config["layers"][3]["config"]["recurrent_activation"] == "hard_sigmoid"
    read = read_keras(KERAS2 / "hard.h5")
    gru = next(layer for layer in read.layers if layer.name == "gru_1")
    np.testing.assert_allclose(gru.kernel[:8], stored[0].T[:8].astype(float) * 1.2, rtol=1e-12)
    np.testing.assert_array_equal(gru.kernel[8:], stored[0].T[8:].astype(float))


def refused(source, text):
    with pytest.raises(UnsupportedModelError, match=text) as caught:
        read_keras(source)
    return caught.value.reasons


def test_keras_2_with_the_time_axis_first(tmp_path):
    with h5py.File(KERAS2 / "stack.h5", "r") as old, h5py.File(tmp_path / "m.h5", "w") as new:
        for key in old:
            old.copy(key, new)
        for key, value in old.attrs.items():
            new.attrs[key] = value
        config = old.attrs["model_config"].replace('"time_major": false', '"time_major": true', 1)
        new.attrs["model_config"] = config
    refused(tmp_path / "m.h5", r"'lstm' \(LSTM\): expected time_major=False, got time_major=True")


def test_keras_2_in_keras_format():
    # The same model as hard.h5, in an archive that TensorFlow 2.15 wrote as well.
    assert read_keras(KERAS2 / "version2.keras").sha256 == read_keras(KERAS2 / "hard.h5").sha256


@pytest.mark.filterwarnings("ignore")
def test_saved_model_without_layers(tmp_path):
    example().export(tmp_path / "graph", verbose=0)
    reasons = refused(tmp_path / "graph", r"graph: expected a SavedModel with Keras layers, got")
    assert "model.save('model.keras')" in reasons[0]


def test_weights_without_a_model(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["keras_version"] = "2.15.0"
    text = r"m\.h5: expected a whole model, got weights without a model\. Pass the architecture"
    refused(tmp_path / "m.h5", text)


def test_saved_model_with_a_constraint_of_its_author(tmp_path):
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    source = saved_model(tmp_path, "hard")
    metadata = saved_metadata_pb2.SavedMetadata()
    metadata.ParseFromString((source / "keras_metadata.pb").read_bytes())
    own = '"kernel_constraint": {"class_name": "mine>Limit", "config": {}}'
    for node in metadata.nodes:
        node.metadata = node.metadata.replace('"kernel_constraint": null', own)
    assert own in metadata.nodes[0].metadata
    (source / "keras_metadata.pb").write_bytes(metadata.SerializeToString())
    assert read_keras(source).sha256 == read_keras(KERAS2 / "hard.h5").sha256


def test_saved_model_with_damaged_metadata(tmp_path):
    (tmp_path / "keras_metadata.pb").write_bytes(b"\xff\x00 not a message")
    reason = refused(tmp_path, r"expected a model that Keras [\d.]+ can load on its own, got one")[
        0
    ]
    assert "Error" not in reason


def test_saved_model_with_damaged_variables(tmp_path):
    source = saved_model(tmp_path, "stack")
    index = source / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:100])
    refused(source, r"saved: expected a model that Keras .* is damaged")


def test_lambda_in_a_file_is_never_run(tmp_path):
    inner = L.Lambda(lambda x: x + 1, name="plus")
    model = keras.Sequential([keras.Input((None, 3)), inner, L.GRU(2, go_backwards=True)])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        wanted = r"'plus' \(Lambda\): expected a supported layer .*, got Lambda\. "
        reasons = refused(tmp_path / name, wanted)
        assert len(reasons) == 2
        assert "got go_backwards=True" in reasons[1]


def test_nothing_at_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a Keras model, got nothing"):
        read_keras(tmp_path / "absent.keras")


@pytest.mark.parametrize("missing", ["h5py", "keras"])
def test_a_package_is_not_installed(monkeypatch, tmp_path, missing):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    source = KERAS2 / "hard.h5" if missing == "h5py" else saved_model(tmp_path, "hard")
    monkeypatch.setattr(builtins, "__import__", without)
    text = f"{missing}: expected an installed package, got none\\. Run: {re.escape(hint('export'))}"
    with pytest.raises(BackendUnavailable, match=text):
        read_keras(source)
