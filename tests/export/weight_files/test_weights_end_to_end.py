"""From a file of weights to integers, by the function and by the commands, without a framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.errors import EdgeRnnError, LayoutWarning, UnsupportedModelError
from edgernn_export import quantize, torch_layout
from edgernn_export.evaluation.evaluator import evaluate
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.networks import read_network
from edgernn_export.weight_files.weights_reader import read_weights
from tests.support.models.float import stream

safetensors = pytest.importorskip("safetensors.numpy")

UNITS = 4
LAYOUT = torch_layout([{"GRU": "rnn"}, {"Linear": "head"}])


def weights(both=False):
    rng = np.random.default_rng(1)
    ends = ("", "_reverse") if both else ("",)
    shapes = {
        f"rnn.{name}_l0{end}": shape
        for end in ends
        for name, shape in {
            "weight_ih": (3 * UNITS, 2), "weight_hh": (3 * UNITS, UNITS),
            "bias_ih": (3 * UNITS,), "bias_hh": (3 * UNITS,),
        }.items()
    } | {"head.weight": (1, UNITS * len(ends)), "head.bias": (1,)}  # fmt: skip
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    safetensors.save_file(weights(), folder / "w.safetensors")
    np.savez(folder / "w.npz", **weights())
    (folder / "layout.toml").write_text(str(LAYOUT))
    np.save(folder / "x.npy", stream(600, 2))
    return folder


def test_the_command_does_what_the_function_does(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    named = ["--layout", "layout.toml", "--input-names", "a,b"]
    arguments = ["w.safetensors", *named, "--calibration", "x.npy", "-o", "w.edgernn", "--json"]
    assert main(["quantize", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []
    model = edgernn.IntegerModel.load(folder / "w.edgernn")
    xs = np.load("x.npy")
    names = {"input_names": ["a", "b"], "progress": False}
    for source in ("w.safetensors", "w.npz", weights()):
        for layout in (LAYOUT, "layout.toml"):
            found = quantize(source, xs, layout=layout, name="w", **names)
            assert found.sha256 == model.sha256
    assert model.input.names == ("a", "b")


def test_evaluation_against_the_weights(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    xs = np.load("x.npy")
    model = quantize("w.safetensors", xs, layout=LAYOUT, progress=False)
    model.save("e.edgernn")
    float_model = read_weights("w.safetensors", LAYOUT)
    wanted = evaluate(model, xs, float_model=float_model).to_json()
    found = evaluate(model, xs, float_model="w.safetensors", layout="layout.toml").to_json()
    assert found == wanted
    arguments = ["e.edgernn", "--float", "w.safetensors", "--layout", "layout.toml"]
    assert main(["evaluate", *arguments, "--data", "x.npy"]) in (0, 1)
    assert "--layout" not in capsys.readouterr().err


def test_without_a_layout_the_command_says_what_it_read(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    arguments = ["w.safetensors", "--calibration", "x.npy", "-o", "g.edgernn", "--json"]
    with pytest.warns(LayoutWarning):
        quantize("w.safetensors", np.load("x.npy"), progress=False)
    assert main(["quantize", *arguments]) == 0
    (said,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "The tensors are read as GRU 'rnn', Linear 'head'" in said
    safetensors.save_file(weights() | {"z.weight": np.ones((1, 1), np.float32)}, folder / "z")
    assert main(["quantize", "z", "--calibration", "x.npy", "-o", "z.edgernn"]) == 2
    assert "expected a layout, which says what the tensors are" in capsys.readouterr().err


def test_both_directions_are_a_set_of_programs(folder):
    source = weights(both=True)
    assert isinstance(read_network(source, layout=LAYOUT), FloatChunks)
    xs = stream(200, 2).reshape(5, 40, 2)
    programs = quantize(source, xs, layout=LAYOUT, progress=False)
    assert len(programs.programs) == 2


def test_a_layout_is_refused_where_it_says_nothing(folder):
    with pytest.raises(EdgeRnnError, match="layout: expected it with another format"):
        quantize(read_weights(weights(), LAYOUT), stream(50, 2), layout=LAYOUT)


@pytest.mark.parametrize("command", ["gates", "gradients"])
def test_inspect_refuses_a_layout_it_does_not_use(folder, monkeypatch, capsys, command):
    monkeypatch.chdir(folder)
    if command == "gates":
        quantize("w.npz", stream(100, 2), layout=LAYOUT, progress=False).save("i.edgernn")
        arguments = ["i.edgernn", "--memory", "--layout", "layout.toml"]
    else:
        arguments = ["w.npz", "--gradients", "--data", "x.npy", "--layout", "layout.toml"]
    assert main(["inspect", *arguments]) == 2
    assert "--layout: expected" in capsys.readouterr().err


def test_a_whole_module_is_no_network_to_the_front_door(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.LSTM(2, 2), tmp_path / "m.pt")
    with pytest.raises(UnsupportedModelError, match=r"a whole module: torch\.nn\.modules\.rnn"):
        read_network(tmp_path / "m.pt", layout=LAYOUT)


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "safetensors", "keras", "tensorflow", "jax", "flax"}:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
from edgernn_export import quantize, read_layout

for path in ("w.safetensors", "w.npz", "w.pt"):
    model = quantize(path, np.load("x.npy"), layout=read_layout("layout.toml"), progress=False)
    print(model.sha256)
"""


def test_no_framework_is_imported(folder):
    torch = pytest.importorskip("torch")
    torch.save({k: torch.tensor(v) for k, v in weights().items()}, folder / "w.pt")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 1
