"""The estimators of scikit-learn: what they answer is what the device answers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

import edgernn
from edgernn.errors import EdgeRnnError, ShapeError, TrainingError
from edgernn.model.interface import Window
from edgernn_export import EdgeRNNClassifier, EdgeRNNRegressor
from edgernn_export.sklearn_wrappers.tables import read_sequences, units_of
from tests.support.training.ridge_trainer import solve_head

pytestmark = pytest.mark.tf

RNG = np.random.default_rng(11)
X = RNG.normal(size=(240, 2)) * [1.0, 20.0] + [5.0, -300.0]
#: The mean of the last three readings of a channel, in units of its own.
Y = 1000.0 + 40.0 * np.convolve(np.concatenate([X[[0, 0], 0], X[:, 0]]), np.full(3, 1 / 3), "valid")
SIDE = np.where(np.median(Y) < Y, "high", "low")
TINY: dict[str, Any] = {
    "cell": "SimpleRNN", "units": 5, "epochs": 12, "batch": 16, "random_state": 0,
    "learning_rate": 0.03,
}  # fmt: skip


@pytest.fixture(scope="module")
def regressor() -> EdgeRNNRegressor:
    return EdgeRNNRegressor(window=6, **TINY).fit(X, Y)


@pytest.fixture(scope="module")
def classifier() -> EdgeRNNClassifier:
    return EdgeRNNClassifier(window=6, **TINY).fit(X, SIDE)


def test_a_regressor_answers_what_a_session_answers(regressor):
    answers = regressor.predict(X)
    with regressor.stream() as session:
        np.testing.assert_array_equal(session.run(X)[:, 0], answers)
    with regressor.stream() as session:
        np.testing.assert_array_equal([session.step(x)[0] for x in X[:20]], answers[:20])
    assert regressor.model_.window == Window(steps=6)
    assert regressor.score(X, Y) > 0.9
    assert len(regressor.loss_curve_) == 12
    assert regressor.loss_curve_[-1] < 0.3 * regressor.loss_curve_[0]


def test_the_float_network_is_there_for_comparison(regressor, classifier):
    from edgernn_export.training import windows

    padded = windows(X, 6, pad=True).x
    wanted = regressor.network_.predict(padded, verbose=0)[:, 0]
    np.testing.assert_allclose(regressor.predict_float(X), wanted, rtol=1e-4)
    difference = regressor.predict(X) - wanted
    assert 0 < np.std(difference) < 0.1 * np.std(wanted)
    probable = classifier.network_.predict(padded, verbose=0)
    np.testing.assert_allclose(classifier.predict_proba_float(X), probable, atol=1e-4)
    assert 0 < np.abs(classifier.predict_proba(X) - probable).mean() < 0.03


def test_a_classifier_has_classes_and_probabilities(classifier):
    assert classifier.classes_.tolist() == ["high", "low"]
    probable = classifier.predict_proba(X)
    np.testing.assert_allclose(probable.sum(axis=1), 1.0)
    assert (classifier.predict(X) == classifier.classes_[probable.argmax(axis=1)]).all()
    with classifier.stream() as session:
        np.testing.assert_array_equal(session.run(X, softmax=True), probable)
    assert classifier.score(X, SIDE) > 0.85
    assert classifier.model_.output.names == ("high", "low")


@pytest.mark.slow
def test_an_endless_stream_keeps_its_state():
    model = EdgeRNNRegressor(window=None, steps=20, **TINY).fit(X, Y)
    assert model.model_.window is None
    with model.stream() as session:
        np.testing.assert_array_equal(
            np.concatenate([session.run(X[:100]), session.run(X[100:])])[:, 0], model.predict(X)
        )
    wanted = np.asarray(model.network_(X[None].astype(np.float32)))[0, :, 0]
    np.testing.assert_allclose(model.predict_float(X), wanted, rtol=1e-3)
    assert model.score(X, Y) > 0.5


@pytest.fixture
def solved(monkeypatch):
    """Networks whose last layer is solved for, in place of training."""
    place = "edgernn_export.sklearn_wrappers.stream_estimator.train_network"
    monkeypatch.setattr(place, solve_head)


def test_sequences_have_an_answer_each(solved):
    sequences = X.reshape(40, 6, 2)
    last = np.stack([Y[5::6], -Y[5::6]], axis=1)
    model = EdgeRNNRegressor(layout="BTI", **TINY).fit(sequences, last)
    answers = model.predict(sequences)
    assert answers.shape == (40, 2)
    with model.stream() as session:
        for sequence, answer in zip(sequences, answers, strict=True):
            session.reset()
            np.testing.assert_array_equal(session.run(sequence)[-1], answer)
    wanted = model.network_.predict(sequences, verbose=0)
    np.testing.assert_allclose(model.predict_float(sequences), wanted, rtol=1e-4)
    model.set_params(layout="BIT")  # the axes of sktime
    np.testing.assert_array_equal(model.predict(sequences.swapaxes(1, 2)), answers)
    with pytest.raises(ShapeError, match="expected sequences of 6 steps and 2 channels"):
        model.predict(sequences)
    with pytest.raises(ShapeError, match="expected three axes BIT"):
        model.predict(X)
    model.set_params(layout="TI")
    for call in (model.predict, lambda x: model.partial_fit(x, last)):
        with pytest.raises(TrainingError, match="layout: expected 'BTI' or 'BIT' as in fit"):
            call(X)
    with pytest.raises(TrainingError, match="window: expected 'auto' or 2, the length"):
        EdgeRNNRegressor(layout="BIT", window=4).fit(sequences, last)


def test_data_frames_give_names_units_and_an_order(solved):
    import pandas as pd

    at = pd.date_range("2026-01-01", periods=240, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame(X, index=at, columns=["temperature", "pressure"])
    frame.attrs["units"] = {"temperature": "°C"}
    target = pd.Series(Y, index=at, name="load")
    quick = {**TINY, "epochs": 1}
    model = EdgeRNNRegressor(window=4, **quick).fit(frame, target)
    assert model.model_.input.names == ("temperature", "pressure")
    assert model.model_.input.units == ("°C", "")
    assert model.model_.output.names == ("load",)
    assert model.feature_names_in_.tolist() == ["temperature", "pressure"]
    # A session takes readings by name, and knows the channels of the stream.
    with model.stream() as session:
        first = session.step({"pressure": X[0, 1], "temperature": X[0, 0]})
    assert first[0] == model.predict(frame)[0]
    shuffled = frame.sample(frac=1.0, random_state=1)
    for call in (model.predict, lambda x: model.fit(x, target)):
        with pytest.raises(ShapeError, match="X: expected rows in time order"):
            call(shuffled)
    assert units_of(frame, {"pressure": None}, model.feature_names_in_) == ("", "")
    for given in (("K", "hPa"), {"pressure": "hPa", "temperature": "K"}):
        assert units_of(frame, given, model.feature_names_in_) == ("K", "hPa")
    pieces = [frame.iloc[:4], frame.iloc[4:8], frame.iloc[8:12]]
    np.testing.assert_array_equal(
        read_sequences(pieces, "BTI", None, None), X[:12].reshape(3, 4, 2)
    )
    assert units_of(pieces, None, model.feature_names_in_) == ("°C", "")
    with pytest.raises(ShapeError, match="expected data frames of one length"):
        read_sequences([*pieces, frame.iloc[:5]], "BTI", None, None)


def test_sequences_of_data_frames_keep_the_order_of_their_columns(solved):
    import pandas as pd

    frames = [pd.DataFrame(x, columns=["warm", "wet"]) for x in X.reshape(40, 6, 2)]
    turned = [frame[["wet", "warm"]] for frame in frames]
    model = EdgeRNNRegressor(layout="BTI", **{**TINY, "epochs": 1}).fit(frames, Y[5::6])
    assert model.model_.input.names == ("warm", "wet")
    for wrong in (turned, [*frames[:3], turned[3]]):
        with pytest.raises(ShapeError, match="columns warm, wet, in this order, got wet, warm"):
            model.predict(wrong)
    with pytest.raises(ShapeError, match="columns warm, wet, in this order, got wet, warm"):
        model.fit([*frames[:39], turned[39]], Y[5::6])


def test_names_that_no_model_has_are_refused_before_training(monkeypatch):
    import pandas as pd

    place = "edgernn_export.sklearn_wrappers.stream_estimator.train_network"
    monkeypatch.setattr(place, lambda *_: pytest.fail("it trains"))
    model = EdgeRNNRegressor(window=4, units=2)
    for x, y, words in (
        (pd.DataFrame(X, columns=["a\n", "b"]), Y, r"X: expected .* got 'a\\n'. Rename"),
        (X, pd.Series(Y, name="y" * 257), "y: expected column names of at most 256 characters"),
    ):
        with pytest.raises(ShapeError, match=words):
            model.fit(x, y)


def test_a_class_with_a_long_name_has_a_number(solved):
    classes = np.where(SIDE == "low", "l" * 300, "high")
    model = EdgeRNNClassifier(window=4, **{**TINY, "epochs": 1}).fit(X, classes)
    assert model.model_.output.names == ("class_0", "class_1")
    assert set(model.predict(X)) <= set(classes)


@pytest.mark.parametrize(
    "units, words",
    [
        (("K",), "channel_units: expected 2 units, one for each channel"),
        ("Kx", "channel_units: expected 2 units, one for each channel"),
        ({"x7": "K"}, "channel_units: expected channels among x0, x1, got 'x7'"),
    ],
)
def test_units_of_other_channels(units, words):
    with pytest.raises(ShapeError, match=words):
        EdgeRNNRegressor(channel_units=units, units=2, epochs=1).fit(X[:30], Y[:30])


@pytest.mark.long
def test_partial_fit_goes_on_where_it_was():
    model = EdgeRNNRegressor(window=6, **{**TINY, "epochs": 4})
    first = model.partial_fit(X[:120], Y[:120]).model_
    before = model.network_.layers[0].get_config()
    model.partial_fit(X[120:] * 1.5, Y[120:])
    assert len(model.loss_curve_) == 8
    fresh = EdgeRNNRegressor(window=6, **{**TINY, "epochs": 1})
    fresh.partial_fit(X[120:] * 1.5, Y[120:])
    assert model.loss_curve_[4] < fresh.loss_curve_[0]
    after = model.network_.layers[0].get_config()  # the standardization stays
    np.testing.assert_array_equal(before["mean"], after["mean"])
    # Calibration knows both stretches.
    assert model.model_.input.scale[0] > first.input.scale[0]
    with pytest.raises(TrainingError, match="partial_fit: expected the cell, units, layers"):
        model.set_params(units=4).partial_fit(X, Y)
    with pytest.raises(ValueError, match="y: expected 1 values for each row, got 2"):
        model.set_params(units=5).partial_fit(X, np.stack([Y, Y], axis=1))


def test_classes_of_later_stretches_are_named_in_the_first(solved):
    model = EdgeRNNClassifier(window=4, **{**TINY, "epochs": 1})
    model.partial_fit(X[:40], np.resize([1, 2], 40), classes=[1, 2, 3])
    assert model.partial_fit(X[:40], np.resize([3, 2], 40)).classes_.tolist() == [1, 2, 3]
    assert model.predict_proba(X[:5]).shape == (5, 3)
    with pytest.raises(ValueError, match=r"expected classes among .1 2 3., got 4"):
        model.partial_fit(X[:40], np.resize([3, 4], 40))
    with pytest.raises(ValueError, match="expected the classes of the first call"):
        model.partial_fit(X[:40], np.resize([3, 2], 40), classes=[2, 3])


def test_it_writes_files_that_sessions_open(regressor, tmp_path):
    written = regressor.export(tmp_path / "build", ("tflite", "c"), name="mean")
    assert list(written) == ["edgernn", "tflite", "c"]
    wanted = regressor.predict(X)
    for kind in ("edgernn", "tflite"):
        with edgernn.load(written[kind], warm_up="pad") as session:
            np.testing.assert_array_equal(session.run(X)[:, 0], wanted)
    assert regressor.export(tmp_path, ()) == {"edgernn": tmp_path / "model.edgernn"}
    with pytest.raises(EdgeRnnError, match="expected formats among"):
        regressor.export(tmp_path, ("pdf",))


def test_estimators_are_pickled_with_both_networks(classifier):
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict(X), classifier.predict(X))
    np.testing.assert_array_equal(again.predict_proba_float(X), classifier.predict_proba_float(X))


@pytest.mark.slow
def test_a_seed_repeats_a_training_and_leaves_other_random_numbers_alone():
    import random

    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    fresh = [random.random(), np.random.random()]  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    models = [
        EdgeRNNRegressor(cell="SimpleRNN", units=2, epochs=1, random_state=s) for s in (5, 5, 6)
    ]
    one, same, other = [m.fit(X[:40], Y[:40]).model_.sha256 for m in models]
    assert one == same != other
    assert [random.random(), np.random.random()] == fresh  # noqa: NPY002


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"cell": "Elman"}, "network: expected a cell among SimpleRNN, LSTM, GRU, .*, got 'Elman'"),
        ({"cell": "CfC"}, "cell: expected one that reads equally spaced readings, got 'CfC'"),
        ({"units": 0}, "network units: expected a whole number >= 1, got 0"),
        ({"layers": 1.5}, "network layers: expected a whole number >= 1"),
        ({"window": 0}, "window: expected a whole number >= 1"),
        ({"window": 40_000}, "window: expected at most 32767 readings"),
        ({"window": "long"}, "window: expected a whole number >= 1, got 'long'"),
        ({"layout": "IT"}, "layout: expected one of TI, BTI, BIT, got 'IT'"),
        ({"epochs": 0}, "epochs: expected a whole number >= 1"),
        ({"batch": True}, "batch: expected a whole number >= 1, got True"),
        ({"steps": 0}, "steps: expected a whole number >= 1"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number in"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number in .* got 'fast'"),
        ({"learning_rate": True}, "learning_rate: expected a number in .* got True"),
        ({"input_range": (-5, 5)}, r"input_range: expected finite \(low, high\)"),
        ({"clip_norm": -1.0}, "clipping norm: expected a number above 0"),
        ({"precision": "int8"}, "int8"),
    ],
)
def test_parameters_that_cannot_be(parameters, words):
    fixed = {"units": 2, "epochs": 1}
    with pytest.raises(EdgeRnnError, match=words):
        EdgeRNNRegressor(**{**fixed, **parameters}).fit(X[:20], Y[:20])


@pytest.mark.parametrize("cell", ["FastGRNN", "linear_recurrence"])
def test_cells_of_edgernn(cell):
    model = EdgeRNNRegressor(cell=cell, units=2, epochs=1, window=4).fit(X[:40], Y[:40])
    assert model.predict(X[:20]).shape == Y[:20].shape


def test_a_channel_that_never_changes_does_no_harm(solved):
    still = np.column_stack([X[:, 0], np.full(240, 7.0)])
    model = EdgeRNNRegressor(window=4, **TINY)
    with pytest.warns(edgernn.CalibrationWarning, match="x1"):
        model.fit(still, Y)
    assert model.score(still, Y) > 0.3
