"""The accuracy page shows the stored results."""

import copy

import pytest

from benchmarks.accuracy import report, run
from benchmarks.pages.markdown import stored


@pytest.fixture(scope="module")
def results():
    return stored("accuracy")


@pytest.fixture(scope="module")
def drift():
    return stored("drift")


def test_results_hold_five_seeds_of_every_task(results):
    assert sorted(results) == sorted(report.TASKS)
    for task in results.values():
        assert [record["seed"] for record in task["seeds"]] == [0, 1, 2, 3, 4]


def test_a_growing_difference_is_said(results, drift):
    changed = copy.deepcopy(drift)
    changed["cells"]["GRU"]["w8a8"]["h"]["growth_trend"] = True
    assert "| growth: " in report.page(results, changed)
    assert "| growth: " not in report.page(results, drift)


def test_kept_gain_by_hand(results):
    task = copy.deepcopy(results["soil_1h"])
    task["naive"] = {"rule": {"mae": 2.0}, "worse rule": {"mae": 9.0}}
    for record in task["seeds"]:
        record["float"]["mae"] = 1.0
        record["variants"][0]["metrics"]["mae"] = 1.25
        record["variants"][1]["metrics"]["mae"] = 0.9
    text = next(report._gain(task))
    assert text.endswith("rule (MAE): `w8a8` 75.0%, `w8a16` 110.0%.")


def test_missing_data_ends_in_one_sentence(monkeypatch, capsys):
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    assert run.main(["--task", "etth1"]) == 2
    assert capsys.readouterr().err.startswith("EDGERNN_DATA: expected the folder")
