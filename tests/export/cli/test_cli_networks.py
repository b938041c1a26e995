"""The commands on a network with two inputs and two outputs: columns are found by channel."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import stream
from tests.support.models.keras_networks import network

pytestmark = pytest.mark.tf
COLUMNS = ("b_1", "a_0", "noise", "a_2", "a_1", "b_0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
    folder = tmp_path_factory.mktemp("networks")
    network("two inputs").save(folder / "m.keras")
    xs = stream(400, 5)
    table = {f"{port}_{i}": xs[:, at] for at, (port, i) in enumerate(
        (("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1))
    )} | {"noise": xs[:, 0]}  # fmt: skip
    rows = [",".join(COLUMNS)]
    rows += [",".join(repr(float(table[name][t])) for name in COLUMNS) for t in range(len(xs))]
    (folder / "x.csv").write_text("\n".join(rows) + "\n")
    np.save(folder / "x.npy", xs)
    np.savez(folder / "ports.npz", b=xs[None, :, 3:], a=xs[None, :, :3])
    return folder


@pytest.mark.parametrize("data", ["x.csv", "ports.npz"])
def test_quantize_finds_columns_and_arrays_by_name(folder, monkeypatch, capsys, data):
    monkeypatch.chdir(folder)
    arguments = ["m.keras", "--calibration", data, "-o", "m.edgernn", "--report", "--json"]
    assert main(["quantize", *arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [t["name"] for t in said["report"]["tensors"]][-2:] == ["output[level]", "output[kind]"]
    integer = edgernn.IntegerModel.load(folder / "m.edgernn")
    xs = np.load(folder / "x.npy")
    wanted = quantize(read_keras("m.keras"), xs, name="m", progress=False)
    assert integer.sha256 == wanted.sha256
    assert [port.name for port in integer.output.ports] == ["level", "kind"]


def test_ranges_are_given_by_input(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    ranges = ["--input-range", "a=-8:8", "--input-range", "a_1=-9:9"]
    arguments = ["m.keras", "--calibration", "x.csv", *ranges, "-o", "r.edgernn", "--json"]
    assert main(["quantize", *arguments]) == 0
    capsys.readouterr()
    given = dict(edgernn.IntegerModel.load(folder / "r.edgernn").provenance.settings)["input_range"]
    assert json.loads(given) == {"a_0": [-8.0, 8.0], "a_1": [-9.0, 9.0], "a_2": [-8.0, 8.0]}


def test_sensitivity_and_magnitude_pruning(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["sensitivity", "m.keras", "--calibration", "x.csv", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["layer"] for layer in layers] == [
        layer.name for layer in read_keras("m.keras").layers
    ]
    arguments = ["m.keras", "--magnitude", "--density", "0.5", "--pattern", "unstructured"]
    assert main(["prune", *arguments, "-o", "sparse.keras"]) == 0
    gru = next(layer for layer in read_keras("sparse.keras").layers if layer.kind == "gru")
    assert 0.2 < np.mean(gru.recurrent == 0) < 0.8


def test_structured_pruning_is_refused(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["prune", "m.keras", "--units", "50%", "-o", "smaller.keras"]) != 0
    assert "expected one input and one output, got 2 and 2" in capsys.readouterr().err


def test_verify_and_evaluate(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    quantize(read_keras("m.keras"), np.load("x.npy"), name="m", progress=False).save("v.edgernn")
    assert main(["evaluate", "v.edgernn", "--float", "m.keras", "--data", "x.csv", "--json"]) == 0
    departures = json.loads(capsys.readouterr().out)["departures"]
    assert [d["output"] for d in departures] == [
        "level_0", "level_1", "kind_0", "kind_1", "kind_2"
    ]  # fmt: skip
    assert max(d["relative"] for d in departures) < 0.2
