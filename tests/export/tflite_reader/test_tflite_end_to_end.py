"""A TFLite file through the whole chain: one door, commands, and one answer of all back-ends."""

import json

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.errors import UnsupportedModelError
from edgernn_export import quantize
from edgernn_export.networks import read_network
from edgernn_export.tflite_reader import read_tflite
from tests.export.tflite_reader.test_tflite_recurrences import F, lstm


def network():
    return lstm(np.random.default_rng(3), peepholes=True)


def test_tflite_is_told_by_its_content(tmp_path):
    wanted = read_tflite(network())
    (tmp_path / "m.bin").write_bytes(network())
    for source in (network(), tmp_path / "m.bin"):
        assert read_network(source).layers[0].kind == wanted.layers[0].kind == "peephole_lstm"
    names = {"input_names": ["a", "b", "c", "d"], "output_units": ["m", "m", "m"]}
    named = read_network(tmp_path / "m.bin", **names)
    assert named.input_names == ("a", "b", "c", "d")
    assert named.output_units == ("m", "m", "m")
    (tmp_path / "m.bin").write_bytes(network()[:200])
    with pytest.raises(UnsupportedModelError, match=r"m\.bin: expected offsets inside the file"):
        read_network(tmp_path / "m.bin")


def test_the_commands_take_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(network())
    np.save("x.npy", np.random.default_rng(4).normal(size=(300, F)))
    assert main(["info", "m.tflite"]) == 0
    text = capsys.readouterr().out
    assert "trained network, not quantized  m.tflite" in text
    assert "format      TFLite\n" in text
    assert main(["quantize", "m.tflite", "--calibration", "x.npy", "-o", "m.edgernn"]) == 0
    model = edgernn.IntegerModel.load("m.edgernn")
    assert model.sha256 == quantize("m.tflite", np.load("x.npy"), progress=False).sha256
    capsys.readouterr()
    arguments = ["m.edgernn", "--float", "m.tflite", "--data", "x.npy", "--json"]
    assert main(["evaluate", *arguments]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["outputs"]
    assert main(["run", "m.tflite"]) == 2
    assert "got a TFLite model of another tool ('m.tflite'). Quantize it" in capsys.readouterr().err
    # What edgernn writes is no trained network.
    assert main(["export", "m.edgernn", "--to", "tflite", "-o", "written"]) == 0
    assert main(["info", "written/m.tflite"]) == 0
    assert main(["quantize", "written/m.tflite", "--calibration", "x.npy", "-o", "n.edgernn"]) == 2
    assert "It is quantized already: pass the network it was made from" in capsys.readouterr().err
