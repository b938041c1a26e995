"""`edgernn distill` on tiny recipes and arrays: files, figures, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.cli.commands import command_parser
from edgernn_export.cli import distill
from tests.support.training.training_runs import class_data, classifier, forecast_data, forecaster

pytestmark = pytest.mark.tf

SIZE = ["--units", "5", "--epochs", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teachers of both tiny tasks, a recipe of each, and the first one's arrays."""
    path = tmp_path_factory.mktemp("distill")
    for recipe, load in ((classifier(), class_data), (forecaster(), forecast_data)):
        big = recipe.build(recipe, recipe.network, load())
        big.save(path / f"{recipe.name}.keras")
        maker = {"ramps": "classifier", "waves": "forecaster"}[recipe.name]
        program = f"from tests.support.training.training_runs import {maker}\nRECIPE = {maker}()\n"
        (path / f"{recipe.name}.py").write_text(program)
    data = class_data()
    labels = data.train.target[:, -1, 0].astype(int)
    np.savez(path / "arrays.npz", x=data.train.x, y=labels)
    return path


def run(folder: Path, *arguments: Any) -> int:
    return main(["distill", *map(str, arguments), "-o", str(folder / "student.keras")])


def told(capsys: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def test_help_contains_examples_that_parse(capsys):
    assert main(["distill", "--help"]) == 0
    assert "examples:\n" in capsys.readouterr().out
    examples = re.findall(r"edgernn distill (.*)", distill.EXAMPLES.replace("\\\n", ""))
    assert len(examples) == 2
    for example in examples:
        command_parser("distill").parse(example.split())


def test_a_recipe_and_the_same_network_alone(folder, tmp_path, capsys):
    import keras

    from edgernn_export.training import evaluate

    options = ["--teacher", folder / "waves.keras", "--recipe", folder / "waves.py", "--alone"]
    assert run(tmp_path, *options, *SIZE, "--cell", "LSTM", "--json") == 0
    record = told(capsys)
    assert list(record) == ["recipe", "metric", "teacher", "alone", "student", "settings", "path"]
    student = keras.saving.load_model(tmp_path / "student.keras")
    assert type(student.get_layer("lstm_1")) is keras.layers.LSTM
    assert record["student"]["test"] == evaluate(student, forecaster(), part="test")
    assert record["student"]["parameters"] == record["alone"]["parameters"] == 172
    assert record["student"]["training"]["history"] != record["alone"]["training"]["history"]


def test_values_with_hidden_states_pruned(folder, tmp_path, capsys):
    import keras

    options = ["--teacher", folder / "waves.keras", "--recipe", folder / "waves.py"]
    compress = ["--density", "0.5", "--pattern", "4x1", "--hidden-weight", "0.5"]
    assert run(tmp_path, *options, *SIZE, *compress) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mse", "parameters", "validation", "test"]
    assert [line.split()[0] for line in lines[2:4]] == ["teacher", "student"]
    assert lines[4] == str(tmp_path / "student.keras")
    kernel = keras.saving.load_model(tmp_path / "student.keras").get_layer("gru_1").cell
    assert np.mean(np.asarray(kernel.recurrent_kernel) != 0.0) < 0.7


def test_arrays_without_a_test_part(folder, tmp_path, capsys):
    options = ["--teacher", folder / "ramps.keras", "--data", folder / "arrays.npz"]
    assert run(tmp_path, *options, *SIZE, "--json") == 0
    record = told(capsys)
    assert record["recipe"] == "arrays"
    assert set(record["student"]) == {"parameters", "validation", "training"}
    assert record["student"]["validation"]["accuracy"] > 0.8


@pytest.mark.parametrize(
    "options, words",
    [
        (
            ["--teacher", "big.h5", "--recipe", "hapt"],
            "--teacher: expected a name ending in .keras",
        ),
        (["--teacher", "b.keras", "--data", "x.csv"], "--data: expected a name ending in .npz"),
        (["--teacher", "b.keras", "--recipe", "hapt"], "b.keras: expected a Keras model, got noth"),
        (["--teacher", "b.keras", "--recipe", "hapt", "--pattern", "8x4"], "--pattern: expected"),
        (["--teacher", "b.keras"], "one of the arguments --recipe --data is required"),
    ],
)
def test_refusals(options, words, tmp_path, capsys):
    assert run(tmp_path, *options) == 2
    assert words in capsys.readouterr().err


def test_a_teacher_of_another_task_is_refused(folder, tmp_path, capsys):
    options = ["--teacher", folder / "waves.keras", "--recipe", folder / "ramps.py"]
    assert run(tmp_path, *options, *SIZE) == 2
    assert "teacher" in capsys.readouterr().err
    assert not (tmp_path / "student.keras").exists()
