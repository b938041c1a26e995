"""Bits and storage of weights on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.container.memory import weight_memory
from edgernn.model.storage import Storage
from edgernn_export.keras_reader.program_sets import passes
from tests.support.models.float import float_model, stream
from tests.support.models.integer import random_model
from tests.support.models.stored import stored


def test_export_says_which_weights_become_bytes(tmp_path, capsys):
    model = stored(random_model("gru_before"), Storage.DENSE4, Storage.SPARSE8, Storage.DENSE8)
    terms = [t for la in model.layers for a in la.affines.values() for t in a.terms]
    count = sum(t.weights.size for t in terms if t.storage is not Storage.DENSE8)
    path = model.save(tmp_path / "m.edgernn")
    assert main(["export", str(path), "--to", "onnx,tflite,c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    note = f"  {count} sparse or 4-bit weights stored as one byte each"
    assert [line == note for line in lines] == [False, True, False, True, False]
    assert main(["export", str(path), "--to", "tflite,c", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {k: v["densified_weights"] for k, v in files.items()} == {"tflite": count, "c": 0}


@pytest.fixture
def quantize(tmp_path, monkeypatch):
    """Start of a command line; the float model comes from memory instead of a Keras file."""
    model = float_model("gru_after", inputs=3, units=8)
    monkeypatch.setattr(passes, "read_whole", lambda path, **labels: model)
    np.save(tmp_path / "xs.npy", stream(200, 3))
    (tmp_path / "m.keras").write_text("{}")
    return ["quantize", str(tmp_path / "m.keras"), "--calibration", str(tmp_path / "xs.npy")]


def test_quantize_with_weights_of_four_bits(quantize, tmp_path, capsys):
    out = tmp_path / "four.edgernn"
    bits = ["--precision", "w4a8", "--layer-bits", "dense_0=8"]
    assert main([*quantize, "-o", str(out), *bits]) == 0
    model = edgernn.IntegerModel.load(out)
    assert model.precision_label == "w8/w4a8"
    assert dict(model.provenance.settings)["weight_bits"] == "gru_after_0=4,dense_0=8"
    memory = weight_memory(model.layers)
    share = f"{memory.total_bytes / memory.dense_bytes:.0%}"
    assert capsys.readouterr().out.splitlines() == [
        "stream   endless stream, one output per reading",
        f"{out}  w8/w4a8  {out.stat().st_size} bytes",
        f"weights on the device: {memory.total_bytes} bytes, {share} of {memory.dense_bytes} "
        "as dense int8",
    ]


def test_quantize_with_sparse_weights(quantize, tmp_path, capsys):
    out = tmp_path / "m.edgernn"
    assert main([*quantize, "-o", str(out), "--sparse", "always", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    model = edgernn.IntegerModel.load(out)
    assert model.storages == {Storage.SPARSE8}
    memory = weight_memory(model.layers)
    # Nothing is zero: a byte more for every tile, and one for every four rows.
    assert record["dense_weights_bytes"] == memory.dense_bytes
    assert record["weights_bytes"] == memory.dense_bytes + memory.index_bytes > memory.dense_bytes
    assert main([*quantize, "-o", str(out), "--sparse", "always", "--precision", "w4a8"]) == 2
    assert "quantize: sparse: expected a layer with 8-bit weights" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["gru", "gru=", "=4", "gru=four", "gru=4,gru=8", "gru=-4", ""])
def test_layer_bits_of_another_form_are_refused(text, capsys):
    arguments = ["quantize", "m.keras", "--calibration", "x.npy", "-o", "m.edgernn"]
    assert main([*arguments, "--layer-bits", text]) == 2
    wanted = (
        "expected layers or matrices, each once, with their bits, as in gru.recurrent=4,dense=8, "
        f"got {text!r}"
    )
    assert wanted in capsys.readouterr().err
