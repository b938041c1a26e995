"""The training loop: what is kept, what repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export.training import (
    evaluate,
    pruning_callback,
    train,
    updates,
)
from tests.support.training.training_runs import class_data, classifier, forecast_data, forecaster

pytestmark = pytest.mark.tf


def fit(recipe: Any, seed: int = 0, **options: Any) -> Any:
    return train(recipe, seed, progress=False, **options)


def weights(model: Any) -> list[np.ndarray]:
    return [np.asarray(w) for w in model.get_weights()]


def script(values: list[float]) -> Any:
    """A validation that says these values, one after the other."""
    said = iter(values)
    return lambda *_, **__: {"accuracy": next(said)}


def recorder(finished: Any = lambda epoch: True) -> Any:
    """A callback that notes the weights after every epoch, before they are judged."""
    import keras

    class Recorder(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seen, self.finished = [], True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.finished = finished(epoch + 1)
            self.seen.append(weights(self.model))

    return Recorder()


def test_a_classifier_learns() -> None:
    recipe, data = classifier(epochs=8), class_data()
    model, result = fit(recipe, data=data)
    scores = evaluate(model, recipe, data=data)
    assert scores["accuracy"] >= 0.9
    assert result.metric == "accuracy"
    assert result.validation == max(result.history) == result.history[result.best_epoch - 1]
    assert result.validation == evaluate(model, recipe, part="validation", data=data)["accuracy"]
    assert (result.epochs, result.updates, len(result.history)) == (8, 32, 8)
    assert result.parameters == 3 * 6 * (2 + 6 + 2) + 6 * 2 + 2
    assert result.network == recipe.network
    assert result.start_validation is None


def test_a_forecaster_beats_the_present_value() -> None:
    recipe, data = forecaster(epochs=10), forecast_data()
    model, result = fit(recipe, data=data)
    silent = data.score(np.zeros_like(data.test.target), data.test)
    assert evaluate(model, recipe, data=data)["mse"] < 0.25 * silent["mse"]
    assert result.validation == min(result.history)
    # What Keras answers is in physical units: its spread is that of the changes.
    answer = model.predict(data.test.x, verbose=0)
    assert np.std(answer) == pytest.approx(data.target_scale, rel=0.3)


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not() -> None:
    runs = [fit(classifier(input_noise=0.1), seed)[0] for seed in (3, 3, 4)]
    one, same, other = map(weights, runs)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[-2], other[-2])


def test_the_first_of_the_best_epochs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    said = script([0.5, 0.8, 0.8, 0.6])
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", said)
    watch = recorder()
    model, result = fit(classifier(), callbacks=[watch])
    assert (result.best_epoch, result.validation, result.history) == (2, 0.8, (0.5, 0.8, 0.8, 0.6))
    for kept, seen in zip(weights(model), watch.seen[1], strict=True):
        np.testing.assert_array_equal(kept, seen)


def test_epochs_before_a_callback_is_finished_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    said = script([0.9, 0.95, 0.6, 0.7])
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", said)
    watch = recorder(lambda epoch: epoch >= 3)
    model, result = fit(classifier(), callbacks=[watch])
    assert (result.best_epoch, result.validation) == (4, 0.7)
    for kept, seen in zip(weights(model), watch.seen[3], strict=True):
        np.testing.assert_array_equal(kept, seen)


def test_a_training_that_never_finishes_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"recipe ramps: expected an epoch with .* none of 2"):
        fit(classifier(epochs=2), callbacks=[recorder(lambda epoch: False)])


def test_an_epoch_that_is_not_a_number_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    said = script([float("nan"), 0.3, float("nan")])
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", said)
    _, result = fit(classifier(epochs=3))
    assert (result.best_epoch, result.validation) == (2, 0.3)


def test_the_last_epoch_is_kept_where_the_recipe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = script([0.9, 0.8, 0.6])
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", said)
    watch = recorder()
    model, result = fit(classifier(epochs=3, keep="last"), callbacks=[watch])
    assert (result.best_epoch, result.validation) == (3, 0.6)
    for kept, seen in zip(weights(model), watch.seen[2], strict=True):
        np.testing.assert_array_equal(kept, seen)


def test_a_given_network_is_validated_even_so(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = classifier(epochs=2, keep="last")
    first, _ = fit(recipe)
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", script([0.8, 0.9, 0.7]))
    _, result = fit(recipe, start=first)
    assert (result.best_epoch, result.validation) == (1, 0.9)
    assert result.updates == updates(classifier(epochs=2), class_data())


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(TrainingError, match=r"seed: expected a number 0\.\.4294967295"):
        fit(classifier(), seed)


def test_a_pruned_network_has_its_final_density() -> None:
    from edgernn_export.compress.pruning import densities

    recipe, data = classifier(epochs=5), class_data()
    pruning = pruning_callback(recipe, data, density=0.5, pattern="unstructured")
    model, result = fit(recipe, data=data, callbacks=[pruning])
    assert result.best_epoch >= 2  # masks are renewed until 40 % of 20 updates are done
    # Of a gate's 6 x 2 and 6 x 6 weights 24 stay, in proportion to 8 and 12.
    kept = [row["all"] for row in densities(model).values()]
    assert kept == pytest.approx([10 / 12, 14 / 36])


def test_a_learner_is_fitted_in_place_of_the_network() -> None:
    import keras

    class Halved(keras.Model):
        """Fits a network whose logits count half."""

        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def call(self, x: Any, training: bool = False) -> Any:
            return self.network(x, training=training) / 2.0

    made = []

    def learner(network: Any) -> Any:
        made.append(network)
        return Halved(network)

    model, result = fit(classifier(epochs=8), learner=learner)
    plain, _ = fit(classifier(epochs=8))
    assert made == [model]
    assert result.validation >= 0.9
    assert not np.array_equal(weights(model)[-1], weights(plain)[-1])


def test_a_given_network_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = classifier(epochs=2)
    first, _ = fit(recipe)
    before = weights(first)
    said = script([0.5, 0.6])
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", said)
    model, result = fit(recipe, start=first, epochs=1, learning_rate=1e-6)
    assert model is first
    assert result.network is None
    assert result.epochs == 1
    assert (result.best_epoch, result.start_validation, result.history) == (1, 0.5, (0.6,))
    moved = [np.abs(a - b).max() for a, b in zip(before, weights(model), strict=True)]
    assert 0.0 < max(moved) < 1e-3


@pytest.mark.parametrize("after", [(0.7, 0.8), (0.8, 0.8), (float("nan"), 0.1)])
def test_a_given_network_is_kept_where_no_epoch_is_better(
    after: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = classifier(epochs=2)
    first, _ = fit(recipe)
    before = weights(first)
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", script([0.8, *after]))
    watch = recorder()
    model, result = fit(recipe, seed=1, start=first, callbacks=[watch])
    assert (result.best_epoch, result.validation, result.start_validation) == (0, 0.8, 0.8)
    assert len(result.history) == 2
    assert not np.array_equal(watch.seen[1][-1], before[-1])  # it was trained, in vain
    for kept, given in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(kept, given)


def test_what_a_given_network_scores_is_its_own_score() -> None:
    recipe, data = forecaster(epochs=3), forecast_data()
    first, _ = fit(recipe, data=data)
    before = evaluate(first, recipe, part="validation", data=data)["mse"]
    _, result = fit(recipe, data=data, start=first)
    assert result.start_validation == before
    assert result.validation == min(before, *result.history)


def test_a_start_that_callbacks_must_change_first_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = fit(classifier(epochs=2))
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", script([0.9, 0.8, 0.6, 0.7]))
    watch = recorder(lambda epoch: epoch >= 2)
    watch.finished = False
    _, result = fit(classifier(epochs=3), start=first, callbacks=[watch])
    assert (result.best_epoch, result.validation, result.start_validation) == (3, 0.7, 0.9)


def test_a_start_is_judged_with_the_zeros_of_its_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgernn_export.compress.pruning import MagnitudePruning, densities

    first, _ = fit(classifier(epochs=2))
    pruning = MagnitudePruning(0.5, end_step=0, allocation="gate")
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", script([0.9, 0.8]))
    model, result = fit(classifier(epochs=1), start=first, callbacks=[pruning])
    assert result.best_epoch == 0
    assert {row["all"] for row in densities(model).values()} == {0.5}


def test_a_start_whose_units_have_yet_to_go_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgernn_export.compress.structured import GroupLasso

    first, _ = fit(classifier(epochs=2))
    monkeypatch.setattr("edgernn_export.training.loop.evaluate", script([0.9, 0.8, 0.7, 0.6]))
    lasso = GroupLasso(1e-3, begin_step=4)  # the first epoch has four batches
    _, result = fit(classifier(epochs=3), start=first, callbacks=[lasso])
    assert (result.best_epoch, result.validation, result.start_validation) == (2, 0.7, 0.9)
