"""One metric for Keras, float and integer models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export import quantize
from edgernn_export.keras_reader import read_keras
from edgernn_export.training import build_network, calibration, evaluate, outputs
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.keras import randomised, readings, sequential
from tests.support.training.training_runs import class_data, classifier, forecast_data, forecaster

pytestmark = pytest.mark.tf

CASES = {"classes": (classifier(), class_data()), "forecast": (forecaster(), forecast_data())}


def network(case: str) -> Any:
    recipe, data = CASES[case]
    model = build_network(recipe, recipe.network, data)
    head = [layer for layer in model.layers if layer.name in ("gru_1", "head")]
    for layer in head:
        randomised(layer)
    return model


def integer(case: str, precision: str = "w8a8") -> Any:
    _, data = CASES[case]
    labels = data.labels()
    return quantize(
        network(case), calibration(data), precision, **labels, stream="endless", progress=False
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_keras_and_float_models_score_alike(case: str, part: str) -> None:
    recipe, data = CASES[case]
    model = network(case)
    one = evaluate(model, recipe, part=part, data=data)
    other = evaluate(read_keras(model), recipe, part=part, data=data)
    assert one.keys() == other.keys()
    assert one == pytest.approx(other, rel=1e-5)


def test_scores_by_hand() -> None:
    recipe, data = CASES["forecast"]
    model = network("forecast")
    answer = np.asarray(model(data.test.x.astype(np.float32)), dtype=np.float64)
    error = (data.test.base + answer - data.test.target)[:, 8:]
    scores = evaluate(model, recipe, data=data)
    assert scores["mse"] == pytest.approx(np.mean(error**2), rel=1e-6)
    assert scores["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-6)
    recipe, data = CASES["classes"]
    model = network("classes")
    chosen = np.asarray(model(data.test.x.astype(np.float32))).argmax(axis=1)
    share = np.mean(chosen == data.test.target[:, -1, 0])
    assert evaluate(model, recipe, data=data) == {"accuracy": share}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_integer_models_answer_as_the_reference(
    case: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, data = CASES[case]
    model = integer(case)
    monkeypatch.setattr("edgernn_export.training.evaluation.model_backend", lambda: backend)
    interface = model.interface()
    x = data.test.x
    wanted = [interface.dequantize(Reference(model).run(interface.quantize(s))[0]) for s in x]
    np.testing.assert_array_equal(outputs(model, x), np.stack(wanted))


def test_files_score_as_what_they_hold(tmp_path: Path) -> None:
    recipe, data = CASES["forecast"]
    keras_model, model = network("forecast"), integer("forecast")
    keras_model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.edgernn")
    for path, held in ((tmp_path / "m.keras", keras_model), (tmp_path / "m.edgernn", model)):
        assert evaluate(path, recipe, data=data) == evaluate(held, recipe, data=data)
        assert evaluate(str(path), recipe, data=data) == evaluate(held, recipe, data=data)


def test_w8a16_is_close_to_float() -> None:
    recipe, data = CASES["forecast"]
    one = evaluate(network("forecast"), recipe, data=data)["mse"]
    other = evaluate(integer("forecast", "w8a16"), recipe, data=data)["mse"]
    assert other == pytest.approx(one, rel=0.02)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (None, {"part": "dev"}, "expected one of train, validation, test, got 'dev'"),
        ("m.tflite", {}, r"expected a \.keras or \.edgernn file, got 'm\.tflite'"),
    ],
)
def test_what_cannot_be_scored_is_refused(model: Any, options: Any, words: str) -> None:
    recipe, data = CASES["classes"]
    with pytest.raises(TrainingError, match=words):
        evaluate(model, recipe, data=data, **options)


@pytest.mark.parametrize("form", ["keras", "float", "integer"])
def test_a_model_of_other_inputs_is_refused(form: str) -> None:
    model: Any = sequential(*gru_and_dense(2), inputs=3)
    if form != "keras":
        model = read_keras(model)
    if form == "integer":
        model = quantize(model, readings(), stream="endless", progress=False)
    recipe, data = CASES["classes"]
    with pytest.raises(TrainingError, match=r"expected 2 inputs .* recipe ramps, got 3"):
        evaluate(model, recipe, data=data)


def test_a_model_of_other_outputs_is_refused() -> None:
    recipe, data = CASES["classes"]
    wanted = r"output shape \[40, 6, 2\] for recipe ramps, got \[40, 6, 5\]"
    with pytest.raises(TrainingError, match=wanted):
        evaluate(sequential(*gru_and_dense(5), inputs=2), recipe, data=data)


def gru_and_dense(outputs: int) -> Any:
    import keras

    return keras.layers.GRU(3), keras.layers.Dense(outputs)
