"""`edgernn inspect`: gates, memory and gradients from the command line."""

import json

import numpy as np
import pytest

from edgernn.cli import main
from tests.support.models.integer import random_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random_model("lstm", inputs=2, outputs=1).save("m.edgernn")
    rows = np.random.default_rng(0).normal(size=(60, 2))
    lines = ["x0,x1", *(",".join(f"{value:.6f}" for value in row) for row in rows)]
    (tmp_path / "readings.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def network(folder):
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.Input((None, 2)), keras.layers.GRU(4, name="gru"), keras.layers.Dense(1)]
    made = keras.Sequential(layers)
    made.save("m.keras")
    return made


def test_gates_of_an_integer_model(folder, capsys):
    assert main(["inspect", "m.edgernn", "--gates", "readings.csv", "-o", "g.png"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "lstm-tame, integer, 60 steps"
    assert [line.split()[0] for line in said[3:]] == [f"lstm_0.{k}" for k in "ifogch"[:4]] + [
        "lstm_0.h", "lstm_0.c"
    ]  # fmt: skip
    assert (folder / "g.png").read_bytes().startswith(b"\x89PNG")
    assert main(["inspect", "m.edgernn", "--gates", "readings.csv", "--json", "-o", "g.npz"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 60
    with np.load(folder / "g.npz") as values:
        assert values["lstm_0.c"].shape == (60, 8)


def test_memory_of_an_integer_model(folder, capsys):
    assert main(["inspect", "m.edgernn", "--memory", "--steps", "20", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["longest_steps"] == 20
    command = ["inspect", "m.edgernn", "--memory", "--steps", "20", "--data", "readings.csv"]
    assert main(command) == 0
    assert "beyond 20" in capsys.readouterr().out


@pytest.mark.tf
def test_a_keras_model(network, folder, capsys):
    np.save("readings.npy", np.random.default_rng(0).normal(size=(60, 2)))
    assert main(["inspect", "m.keras", "--gates", "readings.npy"]) == 0
    assert "float, 60 steps" in capsys.readouterr().out
    assert main(["inspect", "m.keras", "--memory", "--steps", "15", "-o", "m.png"]) == 0
    assert "gru.h" in capsys.readouterr().out
    command = ["inspect", "m.keras", "--gradients", "--steps", "12", "--data", "readings.npy"]
    assert main([*command, "--compare", "-o", "g.png"]) == 0
    assert "untrained LSTM" in capsys.readouterr().out
    assert (folder / "m.png").exists() and (folder / "g.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gradients"], "--gradients: expected a Keras model, got 'm.edgernn'"),
        (["--memory", "--compare"], "--compare: expected it together with --gradients"),
        (["--memory", "-o", "m.npz"], "--output: expected a name ending in .png, got 'm.npz'"),
        (["--memory", "--weights", "several.npy"], "--weights: expected a JSON architecture with"),
        (["--memory", "--steps", "0"], "--steps: expected 1 or more, got 0"),
        (["--gates", "readings.csv", "--steps", "3"], "--gates: expected no --data and no"),
        (["--gates", "several.npy"], "several.npy: expected one recording, got 2"),
    ],
)
def test_wrong_arguments_are_said(folder, capsys, arguments, said):
    np.save("several.npy", np.zeros((2, 5, 2)))
    assert main(["inspect", "m.edgernn", *arguments]) == 2
    assert said in capsys.readouterr().err
