"""Channels that go change nothing: no weight reads them, or they never change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import CalibrationError, PruningError
from edgernn_export.compress.structured import remove_inputs
from tests.support.models.keras import answer, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = pytest.mark.tf

NEAR = {"rtol": 0.0, "atol": 1e-6}
NAMES = ("a", "b", "c", "d")
XS = readings(inputs=4)


def constant(*channels: int, value: float = 1013.3) -> np.ndarray:
    xs = XS.copy()
    xs[..., list(channels)] = value
    return xs


def unread(model: Any, *channels: int) -> Any:
    core = model.get_layer("first")
    kernel = getattr(core, "cell", core).kernel
    weights = np.array(kernel)
    weights[list(channels)] = 0.0
    kernel.assign(weights)
    return model


def first(kind: str) -> Any:
    layers: dict[str, Any] = {
        "lstm": lambda: L.LSTM(3, return_sequences=True, name="first"),
        "lstm_no_bias": lambda: L.LSTM(3, return_sequences=True, use_bias=False, name="first"),
        "gru_after": lambda: L.GRU(3, return_sequences=True, name="first"),
        "gru_no_bias": lambda: L.GRU(3, return_sequences=True, use_bias=False, name="first"),
        "gru_before": lambda: L.GRU(3, return_sequences=True, reset_after=False, name="first"),
        "simple_rnn": lambda: L.SimpleRNN(3, return_sequences=True, name="first"),
        "dense": lambda: L.Dense(3, activation="relu", name="first"),
    }
    return layers[kind]()


KINDS = ("lstm", "lstm_no_bias", "gru_after", "gru_no_bias", "gru_before", "simple_rnn", "dense")


@pytest.mark.parametrize("kind", KINDS)
def test_channels_that_nothing_reads_go(kind):
    tail = [L.GRU(2, return_sequences=True), L.Dense(1)]
    model = unread(sequential(first(kind), *tail, inputs=4), 0, 2)
    made = remove_inputs(model, input_names=NAMES)
    assert (made.kept, made.kept_names, made.unread, made.constant) == (
        (1, 3), ("b", "d"), ("a", "c"), {},
    )  # fmt: skip
    assert made.model.input_shape == (None, None, 2)
    np.testing.assert_allclose(answer(made.model, XS[..., [1, 3]]), answer(model, XS), **NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_constant_contributes_goes_into_the_bias(kind):
    tail = [L.GRU(2, return_sequences=True), L.Dense(1)]
    model = sequential(first(kind), *tail, inputs=4)
    xs = constant(1, value=0.75)
    made = remove_inputs(model, xs, input_names=NAMES)
    assert (made.kept, made.constant) == ((0, 2, 3), {"b": 0.75})
    np.testing.assert_allclose(answer(made.model, xs[..., [0, 2, 3]]), answer(model, xs), **NEAR)


def adapted(xs: np.ndarray, **options: Any) -> Any:
    layer = L.Normalization(name="scaling", **options)
    layer.adapt(xs.astype(np.float32))
    return layer


def test_normalization_keeps_the_channels_that_stay():
    xs = constant(2)
    rest = [first("lstm"), L.Dense(1)]
    model = keras.Sequential([keras.Input((None, 4)), adapted(xs), *rest])
    made = remove_inputs(unread(model, 0), xs)
    scaling = made.model.get_layer("scaling")
    old = model.get_layer("scaling")
    assert (made.kept, made.unread) == ((1, 3), ("x0",))
    assert made.constant == {"x2": pytest.approx(1013.3, rel=1e-6)}
    assert np.array_equal(np.array(scaling.mean).ravel(), np.array(old.mean).ravel()[[1, 3]])
    np.testing.assert_allclose(
        answer(made.model, xs[..., [1, 3]]), answer(model, xs), rtol=0.0, atol=1e-5
    )


@pytest.mark.parametrize(
    "scalings",
    [
        [lambda: L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 0.25])],
        [lambda: L.Normalization(mean=0.5, variance=2.0), lambda: L.Dropout(0.1)],
        [lambda: L.Rescaling([0.5, 1.0, 0.0, 2.0], offset=[0.0, 1.0, 2.0, 3.0])],
        [lambda: L.Rescaling(np.array([0.5, 1.0, 3.0, 2.0]), offset=0.5)],
        [lambda: L.BatchNormalization(), lambda: L.Rescaling(0.5)],
        [lambda: L.Normalization(axis=None, mean=0.5, variance=2.0)],
    ],
)
def test_scalings_before_the_first_layer(scalings, tmp_path):
    model = sequential(*(make() for make in scalings), first("gru_after"), L.Dense(1), inputs=4)
    xs = constant(1, value=2.5)
    made = remove_inputs(model, xs)
    kept = list(made.kept)
    assert 1 not in kept
    np.testing.assert_allclose(
        answer(made.model, xs[..., kept]), answer(model, xs), rtol=0.0, atol=1e-5
    )
    made.model.save(tmp_path / "smaller.keras")
    again = keras.saving.load_model(tmp_path / "smaller.keras")
    assert np.array_equal(answer(again, xs[..., kept]), answer(made.model, xs[..., kept]))


def test_a_channel_multiplied_by_zero_goes_without_streams():
    scaling = L.Rescaling([1.0, 0.0, 1.0, 1.0], offset=[0.0, 2.0, 0.0, 0.0])
    model = sequential(scaling, first("lstm"), L.Dense(1), inputs=4)
    made = remove_inputs(model)
    assert (made.kept, made.unread) == ((0, 2, 3), ("x1",))
    np.testing.assert_allclose(answer(made.model, XS[..., [0, 2, 3]]), answer(model, XS), **NEAR)


def test_nothing_to_remove_gives_a_copy_and_nested_models_shrink():
    body = keras.Sequential([L.Dropout(0.1), first("lstm")], name="body")
    given = keras.Input((None, 4), name="readings")
    model = keras.Model(given, L.Dense(1)(body(given)))
    made = remove_inputs(model, XS)
    assert (made.kept, made.unread, made.constant) == ((0, 1, 2, 3), (), {})
    assert np.array_equal(answer(made.model, XS), answer(model, XS))
    weights = np.array(body.get_layer("first").cell.kernel)
    weights[3] = 0.0
    body.get_layer("first").cell.kernel.assign(weights)
    fewer = remove_inputs(model).model
    assert fewer.get_layer("body").input_shape == (None, None, 3)
    np.testing.assert_allclose(answer(fewer, XS[..., :3]), answer(model, XS), **NEAR)


def test_refuses():
    model = unread(sequential(first("lstm"), L.Dense(1), inputs=4), 0)
    with pytest.raises(PruningError, match="got 1 unused and 3 constant channels"):
        remove_inputs(model, constant(0, 1, 2, 3))
    with pytest.raises(PruningError, match="input_names: expected 4 names, got"):
        remove_inputs(model, input_names=["a"])
    with pytest.raises(CalibrationError, match="expected finite values, got 1 NaN"):
        remove_inputs(model, np.where(np.arange(4) == 0, np.nan, np.ones((1, 4))))
