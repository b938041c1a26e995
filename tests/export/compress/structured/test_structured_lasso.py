"""Group lasso while Keras trains: exact zeros, and what is left of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import PruningError
from edgernn_export import quantize
from edgernn_export.compress.structured import GroupLasso, remove_units, unit_norms
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.report import quantization_report
from tests.support.models.keras import answer, sequential
from tests.support.training.pruning_runs import XS, YS, fit, network

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

#: Nothing is learned at a rate of 0.5 without gradients: what moves is the penalty alone.
RATE = 0.5


class Frozen(keras.optimizers.SGD):
    """An optimizer that leaves every weight."""

    def update_step(self, gradient, variable, learning_rate):
        pass


def still(kind: str = "LSTM", units: int = 6) -> Any:
    model = network(kind, units)
    model.compile(Frozen(RATE), loss="mse", run_eagerly=True)
    return model


def group(model: Any, unit: int) -> np.ndarray:
    """All weights of one unit of `rnn`, taken apart by hand."""
    cell, units = model.get_layer("rnn").cell, model.get_layer("rnn").units
    columns = list(range(unit, cell.kernel.shape[1], units))
    recurrent = np.array(cell.recurrent_kernel, dtype=np.float64)
    parts = [
        np.array(cell.kernel)[:, columns],
        np.array(cell.bias)[..., columns],
        recurrent[unit],
        np.delete(recurrent, unit, axis=0)[:, columns],
        np.array(model.get_layer("head").kernel)[unit],
    ]
    return np.concatenate([part.ravel() for part in parts]).astype(np.float64)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_one_step_is_the_soft_threshold_of_every_group(kind):
    model = still(kind)
    before = [group(model, unit) for unit in range(6)]
    cell = model.get_layer("rnn").cell
    recurrent = np.array(cell.recurrent_kernel, dtype=np.float64)
    strength = 0.01
    shrunk = [max(0.0, 1.0 - RATE * strength * np.sqrt(w.size) / np.linalg.norm(w)) for w in before]
    bias = np.array(cell.bias, dtype=np.float64)
    lasso = GroupLasso(strength)
    fit_one_batch(model, lasso)
    gates = cell.kernel.shape[1] // 6
    np.testing.assert_allclose(np.array(cell.bias), bias * np.tile(shrunk, gates), rtol=1e-5)
    factors = np.outer(shrunk, shrunk)
    np.fill_diagonal(factors, shrunk)  # a unit's weight to itself belongs to one group
    np.testing.assert_allclose(
        np.array(cell.recurrent_kernel), recurrent * np.tile(factors, gates), rtol=1e-5
    )
    assert 0.0 < min(shrunk) < 1.0
    assert lasso.step == 1


def fit_one_batch(model: Any, lasso: Any) -> None:
    model.fit(XS[:4], YS[:4], batch_size=4, verbose=0, callbacks=[lasso])


def test_groups_that_would_fall_below_zero_are_zero_and_the_largest_stays():
    model = still()
    norms = unit_norms(model)["rnn"]
    lasso = GroupLasso(1e3)
    fit_one_batch(model, lasso)
    after = lasso.norms()["rnn"]
    assert np.flatnonzero(after).tolist() == [int(np.argmax(norms))]
    assert remove_units(model).get_layer("rnn").units == 1


def test_the_threshold_takes_small_groups_and_begin_step_waits():
    model = still()
    lasso = GroupLasso(0.0, threshold=middle_norm(model), begin_step=1)
    fit_one_batch(model, lasso)
    assert np.count_nonzero(lasso.norms()["rnn"]) == 6
    fit_one_batch(model, lasso)
    assert np.count_nonzero(lasso.norms()["rnn"]) == 3


def middle_norm(model: Any) -> float:
    return float(np.median(unit_norms(model)["rnn"]))


def test_momentum_does_not_bring_a_group_back():
    model = network(units=6)
    lasso = GroupLasso(0.01, begin_step=4, threshold=middle_norm(model))
    fit(model, lasso, epochs=3)
    zero = lasso.norms()["rnn"] == 0.0
    assert 1 <= np.count_nonzero(zero) <= 5
    fit(model, GroupLasso(0.0), epochs=2)  # a new callback finds the zeros and keeps them
    assert np.array_equal(unit_norms(model)["rnn"] == 0.0, zero)
    assert [group(model, int(unit)).any() for unit in np.flatnonzero(zero)] == [False] * zero.sum()


def test_averaging_optimizers_do_not_bring_a_group_back():
    model = network(units=6)
    model.compile(keras.optimizers.SGD(0.02, use_ema=True), loss="mse", run_eagerly=True)
    lasso = GroupLasso(0.0, begin_step=4, threshold=middle_norm(model))
    fit(model, lasso, epochs=2)
    assert 1 <= np.count_nonzero(lasso.norms()["rnn"] == 0.0) <= 5


def test_layers_have_their_own_strength():
    model = sequential(
        L.GRU(4, return_sequences=True, name="a"), L.GRU(4, return_sequences=True, name="b"),
        L.Dense(2),
    )  # fmt: skip
    model.compile(Frozen(RATE), loss="mse", run_eagerly=True)
    bias = np.array(model.get_layer("a").cell.bias)
    lasso = GroupLasso({"b": 0.01})
    fit_one_batch(model, lasso)
    assert list(lasso.norms()) == ["b"]
    assert np.array_equal(np.array(model.get_layer("a").cell.bias), bias)


def task(streams: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise and its leaky sum: one state is enough."""
    xs = np.random.default_rng(seed).normal(size=(streams, 24, 2)).astype(np.float32)
    ys = np.zeros((streams, 24, 1), np.float32)
    total = np.zeros((streams, 1), np.float32)
    for t in range(24):
        total = 0.8 * total + 0.2 * xs[:, t, :1]
        ys[:, t] = total
    return xs, ys


def test_from_training_to_integers(tmp_path):
    keras.utils.set_random_seed(7)
    xs, ys = task(64, 1)
    layers = [L.GRU(12, return_sequences=True, name="rnn"), L.Dense(1, name="head")]
    model = keras.Sequential([keras.Input((None, 2)), *layers], name="leaky")
    model.compile(keras.optimizers.Adam(0.02), loss="mse")
    lasso = GroupLasso(0.1)
    model.fit(xs, ys, batch_size=16, epochs=40, verbose=0, callbacks=[lasso])
    assert lasso.report().startswith("batch 160\nlayer ")

    smaller = remove_units(model)
    units = smaller.get_layer("rnn").units
    assert units <= 6
    held_out, truth = task(8, 2)
    np.testing.assert_allclose(answer(smaller, held_out), answer(model, held_out), atol=1e-6)
    error = np.mean(np.square(answer(smaller, held_out) - truth))
    assert error < 0.02 * np.mean(np.square(truth))  # it has learned something

    integers = [quantize(m, xs, progress=False) for m in (model, smaller)]
    files = [m.save(tmp_path / f"{i}.edgernn") for i, m in enumerate(integers)]
    large, small = [path.stat().st_size for path in files]
    assert small < large
    assert integers[1].layers[0].units == units
    noise = [
        min(tensor.sqnr_db for tensor in quantization_report(read_keras(m), i, held_out).tensors)
        for m, i in zip((model, smaller), integers, strict=True)
    ]
    assert noise[1] > max(noise[0] - 6.0, 25.0)  # no worse than what quantization does to the large


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, "strength: expected a number of at least 0, got -1.0."),
        ({"strength": {"rnn": "x"}}, "strength['rnn']: expected a number of at least 0, got 'x'."),
        ({"strength": 1.0, "threshold": np.nan}, "threshold: expected a number of at least 0,"),
        ({"strength": 1.0, "begin_step": 1.5}, "begin_step: expected a whole number of at least"),
        (
            {"strength": {"rnn": 1.0}, "layers": ["rnn"]},
            "layers: expected None together with a dict of",
        ),
    ],
)
def test_refuses_settings(options, message):
    with pytest.raises(PruningError) as caught:
        GroupLasso(**options)
    assert message in str(caught.value)


def test_refuses_models():
    lasso = GroupLasso(0.1)
    with pytest.raises(PruningError, match="expected a callback that was used in fit"):
        lasso.report()
    with pytest.raises(PruningError, match="layer: expected the name of one recurrent or Dense"):
        fit_one_batch(still(), GroupLasso({"absent": 0.1}))
    fit_one_batch(still(), lasso)
    with pytest.raises(PruningError, match="expected the model of the earlier fit, got another"):
        fit_one_batch(still(), lasso)
    model = network(steps_per_execution=2)
    with pytest.raises(PruningError, match="expected steps_per_execution=1, got 2"):
        fit(model, GroupLasso(0.1))
    model = still()
    model.get_layer("rnn").cell.bias.assign(np.full(24, np.nan))
    with pytest.raises(Exception, match="NaN or infinite"):
        fit_one_batch(model, GroupLasso(0.1))


def test_refuses_weights_that_become_nan():
    model = network(units=4)
    model.compile(keras.optimizers.SGD(np.inf), loss="mse", run_eagerly=True)
    with pytest.raises(PruningError, match=r"'rnn' \(LSTM\): expected finite weights, got \d+"):
        fit_one_batch(model, GroupLasso(0.1))
