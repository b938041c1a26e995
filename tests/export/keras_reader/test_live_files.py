"""Files that Keras itself has to load, for those who train on; and what is said meanwhile."""

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader import read_keras
from edgernn_export.keras_reader.source import open_source
from tests.support.models.stored_networks import Writer, answers, layer

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf

KERAS2 = Path(__file__).parents[2] / "golden" / "keras2"
GRU = {"recurrent_activation": "sigmoid", "reset_after": True}
LAYERS = [layer("GRU", "gru", 3, 4, 0, **GRU), layer("Dense", "dense", 4, 2, 1)]
LAYERS[1].options["activation"] = "linear"
OLD = Writer("2.4.0", (None, 8, 3))


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m"])
def test_a_live_model_of_a_file_under_any_name(name, tmp_path):
    model = keras.Sequential([keras.Input((8, 3)), keras.layers.GRU(4), keras.layers.Dense(2)])
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"plain{suffix}")
        (tmp_path / f"plain{suffix}").rename(tmp_path / name)
        xs = np.ones((2, 8, 3), np.float32)
        np.testing.assert_array_equal(open_source(tmp_path / name)(xs), model(xs))


def test_a_live_model_that_keras_3_would_compute_otherwise(tmp_path):
    gates = {"recurrent_activation": "hard_sigmoid", "reset_after": True}
    hard = [layer("GRU", "gru", 3, 4, 0, **gates), LAYERS[1]]
    xs = np.random.default_rng(0).normal(size=(8, 3))
    for writer in (OLD, Writer("2.1.4", (None, 8, 3), bare_list=True)):
        live = open_source(writer.hdf5(tmp_path / "plain.H5", LAYERS))
        ys = np.asarray(live(xs[None].astype(np.float32)))
        np.testing.assert_allclose(ys[0], answers(LAYERS, xs)[-1], rtol=0, atol=1e-5)
    with pytest.raises(UnsupportedModelError, match="whose hard_sigmoid differs"):
        open_source(OLD.hdf5(tmp_path / "hard.h5", hard))
    config = tmp_path / "net.json"
    config.write_text(json.dumps(OLD.sequential(LAYERS)))
    with pytest.raises(UnsupportedModelError, match="got only an architecture"):
        open_source(config)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_terminal_is_told_what_is_waited_for(stream, tmp_path, monkeypatch):
    with zipfile.ZipFile(KERAS2 / "hard_saved_model.zip") as archive:
        archive.extractall(tmp_path / "saved")
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.delitem(sys.modules, "keras")
    read_keras(tmp_path / "saved")
    said = "Loading Keras and TensorFlow ...\n" if stream is Terminal else ""
    assert sys.stderr.getvalue() == said


def test_objects_of_an_author_stop_keras_in_a_sentence(tmp_path):
    extra = {"kernel_constraint": {"module": "mine", "class_name": "Limit", "config": {}}}
    new = Writer("3.6.0", (None, 8, 3), input_entry=True, modules=True, extra=extra)
    path = new.archive(tmp_path / "own.keras", new.sequential(LAYERS), LAYERS)
    assert read_keras(path).outputs == 2
    text = (
        r"own\.keras: expected a model that Keras .* can load on its own, got one that is damaged"
    )
    with pytest.raises(UnsupportedModelError, match=text) as caught:
        open_source(path)
    assert "Load it in Python with custom_objects" in str(caught.value)
