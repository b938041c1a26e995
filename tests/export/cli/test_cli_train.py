"""`edgernn train`: recipes on small files of the real formats, a user's recipe, refusals."""

from __future__ import annotations

import json
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn import load
from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.training import evaluate, find_recipe, recipe_names
from tests.support.training.data_files import (
    write_hours,
    write_people,
    write_praise,
    write_recordings,
)

WRITE = {
    "etth1": lambda folder: write_hours(folder),
    "fsdd": lambda folder: write_recordings(folder, speakers=("ada",)),
    "hapt": lambda folder: write_people(folder),
    "hapt_binary": lambda folder: write_people(folder),
}
USERS = """
from tests.support.training.training_runs import classifier
RECIPE = classifier(epochs=6)
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("EDGERNN_DATA", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def said(capsys: Any, *arguments: str) -> dict[str, Any]:
    assert main(["train", *arguments, "--json"]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


@pytest.mark.tf
@pytest.mark.parametrize("name", WRITE)
def test_every_recipe_runs_on_files_of_its_format(name: str, data: Path, capsys: Any) -> None:
    WRITE[name](data)
    record = said(capsys, name, "--epochs", "1", "--units", "5", "--cell", "SimpleRNN")
    recipe, metric = find_recipe(name), record["metric"]
    assert record["recipe"] == name
    assert record["training"]["network"] == {"cell": "SimpleRNN", "units": 5, "layers": 1}
    assert record["pruning"] is record["qat"] is None
    model = IntegerModel.load(Path("build") / name / f"{name}.edgernn")
    assert model.name == name
    assert dict(model.provenance.seeds) == {"training": 0}
    assert record["scores"]["w8a8"]["test"] == evaluate(model, recipe)
    keras_file = Path(record["files"]["keras"]["path"])
    again = evaluate(keras_file, recipe, part="validation")
    assert record["scores"]["float"]["validation"] == pytest.approx(again)
    assert record["training"]["validation"] == pytest.approx(again[metric])
    assert record["files"]["keras"]["bytes"] == keras_file.stat().st_size


@pytest.mark.tf
def test_a_users_recipe_pruned_exported_and_streamed(data: Path, capsys: Any) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    options = ("--density", "0.5", "--pattern", "unstructured", "--to", "c,tflite", "--seed", "2")
    record = said(capsys, "mine.py", *options, "--out", "made here")
    assert record["data"] == {
        "name": "made up", "protocol": "made up", "home": "made up", "licence": "none",
        "citation": "nobody",
    }  # fmt: skip
    reached = {matrix: row["all"] for matrix, row in record["pruning"]["reached"].items()}
    # Half of both together; the smaller one is the denser one.
    assert reached == pytest.approx({"gru_1/kernel": 10 / 12, "gru_1/recurrent_kernel": 14 / 36})
    assert sorted(path.name for path in Path("made here").iterdir()) == [
        "ramps.edgernn", "ramps.keras", "ramps.tflite", "ramps_c",
    ]  # fmt: skip
    files = [path for path in Path("made here/ramps_c").rglob("*") if path.is_file()]
    sizes = [path.stat().st_size for path in files]
    assert record["files"]["c"]["bytes"] == sum(sizes)
    test = find_recipe("mine.py").load().test
    with load("made here/ramps.edgernn") as stream:
        chosen = []
        for readings in test.x:
            stream.reset()
            chosen.append(int(np.argmax(stream.run(readings)[-1])))
    share = np.mean(np.array(chosen) == test.target[:, -1, 0])
    assert record["scores"]["w8a8"]["test"]["accuracy"] == share
    assert share >= 0.8


@pytest.fixture
def without_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA would compile for longer than these networks train."""
    import keras

    monkeypatch.setattr(
        keras.Model, "compile", partialmethod(keras.Model.compile, jit_compile=False)
    )


@pytest.mark.tf
@pytest.mark.usefixtures("without_xla")
def test_integers_are_trained_scored_and_written(data: Path, capsys: Any) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    pruning = ("--density", "0.5", "--pattern", "unstructured")
    record = said(capsys, "mine.py", "--qat", "--qat-epochs", "3", "--precision", "w4a8", *pruning)
    assert list(record["scores"]) == ["float", "w4a8", "qat w4a8"]
    tuned, rounded = record["qat"], record["scores"]["w4a8"]["validation"]["accuracy"]
    assert (tuned["network"], tuned["epochs"], len(tuned["history"])) == (None, 3, 3)
    assert tuned["start_validation"] == rounded
    assert tuned["validation"] == max(rounded, *tuned["history"])
    recipe = find_recipe("mine.py")
    model = IntegerModel.load("build/ramps/ramps.edgernn")
    assert evaluate(model, recipe) == record["scores"]["qat w4a8"]["test"]
    assert dict(model.provenance.settings)["training"] == "quantization-aware"
    assert dict(model.provenance.seeds) == {"training": 0}
    assert model.input.names == ("a", "b")
    maps = model.layers[0].affines.values()
    codes = np.concatenate([term.weights.ravel() for one in maps for term in one.terms])
    assert 0.3 < np.mean(codes != 0) <= 0.5


@pytest.mark.tf
@pytest.mark.usefixtures("without_xla")
def test_what_people_read_of_trained_integers(data: Path, capsys: Any) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    assert main(["train", "mine.py", "--epochs", "1", "--qat"]) == 0
    out, err = capsys.readouterr()
    _, tuned, _, _, *models, _, _ = out.splitlines()
    assert tuned.startswith("quantization-aware training: ")
    assert [row.rsplit(maxsplit=2)[0] for row in models] == ["float", "w8a8", "qat w8a8"]
    assert "[3/7] train the w8a8 integers\n" in err
    assert "[7/7] score the qat w8a8 model\n" in err


@pytest.mark.tf
def test_trained_integers_need_a_back_end_that_trains(
    data: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    monkeypatch.setattr("keras.backend.backend", lambda: "numpy")
    assert main(["train", "mine.py", "--qat"]) == 2
    err = capsys.readouterr().err
    assert "expected Keras on tensorflow, jax, torch, got 'numpy'" in err
    assert "[1/7]" not in err


@pytest.mark.tf
def test_integers_of_both_directions_are_trained(data: Path, capsys: Any) -> None:
    """As passes over chunks, which the file holds."""
    write_praise(data)
    command = ["train", "sentiment", "--units", "2", "--layers", "1", "--epochs", "1"]
    assert main([*command, "--qat", "--qat-epochs", "1"]) == 0
    assert "train the w8a8 integers" in capsys.readouterr().err
    made = ProgramSet.load("build/sentiment/sentiment.edgernn")
    assert made.chunk is not None
    assert ("training", "quantization-aware") in made.programs[0].provenance.settings


@pytest.mark.tf
def test_what_people_read(data: Path, capsys: Any) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    assert main(["train", "mine.py", "--epochs", "1", "--precision", "w4a8"]) == 0
    out, err = capsys.readouterr()
    head, metric, _, *models, keras_file, model_file = out.splitlines()
    assert head.startswith("ramps: GRU-6, 194 parameters, epoch 1 of 1, ")
    assert metric.split() == ["accuracy", "validation", "test"]
    assert [row.split()[0] for row in models] == ["float", "w4a8"]
    assert keras_file.startswith("build/ramps/ramps.keras  ")
    assert model_file.startswith("build/ramps/ramps.edgernn  ")
    assert "[1/5] train ramps: rising or falling\n" in err


def test_the_list(capsys: Any) -> None:
    assert main(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    names = recipe_names()
    assert [line.split()[0] for line in lines[: len(names)]] == [*names]
    assert "  2 x GRU-256  " in lines[names.index("char_lm")]
    assert lines[names.index("hapt")].split()[1] == "GRU-32"
    text, *_ = [line for line in lines[len(names) :] if "char_lm" in line]
    assert text.startswith("edgernn train char_lm --set text=VALUE: a UTF-8 file")
    assert [row["name"] for row in said(capsys, "--list")["recipes"]] == [*names]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], f"recipe: expected {', '.join(recipe_names())} or a .py file, got none."),
        (["hopt"], f"recipe: expected one of {recipe_names()[0]}, "),
        (["hapt", "--units", "0"], "network units: expected a whole number >= 1, got 0."),
        (["hapt"], "expected the file hapt_raw/hapt_raw_int16.npz or"),
        (["mine.py", "--epochs", "0"], "--epochs: expected a whole number >= 1, got 0."),
        (["mine.py", "--to", "tflite,hex"], "expected formats among tflite, onnx, c, got 'hex'."),
        (["mine.py", "--out", "mine.py"], "--output: expected a folder, got the file 'mine.py'."),
        (["mine.py", "--qat-epochs", "2"], "--qat-epochs: expected --qat as well, got none."),
        (["mine.py", "--qat", "--qat-epochs", "0"], "--qat-epochs: expected a whole number >= 1"),
        (
            ["mine.py", "--precision", "w9a9"],
            "w4a16, got 'w9a9'",
        ),
        (["mine.py", "--cell", "QRNN"], "got 'QRNN'"),
    ],
)
def test_refusals_before_any_training(
    arguments: list[str], words: str, data: Path, capsys: Any
) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    assert main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert "[1/5]" not in err
    assert out == ""


@pytest.mark.tf
def test_a_density_that_cannot_be_is_refused_before_any_training(data: Path, capsys: Any) -> None:
    Path("mine.py").write_text(USERS, encoding="utf-8")
    assert main(["train", "mine.py", "--density", "0"]) == 2
    assert "density" in capsys.readouterr().err
    assert not Path("build/ramps/ramps.keras").exists()
