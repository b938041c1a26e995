"""Pipelines, searches and folds of scikit-learn, and its own checks of estimators."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from edgernn_export import EdgeRNNClassifier, EdgeRNNRegressor
from edgernn_export.training import walk_forward
from tests.support.training.ridge_trainer import solve_head

pytestmark = pytest.mark.tf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 2))
Y = X[:, 0] - 0.5 * np.roll(X[:, 1], 1)
SMALL: dict[str, Any] = {
    "cell": "SimpleRNN", "window": 3, "units": 4, "batch": 16, "epochs": 6, "random_state": 0,
    "learning_rate": 0.05,
}  # fmt: skip
_ROWS = "rows are readings of one stream in time order: an answer depends on the rows before it"
#: Checks that do not hold, and why.
EXPECTED = {
    "check_methods_sample_order_invariance": _ROWS,
    "check_methods_subset_invariance": _ROWS,
}


@pytest.fixture
def solved(monkeypatch):
    """Networks whose last layer is solved for, in place of training."""
    place = "edgernn_export.sklearn_wrappers.stream_estimator.train_network"
    monkeypatch.setattr(place, solve_head)


def test_a_pipeline_scales_before_the_network(solved):
    pipeline = make_pipeline(StandardScaler(), EdgeRNNRegressor(**SMALL))
    assert pipeline.fit(X, Y).score(X, Y) > 0.5
    scaled = pipeline[0].transform(X)
    with pipeline[-1].stream() as session:
        np.testing.assert_array_equal(session.run(scaled)[:, 0], pipeline.predict(X))


def test_a_grid_is_searched_along_time(solved):
    folds = walk_forward(150, 100, 40, gap=5)
    grid = {"units": np.array([1, 5])}
    search = GridSearchCV(EdgeRNNRegressor(**SMALL), grid, cv=folds, error_score="raise")
    search.fit(X, Y)
    assert search.best_params_ == {"units": 5}
    assert search.predict(X).shape == (150,)


def test_a_cross_validation_tests_on_what_comes_later(solved):
    sides = np.where(X[:, 0] > 0, "up", "down")
    model = EdgeRNNClassifier(**SMALL)
    scores = cross_val_score(model, X, sides, cv=TimeSeriesSplit(2), error_score="raise")
    assert scores.min() > 0.7


@pytest.mark.parametrize("kind", [EdgeRNNRegressor, EdgeRNNClassifier])
def test_parameters_are_those_of_scikit_learn(kind):
    model = kind(cell="LSTM", channel_units={"x0": "V"})
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert list(model.get_params()) == sorted(model.get_params())
    assert repr(model) == f"{kind.__name__}(cell='LSTM', channel_units={{'x0': 'V'}})"
    assert not any(name.endswith("_") for name in vars(model))


def failed_checks(kind: Any, **parameters: Any) -> dict[str, Any]:
    """Run the checks of scikit-learn; those that failed although they should not."""
    model = kind(cell="SimpleRNN", window=2, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            model, expected_failed_checks=EXPECTED, on_fail=None, on_skip=None
        )
    states = {result["check_name"]: result["status"] for result in results}
    assert {name for name, status in states.items() if status == "xfail"} == set(EXPECTED)
    assert list(states.values()).count("passed") >= 40
    return {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}


@pytest.mark.long
@pytest.mark.parametrize("kind", [EdgeRNNRegressor, EdgeRNNClassifier])
def test_the_checks_of_scikit_learn_pass(kind, solved):
    assert failed_checks(kind, units=24) == {}


@pytest.mark.long
@pytest.mark.parametrize("kind", [EdgeRNNRegressor, EdgeRNNClassifier])
def test_the_checks_of_scikit_learn_pass_with_training(kind):
    assert failed_checks(kind, units=8, batch=8, epochs=30, learning_rate=0.03) == {}
