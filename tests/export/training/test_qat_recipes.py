"""Quantization-aware training of a recipe's network."""

from __future__ import annotations

from dataclasses import replace
from functools import partialmethod
from typing import Any

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn.model.integer_model import IntegerModel
from edgernn_export import quantize
from edgernn_export.training import evaluate, outputs, train, train_integers
from tests.support.training.training_runs import class_data, classifier, forecast_data, forecaster

pytestmark = [pytest.mark.sampled(2), pytest.mark.tf]


@pytest.fixture(autouse=True)
def without_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA would compile for longer than these networks train."""
    import keras

    monkeypatch.setattr(
        keras.Model, "compile", partialmethod(keras.Model.compile, jit_compile=False)
    )


def say(monkeypatch: pytest.MonkeyPatch, metric: str, values: list[float]) -> None:
    """Let the validation say these values, one after the other."""
    said = iter(values)
    monkeypatch.setattr(
        "edgernn_export.training.loop.evaluate", lambda *_, **__: {metric: next(said)}
    )


def trained(recipe: Any, data: Any) -> Any:
    return train(recipe, data=data, progress=False)[0]


def same(a: IntegerModel, b: IntegerModel) -> bool:
    return a.layers == b.layers


def test_the_rounded_model_is_kept_where_no_epoch_is_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, data = classifier(epochs=2), class_data()
    network = trained(recipe, data)
    rounded = quantize(
        network, data.calibration(), "w8a8", **data.labels(), stream="endless", name="ramps",
        progress=False,
    )  # fmt: skip
    say(monkeypatch, "accuracy", [0.9, 0.9])
    model, result = train_integers(recipe, network, data=data, epochs=1, progress=False)
    assert (result.best_epoch, result.start_validation, result.history) == (0, 0.9, (0.9,))
    assert evaluate(model, recipe, data=data) == evaluate(rounded, recipe, data=data)
    assert (model.name, model.input, model.output) == ("ramps", rounded.input, rounded.output)
    for ours, theirs in zip(model.layers, rounded.layers, strict=True):
        for name, affine in ours.affines.items():
            for one, two in zip(affine.terms, theirs.affines[name].terms, strict=True):
                np.testing.assert_array_equal(one.weights, two.weights)
                np.testing.assert_array_equal(one.multiplier, two.multiplier)
    assert model.provenance.settings[-1] == ("training", "quantization-aware")


def test_integers_come_closer_to_the_answers_of_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, data = forecaster(epochs=6), forecast_data()
    network = trained(recipe, data)
    before = [np.asarray(w) for w in network.get_weights()]
    rounded = quantize(network, data.calibration(), "w4a8", progress=False)
    epochs = 10
    say(monkeypatch, "mse", [1.0 - 0.01 * epoch for epoch in range(epochs + 1)])
    model, result = train_integers(
        recipe, network, "w4a8", data=data, epochs=epochs, rate_share=0.05, progress=False
    )
    assert result.best_epoch == epochs
    wanted = outputs(network, data.test.x)
    error, first = (np.mean((outputs(m, data.test.x) - wanted) ** 2) for m in (model, rounded))
    assert error < 0.6 * first
    for was, now in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize(("alpha", "alike"), [(1.0, True), (0.5, False)])
def test_labels_count_below_an_alpha_of_one(
    alpha: float, alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data = classifier(epochs=2), class_data()
    network = trained(recipe, data)
    other = 1.0 - data.train.target
    wrong = replace(data, train=replace(data.train, target=other))
    models = []
    for given in (data, wrong):
        say(monkeypatch, "accuracy", [0.5, 0.6])
        made, _ = train_integers(
            recipe, network, data=given, epochs=1, rate_share=1.0, alpha=alpha, progress=False
        )
        models.append(made)
    assert same(*models) is alike


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "numpy")
    with pytest.raises(
        TrainingError, match="expected Keras on tensorflow, jax, torch, got 'numpy'"
    ):
        train_integers(classifier(), None)
