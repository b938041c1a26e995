"""What a file is, is told by its content; what it is not, is said in a sentence."""

import io
import json
import zipfile

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader import read_keras
from tests.support.models.stored_networks import Layer, Writer, batch_normalization, layer

h5py = pytest.importorskip("h5py", reason="pip install 'edgernn[export]'")

GRU = {"recurrent_activation": "sigmoid", "reset_after": True}
LAYERS = [layer("GRU", "gru", 3, 4, 0, **GRU), layer("Dense", "dense", 4, 2, 1)]
LAYERS[1].options["activation"] = "linear"
OLD = Writer("2.4.0", (None, 8, 3))
NEW = Writer("3.6.0", (None, 8, 3), input_entry=True, modules=True)


def refused(source, **options):
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(source, **options)
    assert len(caught.value.reasons) == 1
    reason = caught.value.reasons[0]
    assert ": expected " in reason
    # No word of what a library raised inside.
    assert "Error" not in reason
    assert "BadZip" not in reason
    return reason


@pytest.mark.parametrize("name", ["m.h5", "m.H5", "m.hdf5", "m.model", "m", "m.keras", "m.json"])
def test_hdf5_under_any_name(name, tmp_path):
    wanted = read_keras(OLD.hdf5(tmp_path / "plain.h5", LAYERS)).sha256
    assert read_keras(OLD.hdf5(tmp_path / name, LAYERS)).sha256 == wanted


@pytest.mark.parametrize("name", ["m.keras", "m.zip", "m.h5", "m"])
def test_archives_under_any_name(name, tmp_path):
    path = NEW.archive(tmp_path / name, NEW.sequential(LAYERS), LAYERS)
    wanted = read_keras(OLD.hdf5(tmp_path / "plain.h5", LAYERS)).sha256
    assert read_keras(path).sha256 == wanted


def test_hdf5_behind_a_user_block(tmp_path):
    with h5py.File(tmp_path / "m", "w", userblock_size=512) as file:
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["model_config"] = json.dumps(OLD.sequential(LAYERS))
        OLD._groups(file.create_group("model_weights"), LAYERS)
    assert read_keras(tmp_path / "m").inputs == 3


#: Of the header of a container.
LENGTH = b"\x40\x00\x00\x00\x00\x00\x00\x00"
FOREIGN = {
    b"": "got an empty file. Save the network again.",
    b"not a model at all": "got a file that is not HDF5, a ZIP archive or JSON. Pass a .keras file",
    b"\x1c\x00\x00\x00TFL3": "got a TFLite model. Pass the network that it was converted from.",
    b"\x80\x04\x95\x00": "got a pickled Python object. Save the network itself; a pickle runs code",
    b"\x08\x07\x12\x07pytorch": "got a protocol buffer that is no ONNX model.",
    b"\x1f\x8b\x08\x00": "got a gzip file. Unpack it first.",
    b"<!DOCTYPE html>": "got a web page or XML. Download the model file instead of the web page.",
    b"version https://git-lfs.github.com/spec/v1": "got a Git LFS pointer. Fetch the file",
    LENGTH + b"{": "got a safetensors file. Pass the network",
    LENGTH + b'{"__metadata__":{"edgernn_schema': "got an .edgernn file. It is quantized already:",
    b"\x7b\x00\x00\x00\x00\x00\x00\x00{": "got a safetensors file.",
    b"PK\x03\x04 cut off": "expected a whole ZIP archive, got a damaged one.",
    b"\x89HDF\r\n\x1a\n cut off": "expected a whole HDF5 file, got a damaged one.",
    b'{"class_name": ': "expected a configuration in JSON, got damaged JSON.",
    b"{}": "expected weights next to the architecture, got none named m.weights.h5, m.h5",
}


@pytest.mark.parametrize("content", FOREIGN, ids=lambda content: repr(content[:12]))
def test_foreign_and_damaged_files(content, tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    assert FOREIGN[content] in refused(path)


def packed(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def test_archives_without_what_they_need(tmp_path):
    path = packed(tmp_path / "m.keras", readme="nothing")
    assert "got a ZIP archive without config.json." in refused(path)
    packed(path, archive__data__pkl="x")
    assert "got a PyTorch file. Save the module with torch.export.save." in refused(path)
    packed(path, saved_model__pb="x")
    assert "got a packed SavedModel. Unpack it" in refused(path)
    packed(path, config__json="{}", metadata__json="{}")
    assert "expected an archive with model.weights.h5, got one without it." in refused(path)
    packed(path, config__json="{", metadata__json="{}", model__weights__h5="")
    assert "expected a configuration in JSON, got damaged JSON." in refused(path)


def test_an_archive_that_unpacks_to_more_than_it_holds(tmp_path):
    bomb = b"\0" * (64 << 20)
    path = packed(tmp_path / "m", config__json="{}", metadata__json="{}", model__weights__h5=bomb)
    assert "with a size that fits the archive, got 67108864 bytes packed in" in refused(path)


def test_weights_of_absurd_size_are_not_read(tmp_path):
    path = OLD.hdf5(tmp_path / "m.h5", LAYERS)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/gru"]
        del group["gru/kernel:0"]
        group.create_dataset("gru/kernel:0", (10**6, 10**6), chunks=(100, 100), dtype="f4")
    assert "of shape (1000000, 1000000) in 0 bytes" in refused(path)


def test_a_configuration_of_absurd_size_is_not_built(tmp_path):
    layers = [layer("GRU", "gru", 3, 4, 0, **GRU), LAYERS[1]]
    layers[0].options["units"] = 10**9
    reason = refused(OLD.hdf5(tmp_path / "m.h5", layers))
    assert "kernel of 'gru' (GRU) with shape (any, 3000000000), got shape (3, 12)." in reason


def test_links_out_of_the_file_are_not_followed(tmp_path):
    path = OLD.hdf5(tmp_path / "m.h5", LAYERS)
    with h5py.File(path, "r+") as file:
        del file["model_weights/gru/gru/kernel:0"]
        file["model_weights/gru/gru/kernel:0"] = h5py.ExternalLink("other.h5", "/x")
    assert "got a link at 'gru/kernel:0'" in refused(path)


@pytest.mark.parametrize(
    "damage", ["class_name", "config", "layers", "deep", "list", "numbers", "brackets"]
)
def test_damaged_configurations(damage, tmp_path):
    config = OLD.sequential(LAYERS)
    if damage == "layers":
        config["config"]["layers"] = [{"config": 3}]
    elif damage == "deep":
        for _ in range(120):
            config = {"class_name": "Sequential", "config": {"name": "m", "layers": [config]}}
    elif damage == "list":
        config["config"] = [1, 2]
    elif damage == "numbers":
        config["config"]["layers"][0]["config"]["batch_input_shape"] = 5
    elif damage == "brackets":
        config = None
    else:
        del config[damage]
    with h5py.File(OLD.hdf5(tmp_path / "m.h5", LAYERS), "r+") as file:
        file.attrs.pop("model_config")
        file.attrs["model_config"] = json.dumps(config) if config else "[" * 50_000
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(tmp_path / "m.h5")
    assert all(": expected " in reason for reason in caught.value.reasons)


def places(value):
    """Every container and key inside a JSON value."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def test_configurations_with_any_one_value_exchanged(tmp_path):
    gates = {"recurrent_activation": "sigmoid", "reset_after": True}
    layers = [
        Layer("Normalization", "n", {"mean": [1.0, 2.0, 3.0], "variance": [1.0] * 3, "axis": [-1]}),
        Layer("Rescaling", "s", {"scale": 2.0, "offset": [1.0, 2.0, 3.0]}),
        layer("GRU", "gru", 3, 4, 0, **gates, return_sequences=True),
        Layer("Permute", "p", {"dims": [1, 2]}),
        batch_normalization("b", 4, 2),
        layer("LSTM", "lstm", 4, 4, 3, recurrent_activation="sigmoid"),
        Layer("Flatten", "f", {}),
        Layer("Reshape", "r", {"target_shape": [4]}),
        layer("Dense", "dense", 4, 2, 1, activation="linear"),
        Layer("ReLU", "relu", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}),
    ]
    nodes = [["readings", 0, 0]]
    start = {"batch_shape": [None, 8, 3], "dtype": "float32", "name": "readings"}
    entries = [NEW.wrapped("InputLayer", start) | {"name": "readings", "inbound_nodes": []}]
    for given in layers:
        history = {"shape": [], "dtype": "float32", "keras_history": nodes[0]}
        tensor = {"class_name": "__keras_tensor__", "config": history}
        call = [{"args": [tensor], "kwargs": {"mask": None}}]
        entries.append(NEW.entry(given) | {"name": given.name, "inbound_nodes": call})
        nodes = [[given.name, 0, 0]]
    functional = {"name": "m", "layers": entries, "output_layers": nodes[0]}
    functional["input_layers"] = [["readings", 0, 0]]
    wrong = (None, True, -1, 10**12, 0.5, "x", [], {}, ["x"], [[1]], {"class_name": "GRU"})
    path = tmp_path / "m"
    for config in (NEW.sequential(layers), NEW.wrapped("Functional", functional)):
        assert read_keras(NEW.archive(path, config, layers)).outputs == 2
        for index, (holder, key) in enumerate(list(places(config))):
            kept, holder[key] = holder[key], wrong[index % len(wrong)]
            NEW.archive(path, config, layers)
            holder[key] = kept
            try:
                read_keras(path)
            except UnsupportedModelError as error:
                assert all(": expected " in reason for reason in error.reasons)


def test_weights_that_belong_to_another_network(tmp_path):
    path = OLD.hdf5(tmp_path / "m.h5", [LAYERS[0], layer("Dense", "dense", 5, 2, 1)])
    reason = refused(path)
    assert (
        "'dense' (Dense): expected weights for the 4 features of its input, got weights for 5."
        in (reason)
    )


def test_a_file_of_keras_1(tmp_path):
    path = Writer("1.2.2", (None, 8, 3)).hdf5(tmp_path / "m.h5", LAYERS)
    assert "expected a file of Keras 2 or 3, got one of Keras 1. Load it with" in refused(path)


def test_weights_of_another_name(tmp_path):
    config = tmp_path / "net.json"
    config.write_text(json.dumps(OLD.sequential(LAYERS)))
    # Keras names layers by the order in which a process makes them: weights go by their order.
    renamed = [layer("GRU", "gru_7", 3, 4, 0, **GRU), layer("Dense", "dense_9", 4, 2, 1)]
    trained = OLD.weights(tmp_path / "trained.hdf5", renamed)
    whole = OLD.hdf5(tmp_path / "whole", LAYERS)
    assert read_keras(config, weights=trained).sha256 == read_keras(whole).sha256
    assert "none named net.weights.h5, net.h5" in refused(config)
    assert "Pass the file of the weights: --weights FILE" in refused(config)
    assert "expected weights in HDF5, got another kind" in refused(config, weights=config)
    one = OLD.weights(tmp_path / "one.h5", LAYERS[:1])
    assert "expected weights of 2 layers, got 1." in refused(config, weights=one)
    assert "expected a whole model, got weights without a model." in refused(trained)


def test_compressed_weights(tmp_path):
    path = OLD.hdf5(tmp_path / "m.h5", LAYERS)
    wanted = read_keras(path).sha256
    with h5py.File(path, "r+") as file:
        group = file["model_weights/gru"]
        values = np.array(group["gru/kernel:0"])
        del group["gru/kernel:0"]
        group.create_dataset("gru/kernel:0", data=values, compression="gzip")
    assert read_keras(path).sha256 == wanted


def test_text_that_is_no_utf_8(tmp_path):
    (tmp_path / "m.json").write_bytes(b'{"\xff": 1}')
    assert "expected JSON in UTF-8" in refused(tmp_path / "m.json")


def test_every_cut_of_a_file_is_refused(tmp_path):
    whole = NEW.archive(tmp_path / "whole", NEW.sequential(LAYERS), LAYERS).read_bytes()
    old = OLD.hdf5(tmp_path / "old", LAYERS).read_bytes()
    for content in (whole, old):
        for length in range(1, len(content) - 1, len(content) // 40):
            (tmp_path / "cut").write_bytes(content[:length])
            refused(tmp_path / "cut")


def test_flipped_bytes_are_refused_or_read(tmp_path):
    content = bytearray(OLD.hdf5(tmp_path / "old", LAYERS).read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "m").write_bytes(damaged)
        try:
            read_keras(tmp_path / "m")
        except UnsupportedModelError as error:
            assert all(": expected " in reason for reason in error.reasons)


def test_a_stream_of_bytes_is_no_source():
    assert "expected a Keras 3 model or a path, got _io.BytesIO." in refused(io.BytesIO())


def test_layers_that_nobody_knows_come_before_weights_that_do_not_fit(tmp_path):
    odd = Layer("Conv1DTranspose", "conv", {"filters": 3}, {"kernel": np.ones((1, 3, 3))})
    config = tmp_path / "net.json"
    config.write_text(json.dumps(OLD.sequential([odd, *LAYERS])))
    renamed = [
        Layer("Conv1DTranspose", "c", {}, odd.weights),
        layer("GRU", "g", 3, 4, 0, **GRU),
        LAYERS[1],
    ]
    OLD.weights(tmp_path / "net.h5", renamed)
    assert "'conv' (Conv1DTranspose): expected a supported layer " in refused(config)
