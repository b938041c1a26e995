"""The forecasting chapter of a scikit-learn book: Pipeline, TimeSeriesSplit, GridSearchCV.

The estimator's best network goes from .keras to integers, every back-end and C.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from edgernn_export import EdgeRNNRegressor
from tests.support.native.compilers import require
from tests.support.native.stream_programs import host_outputs

pytestmark = [pytest.mark.tf, pytest.mark.long]


def test_from_a_grid_search_to_c(tmp_path, monkeypatch):
    require("gcc")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    day = np.arange(421)
    load = 50 + 10 * np.sin(2 * np.pi * day / 7) + rng.normal(size=421)
    X, y = np.stack([load, np.roll(load, 1)], axis=1)[1:-1], load[2:]  # tomorrow's load
    X_train, X_test, y_train, y_test = X[:350], X[350:], y[:350], y[350:]

    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("rnn", EdgeRNNRegressor(window=14, units=8, batch=16, epochs=3, random_state=0)),
        ]
    )
    search = GridSearchCV(
        pipeline,
        {"rnn__learning_rate": [0.0001, 0.02]},
        cv=TimeSeriesSplit(n_splits=2),
        scoring="neg_root_mean_squared_error",
    )
    search.fit(X_train, y_train)
    assert search.best_params_ == {"rnn__learning_rate": 0.02}
    best = search.best_estimator_
    scaled, model = best["scale"].transform(X_test), best["rnn"]
    errors = [
        mean_squared_error(y_test, said) ** 0.5
        for said in (best.predict(X_test), model.predict_float(scaled))
    ]
    assert errors[0] <= 1.01 * errors[1]
    assert errors[0] < np.std(y_test)
    model.export("build/", formats=("c", "tflite", "onnx"))
    integers = IntegerModel.load("build/model.edgernn")
    verify = ["verify", "build/model.edgernn", "--steps", "60"]
    assert main([*verify, "--backends", "native,tflite-runtime,onnxruntime"]) == 0
    with model.stream() as session:
        codes = session.interface.quantize(scaled)
        answers = np.ma.getdata(session.run_codes(codes))
    in_c = host_outputs(integers, codes, tmp_path / "host")
    np.testing.assert_array_equal(in_c[13:], answers[13:])
