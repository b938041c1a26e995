"""`edgernn search`: arguments, a whole search of a user's recipe, and what is refused."""

import json
import re

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.cli.commands import command_parser
from edgernn_export.cli.search import EXAMPLES
from edgernn_export.search import Limits, Settings
from edgernn_export.search.recipe_trainer import RecipeTrainer
from tests.support.documents import ROOT, run_python

pytestmark = pytest.mark.sampled(2)

RECIPE = """
from tests.support.training.training_runs import classifier

RECIPE = classifier(epochs=5)
"""
COMMAND = "--target microbit --cells GRU --units 8:8:1 --layers 1 --precisions w8a8,w4a8"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "ramps.py").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text):
    return main(["search", *text.split()])


def test_examples_parse(capsys):
    assert run("--help") == 0
    assert "examples:\n  edgernn search " in capsys.readouterr().out
    examples = re.findall(r"edgernn search (.*)", EXAMPLES)
    assert len(examples) == 3
    for example in examples:
        command_parser("search").parse(example.split())


def test_neither_tensorflow_nor_optuna_is_loaded_before_a_search():
    modules = "edgernn_export.cli.search, edgernn_export.search.recipe_trainer"
    program = f"import sys, {modules}; print(*sys.modules)"
    loaded = set(run_python(program, ROOT).stdout.split())
    assert loaded >= {"edgernn_export.search.searcher", "numpy"}
    assert not loaded & {"keras", "matplotlib", "optuna", "rich", "sqlalchemy", "tensorflow"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("hapt --target cortex-m1", "--target: expected one of cortex-m0, cortex-m3"),
        ("hapt --target pico --flash 16q", "size: expected bytes like 16000, 16k"),
        ("hapt --target pico --ms 0", "step_ms: expected a limit above 0, got 0.0"),
        ("hapt --target pico --units 8:16", "--units: expected LOW:HIGH:STEP, got '8:16'"),
        ("hapt --target pico --units a:b:c", "--units: expected numbers, got 'a,b,c'"),
        ("hapt --target pico --densities 0.5,x", "--densities: expected numbers, got '0.5,x'"),
        (
            "hapt --target pico --cells TCN",
            "cells: expected one or more of SimpleRNN, LSTM, GRU",
        ),
        ("hapt --target pico --trials 0", "trials: expected at least 1, got 0"),
        ("hapt --target pico --clock-mhz 0", "--clock-mhz: expected a clock above 0, got 0.0"),
    ],
)
def test_refused_arguments(arguments, message, folder, capsys):
    assert run(f"{arguments} -o out") == 2
    assert f"edgernn search: {message}" in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.tf
def test_unknown_recipes_are_listed(folder, capsys):
    assert run("nothing --target pico -o out") == 2
    assert "expected one of anomaly, caption, char_lm, ett, etth1, fraud" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        ("--target cortex-m0", Limits()),
        ("--target microbit", Limits(flash_bytes=262_144, ram_bytes=16_384)),
        ("--target microbit --flash 16k --ram 2KiB --ms 5",
         Limits(flash_bytes=16_000, ram_bytes=2048, step_ms=5.0)),
    ],
)  # fmt: skip
def test_limits_are_those_asked_or_the_boards(arguments, limits, folder, monkeypatch):
    asked = []

    def stop(settings, out, *, progress):
        asked.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("edgernn_export.search.searcher.search", stop)
    assert run(f"hapt {arguments} --workers 3 --cost ms -o out") == 130
    (settings,) = asked
    assert isinstance(settings, Settings)
    assert (settings.limits, settings.workers, settings.objective) == (limits, 3, "ms")
    assert settings.study.parts == ("out", "search.db")


@pytest.mark.tf
def test_a_search_learns_no_validation_part(folder):
    (folder / "last.py").write_text(RECIPE.replace("epochs=5", "keep='last'"), encoding="utf-8")
    trainers = [RecipeTrainer(source=name) for name in ("last.py", "ramps.py")]
    assert [trainer.identity["training"]["keep"] for trainer in trainers] == ["best", "best"]


def test_search_of_a_users_recipe(folder, capsys):
    import keras

    from edgernn_export.training import evaluate, find_recipe

    command = f"ramps.py {COMMAND} --densities 1,0.5 --flash 16k --trials 3 -o out"
    assert run(f"{command} --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"]
    assert found["limits"] == {"flash_bytes": 16_000, "ram_bytes": 16_384, "step_ms": None}
    assert [trial["outcome"] for trial in found["trials"]] == ["trained"] * 3
    recipe = find_recipe("ramps.py")
    for model in found["front"]:
        keras_file, edgernn_file = (folder / "out" / name for name in model["files"])
        for part in ("validation", "test"):
            assert evaluate(edgernn_file, recipe, part=part)["accuracy"] == model[part]
        assert keras.saving.load_model(keras_file).count_params() > 0
        assert model["flash_bytes"] < 16_000
    assert run(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 configurations trained, 0 skipped before training, 0 failed, of 4\n")
    assert said.count("meets its limits: ") == len(found["front"])
    assert "Milliseconds are estimated at 16 MHz (of microbit)" in said
    _check_pruned(keras, folder, found)
    _check_simulated(folder, found["front"][0], capsys)


def _check_pruned(keras, folder, found):
    """Half the 8 x 4 blocks of the recurrent kernel are gone where that was asked."""
    for trial in found["trials"]:
        file = folder / "out" / "search.db.models" / f"trial-{trial['trial']:04}.keras"
        (gru,) = [x for x in keras.saving.load_model(file).layers if x.name.startswith("gru")]
        weights = np.asarray(gru.cell.recurrent_kernel)
        assert np.count_nonzero(weights) == weights.size * trial["density"]
    assert {trial["density"] for trial in found["trials"]} == {1.0, 0.5}


def _check_simulated(folder, model, capsys):
    """What is found is what `edgernn simulate` measures."""
    file = folder / "out" / model["files"][1]
    assert main(["simulate", str(file), "--target", "microbit", "--emulate", "--json"]) == 0
    simulated = json.loads(capsys.readouterr().out)
    assert simulated["emulation"]["flash_bytes"] == model["flash_bytes"]
    assert simulated["emulation"]["ram_bytes"] == model["ram_bytes"]
    assert simulated["emulation"]["instructions"]["median"] == model["instructions"]
    assert simulated["estimated"]["high_ms"] == model["high_ms"]


@pytest.mark.tf
def test_limits_that_nothing_meets(folder, capsys):
    assert run(f"ramps.py {COMMAND} --flash 1k -o out") == 1
    said = capsys.readouterr().out
    assert "No configuration meets the limits. The nearest ones, with the fewest units:" in said
    assert "> 1,000 B" in said
    assert said.count(" needs ") >= 1
    assert said.count("  gru8-w") == said.count(" needs ")
    assert list((folder / "out").glob("*.edgernn")) == []
