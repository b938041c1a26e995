"""The search itself: budget, refusals before training, fronts, studies that go on."""

import json
import sqlite3
from types import SimpleNamespace

import pytest

from edgernn.errors import SearchError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.search import Limits, Space, find_hardware, search
from edgernn_export.search.candidates import untrained
from edgernn_export.search.study import held, opened, trial_files
from tests.support.training.search_trainers import SPACE, TinyTrainer, priced, tiny_settings


@pytest.fixture(autouse=True)
def _no_compilers(monkeypatch):
    monkeypatch.setattr("edgernn_export.search.trials.measure", priced)
    monkeypatch.setattr("edgernn_export.search.pareto.measure", priced)


class CountingTrainer(TinyTrainer):
    """Remembers what was trained, and fails as asked."""

    trained: list
    failing: tuple
    scores: dict

    def train(self, configuration, pattern):
        self.trained.append(configuration)
        if configuration.units in self.failing:
            raise SearchError(f"diverged at {configuration.units}")
        return super().train(configuration, pattern)

    def evaluate(self, model, part):
        return self.scores.get(model.name, super().evaluate(model, part))


def counting(failing=(), scores=None, **changes):
    trainer = CountingTrainer(**changes)
    for name, value in (("trained", []), ("failing", failing), ("scores", scores or {})):
        object.__setattr__(trainer, name, value)
    return trainer


def run(folder, **changes):
    settings = tiny_settings(folder, **changes)
    return search(settings, folder / "out", progress=False)


def cost_of(configuration):
    return priced(untrained(TinyTrainer(), configuration, "8x4"), None)


def dominated(row, rows, rising):
    sign = 1 if rising else -1
    return any(
        sign * other.score >= sign * row.score
        and other.cost.flash_bytes <= row.cost.flash_bytes
        and (other.score, other.cost.flash_bytes) != (row.score, row.cost.flash_bytes)
        for other in rows
    )


@pytest.mark.parametrize(("sampler", "rising"), [("tpe", True), ("nsga2", False)])
def test_front_is_what_nothing_beats(sampler, rising, tmp_path):
    outcome = run(tmp_path, sampler=sampler, trials=8, trainer=TinyTrainer(rising=rising))
    assert [row.outcome for row in outcome.rows] == ["trained"] * 8
    best = {row.number for row in outcome.rows if not dominated(row, outcome.rows, rising)}
    assert {model.row.number for model in outcome.chosen} == best
    prices = [model.cost.flash_bytes for model in outcome.chosen]
    assert prices == sorted(prices)
    assert outcome.passed


def test_every_configuration_is_tried_once_and_then_it_ends(tmp_path):
    trainer = counting()
    outcome = run(tmp_path, trials=100, trainer=trainer)
    assert sorted(c.label for c in trainer.trained) == sorted(
        c.label for c in SPACE.configurations()
    )
    assert len(outcome.rows) == SPACE.size


def test_over_a_limit_is_refused_before_training(tmp_path):
    trainer, limit = counting(), 2400
    outcome = run(tmp_path, trials=100, trainer=trainer, limits=Limits(flash_bytes=limit))
    fits = {c for c in SPACE.configurations() if cost_of(c).flash_bytes <= limit}
    assert 0 < len(fits) < SPACE.size
    assert set(trainer.trained) == fits
    refused = [row for row in outcome.rows if row.outcome == "refused"]
    assert {row.configuration for row in refused} == set(SPACE.configurations()) - fits
    for row in refused:
        assert row.reason == f"flash {row.cost.flash_bytes:,} B > 2,400 B"
    assert all(model.cost.flash_bytes <= limit for model in outcome.chosen)


def test_refused_trials_do_not_count(tmp_path):
    outcome = run(tmp_path, trials=4, limits=Limits(flash_bytes=2400))
    outcomes = [row.outcome for row in outcome.rows]
    assert outcomes.count("trained") == 4
    assert outcomes.count("refused") >= 1


def test_what_exceeds_a_limit_only_once_trained_is_not_chosen(tmp_path, monkeypatch):
    costs = iter([2400, 2400, 2600])  # of the smallest; of one before and after its training
    monkeypatch.setattr(
        "edgernn_export.search.pareto.measure", lambda m, p, s=0: priced_at(m, next(costs))
    )
    monkeypatch.setattr(
        "edgernn_export.search.trials.measure", lambda m, p: priced_at(m, next(costs))
    )
    outcome = run(tmp_path, trials=1, limits=Limits(flash_bytes=2500))
    (row,) = outcome.rows
    assert (row.outcome, row.reason) == ("trained", "flash 2,600 B > 2,500 B")
    assert outcome.chosen == ()
    assert not outcome.passed


def priced_at(model, flash_bytes):
    cost = priced(model, None)
    return type(cost)(**(cost.record() | {"flash_bytes": flash_bytes}))


def test_limits_that_nothing_meets_name_the_nearest(tmp_path):
    trainer = counting()
    limits = Limits(flash_bytes=2000, ram_bytes=105)
    outcome = run(tmp_path, trainer=trainer, limits=limits)
    assert (trainer.trained, outcome.rows, outcome.chosen) == ([], (), ())
    assert not outcome.passed
    flash, ram = (
        min(getattr(cost_of(c), name) for c in SPACE.configurations())
        for name in ("flash_bytes", "ram_bytes")
    )
    assert min(least.cost.flash_bytes for least in outcome.least) == flash
    assert min(least.cost.ram_bytes for least in outcome.least) == ram
    assert f"flash {flash:,} B > 2,000 B" in outcome.least[0].sentence()
    assert json.loads((tmp_path / "out" / "search.json").read_text())["nothing_fits"]


def test_files_and_summary(tmp_path):
    outcome = run(tmp_path, trials=5)
    out = tmp_path / "out"
    summary = json.loads((out / "search.json").read_text())
    assert summary == json.loads(json.dumps(outcome.record()))
    assert summary["metric"] == "accuracy"
    assert len(summary["trials"]) == 5
    for model in outcome.chosen:
        keras_file, edgernn_file = model.files
        loaded = IntegerModel.load(edgernn_file)
        assert keras_file.is_file()
        assert loaded.input.names == ("a", "b")
        assert TinyTrainer().evaluate(loaded, "validation") == model.row.score
        assert model.test_score == TinyTrainer().evaluate(loaded, "test")
        assert model.verdict().startswith(f"meets its limits: {model.cost.flash_bytes:,} B")
    assert (out / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_same_seed_same_trials(tmp_path):
    def tried(name, seed):
        (tmp_path / name).mkdir()
        rows = run(tmp_path / name, seed=seed, trials=4).rows
        return [(row.configuration, row.score) for row in rows]

    first = tried("a", 0)
    assert tried("b", 0) == first
    assert tried("c", 1) != first


def test_time_objective(tmp_path):
    outcome = run(tmp_path, objective="ms", trials=5, limits=Limits(step_ms=1.0))
    times = [model.cost.high_ms for model in outcome.chosen]
    assert times == sorted(times)
    assert times[-1] <= 1.0


def test_a_failed_trial_is_recorded_and_the_search_goes_on(tmp_path):
    outcome = run(tmp_path, trials=20, trainer=counting(failing=(8,)))
    failed = [row for row in outcome.rows if row.outcome == "failed"]
    assert {row.configuration.units for row in failed} == {8}
    assert failed[0].reason == "diverged at 8"
    assert len(outcome.rows) == SPACE.size


def test_a_score_that_is_nan_fails(tmp_path):
    names = {c.label: float("nan") for c in SPACE.configurations() if c.units == 4}
    outcome = run(tmp_path, trials=20, trainer=counting(scores=names))
    failed = {row.configuration.label: row.reason for row in outcome.rows if not row.score}
    assert set(failed) == set(names)
    assert failed["gru4-w8a8"] == "gru4-w8a8: expected a finite accuracy, got nan."


def test_nothing_but_failures_ends_the_search(tmp_path):
    with pytest.raises(SearchError, match=r"got 5 failures and no success.*diverged at"):
        run(tmp_path, trials=20, trainer=counting(failing=(4, 8, 12)))


def test_a_finished_search_goes_on_with_more_trials(tmp_path):
    first = run(tmp_path, trials=3)
    trainer = counting()
    second = run(tmp_path, trials=5, trainer=trainer)
    assert second.rows[:3] == first.rows
    assert len(trainer.trained) == 2
    again = run(tmp_path, trials=5)
    found = {file.name for model in again.chosen for file in model.files}
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written == found | {"search.json", "front.png"}
    assert [m.row for m in again.chosen] == [m.row for m in second.chosen]


def test_what_was_stopped_in_a_trial_is_done_again(tmp_path, monkeypatch):
    def stop(self, configuration, pattern):
        raise KeyboardInterrupt

    first = run(tmp_path, trials=3)
    with monkeypatch.context() as patch:
        patch.setattr(TinyTrainer, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, trials=6)
    with opened(tiny_settings(tmp_path)) as study:
        stopped = study.get_trials()[-1]
        assert stopped.state.name == "RUNNING"
    trainer = counting()
    second = run(tmp_path, trials=6, trainer=trainer)
    assert second.reclaimed == 1
    assert second.rows[:3] == first.rows
    assert {"units": trainer.trained[0].units, "cell": trainer.trained[0].cell}.items() <= (
        stopped.params.items()
    )
    assert [row.outcome for row in second.rows] == ["trained"] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": Space(units=(4, 8, 4))}, r"space.cells .*; space.units \[4, 12, 4\] \(now"),
        ({"limits": Limits(ram_bytes=4096)}, r"limits.ram_bytes none \(now 4096\)"),
        ({"trainer": TinyTrainer(seed=1)}, r"task.seed 0 \(now 1\)"),
        (
            {"place": find_hardware("pico")},
            r'clock_hz 16000000 \(now 125000000\); target "cortex-m0"',
        ),
        ({"objective": "ms"}, r'objective "flash" \(now "ms"\)'),
    ],
)
def test_a_study_of_another_search_is_refused(changes, message, tmp_path):
    run(tmp_path, trials=1)
    with pytest.raises(SearchError, match=f"expected a study of the same search.*{message}"):
        run(tmp_path, **changes)


def test_a_study_in_use_is_refused(tmp_path):
    with (
        held(tiny_settings(tmp_path)),
        pytest.raises(SearchError, match="got one that another search is using"),
    ):
        run(tmp_path)


def test_files_that_are_no_study_are_refused(tmp_path):
    (tmp_path / "s.db").write_bytes(b"no database, only some text " * 100)
    with pytest.raises(SearchError, match="expected an Optuna study in SQLite"):
        run(tmp_path)


def test_a_foreign_optuna_study_is_refused(tmp_path):
    run(tmp_path, trials=1)
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("delete from study_user_attributes")
    database.close()
    with pytest.raises(SearchError, match=r"got one of another search: .*metric none"):
        run(tmp_path)


def test_models_that_were_removed_are_named(tmp_path):
    outcome = run(tmp_path, trials=2)
    file = trial_files(outcome.settings, outcome.chosen[0].row.number)[1]
    file.unlink()
    with pytest.raises(SearchError, match=f"{file.name}: expected the model of trial"):
        run(tmp_path, trials=2)


def test_no_trial_begins_after_the_last_minute(tmp_path, monkeypatch):
    clock = SimpleNamespace(time=iter([0.0, 59.0, 61.0]).__next__)
    monkeypatch.setattr("edgernn_export.search.searcher.time", clock)
    monkeypatch.setattr("edgernn_export.search.trials.time", clock)
    outcome = run(tmp_path, minutes=1.0)
    assert len(outcome.rows) == 1
