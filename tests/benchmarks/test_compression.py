"""The compression benchmark trains, scores and tabulates what its plan says."""

import dataclasses
import json

import pytest

from benchmarks.compression import plan, report, score, train
from benchmarks.compression.plan import BINARY, PRUNED, QUANTIZED, RECIPES, STUDENTS, TEACHER, Run
from edgernn_export.training import compression
from tests.support.training import training_runs


def record(run, value, metric):
    """Scores that depend on the run in a way the tables can be checked against."""
    sizes = {"weights_bytes": 1000, "constants_bytes": 234}
    kinds = ("w8a8", "w8a16", "w4a8", "w4a16", "qat w8a8", "qat w4a8")
    return {
        "run": {name: getattr(run, name) for name in Run.__slots__},
        "result": {"metric": metric},
        "backend": "keras",
        "test": {metric: value},
        "scores": {kind: {"test": {metric: value - 0.01}, **sizes} for kind in kinds},
    }


def results(seeds=5):
    records = []
    for run in plan.runs([*RECIPES, BINARY], seeds):
        metric = "mse" if run.recipe == "etth1" else "accuracy"
        records.append(record(run, 0.5 + 0.1 * run.seed + 0.2 * run.distilled, metric))
    return report.Results(records)


def test_plan_names_every_training_once_and_teachers_first():
    planned = plan.runs([*RECIPES, BINARY], 5)
    names = [run.name for run in planned]
    assert len(set(names)) == len(names) == 5 * (12 * len(RECIPES) + len(plan.CURVE_UNITS))
    for run in planned:
        if run.distilled:
            assert names.index(run.teacher.name) < names.index(run.name)


def test_mean_spread_and_differences():
    found = results()
    alone = Run(recipe="hapt", cell=STUDENTS[0][0], units=STUDENTS[0][1], seed=0)
    assert report.shown(found, "hapt", found.values(alone, "float")) == "70.00 ± 15.81"
    assert report.shown(found, "etth1", [0.03, 0.03]) == "30.000 ± 0.000"
    assert report.change(found, "hapt", [0.9, 0.8], [0.8, 0.8]) == "+5.00 pt"
    assert report.change(found, "etth1", [0.02], [0.03]) == "+50.00 %"
    assert report.change(found, "etth1", [0.03], [0.02]) == "-33.33 %"


def test_tables_hold_every_row_and_the_right_differences():
    found = results()
    quantized = "\n".join(report.quantization(found)).splitlines()
    assert sum(line.startswith(f"| {name} |") for name in RECIPES for line in quantized) == 3
    assert any(line.endswith("| -1.00 pt |") for line in quantized)
    taught = "\n".join(report.distillation(found)).splitlines()
    assert sum(line.endswith("| +20.00 pt |") for line in taught) == 2 * len(STUDENTS)
    curve = "\n".join(report.curve(found)).splitlines()
    assert sum("| 1.23 |" in line for line in curve) == len(plan.CURVE_UNITS)


def test_pruned_rows_compare_with_the_dense_network():
    dense = {"weights_bytes": 16000, "native_us": 0.5, "instructions": {"m0": 3000, "m4": 1000}}
    half = {"weights_bytes": 9000, "native_us": 0.25, "instructions": {"m0": 1500, "m4": 800}}
    costs = {recipe: dict.fromkeys(("50%", "30%", "10%", "w4a8"), half) for recipe in RECIPES}
    for recipe in RECIPES:
        costs[recipe]["100%"] = dense
    lines = "\n".join(report.pruning(results(), costs)).splitlines()
    assert sum("| 9,000 | 1,500 (2.00×) | 800 (1.25×) | 0.250 |" in line for line in lines) == 12
    assert sum("(1.00×)" in line for line in lines) == 3


def test_a_changed_plan_of_pruning_trains_the_pruned_networks_anew(tmp_path, monkeypatch):
    sparse = Run(recipe="hapt", cell=PRUNED[0], units=PRUNED[1], seed=0, density=0.1)
    dense = dataclasses.replace(sparse, density=1.0)
    for run in (sparse, dense):
        content = {"training": train.settings(run), "pruning": train.pruning(run)}
        train.record_path(tmp_path, run).write_text(json.dumps(content))
        assert train.is_trained(tmp_path, run)
    later = dataclasses.replace(compression.PRUNING, end_share=0.5)
    monkeypatch.setattr(compression, "PRUNING", later)
    assert not train.is_trained(tmp_path, sparse)
    assert train.is_trained(tmp_path, dense)


@pytest.mark.long
@pytest.mark.tf
def test_trainings_are_scored_and_not_repeated(tmp_path, monkeypatch):
    recipe = training_runs.classifier()
    monkeypatch.setattr("edgernn_export.training.find_recipe", lambda name: recipe)
    train.data_of.cache_clear()
    size = {"recipe": "ramps", "cell": QUANTIZED[0], "units": QUANTIZED[1], "seed": 0}
    teacher = Run(recipe="ramps", cell=TEACHER[0], units=TEACHER[1], seed=0)
    student = Run(recipe="ramps", cell=STUDENTS[0][0], units=STUDENTS[0][1], seed=0, distilled=True)
    sparse = Run(recipe="ramps", cell=PRUNED[0], units=PRUNED[1], seed=0, density=0.5)
    for run in (teacher, Run(**size), student, sparse):
        assert not train.is_trained(tmp_path, run)
        train.train_one(run, tmp_path, None)
        assert train.is_trained(tmp_path, run)
        score.score_one(run, tmp_path)
    whole = score.collected(tmp_path, Run(**size))
    assert set(whole["scores"]) == {"w8a8", "w8a16", "w4a8", "w4a16", "qat w8a8", "qat w4a8"}
    assert whole["scores"]["w4a8"]["weights_bytes"] * 2 == whole["scores"]["w8a8"]["weights_bytes"]
    assert score.collected(tmp_path, sparse)["scores"]["w8a8"]["density"] < 0.7
    changed = json.loads(train.record_path(tmp_path, student).read_text())
    changed["training"]["epochs"] += 1
    train.record_path(tmp_path, student).write_text(json.dumps(changed))
    assert not train.is_trained(tmp_path, student)
    train.data_of.cache_clear()
