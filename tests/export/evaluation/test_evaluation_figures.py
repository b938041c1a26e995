"""The figures of an evaluation against formulas written out, and faults made on purpose."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import edgernn
from edgernn.errors import ClippedReadingsWarning, EdgeRnnError, ShapeError
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from edgernn_export import evaluate
from edgernn_export.evaluation import shortfalls
from edgernn_export.evaluation.shortfalls import over_time, worst_answers
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.events import Recorder, TensorEvents
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.evaluation import classifier, detector, forecaster, integer, readings
from tests.support.models.float import float_model
from tests.support.models.rates import strided_network


def scores(found):
    return {(s.metric, s.output): s for s in found.scores}


def test_errors_of_numbers():
    network, model = forecaster()
    stream, target = readings(50), 1.0 + readings(50, seed=9)[:, 0] ** 2
    found = evaluate(model, stream, target, float_model=network, progress=False)
    assert found.task == "regression"
    got = scores(found)
    for side, ys in (("float_value", found.answered.float_y), ("integer_value",
                     found.answered.integer_y)):  # fmt: skip
        errors = [y - t for y, t in zip(ys[:, 0].tolist(), target.tolist(), strict=True)]
        squares = sum(e * e for e in errors)
        mean = sum(target) / 50
        expected = {
            "rmse": (squares / 50) ** 0.5,
            "mae": sum(map(abs, errors)) / 50,
            "mape": 100 * sum(abs(e) / t for e, t in zip(errors, target, strict=True)) / 50,
            "r2": 1 - squares / sum((t - mean) ** 2 for t in target),
        }
        for name, value in expected.items():
            assert getattr(got[name, ""], side) == pytest.approx(value, rel=1e-9)
    rmse = got["rmse", ""]
    assert found.kept == rmse.kept == rmse.float_value / rmse.integer_value


def test_errors_are_per_output_and_the_least_is_kept():
    network, model = forecaster(outputs=3)
    stream = readings(60)
    target = evaluate(model, stream, float_model=network, progress=False).answered.float_y + 0.1
    target[:, 1] += 1.0
    found = evaluate(model, stream, target, float_model=network, metric="mae", progress=False)
    shares = [scores(found)["mae", name].kept for name in ("y0", "y1", "y2")]
    assert found.kept == min(shares)
    with pytest.raises(ShapeError, match=r"expected 3 values per row.*got 2"):
        evaluate(model, stream, target[:, :2], float_model=network, progress=False)


def test_undefined_metrics_are_none_and_valid_json():
    network, model = forecaster()
    found = evaluate(model, readings(20), np.zeros(20), float_model=network, progress=False)
    got = scores(found)
    assert got["mape", ""].float_value is None
    assert got["r2", ""].kept is None
    record = json.loads(found.to_json())
    assert {"metric": "mape", "output": "", "float_value": None, "integer_value": None,
            "kept": None} in record["scores"]  # fmt: skip


def test_scores_of_classes():
    window = Window(steps=6)
    network, model = classifier(window)
    # Of so many, one lies between two classes.
    sequences = np.stack([readings(6, seed=s) for s in range(300)])[120:160]
    labels = np.random.default_rng(0).integers(0, 3, 40)
    found = evaluate(model, sequences, labels, float_model=network, progress=False)
    assert found.task == "classification"
    said = np.argmax(found.answered.integer_y, axis=1)
    table = np.zeros((3, 3), dtype=int)
    for wanted, got in zip(labels, said, strict=True):
        table[wanted, got] += 1
    assert found.confusion.of_integer.tolist() == table.tolist()
    accuracy = np.trace(table) / 40
    f1 = np.mean(
        [2 * table[k, k] / (table[k].sum() + table[:, k].sum()) for k in range(3)
         if table[k].sum() + table[:, k].sum()]
    )  # fmt: skip
    assert scores(found)["accuracy", ""].integer_value == pytest.approx(accuracy)
    assert scores(found)["f1", ""].integer_value == pytest.approx(f1)
    floats = np.argmax(found.answered.float_y, axis=1)
    assert found.agreement == np.mean(floats == said)
    other = np.flatnonzero(floats != said)
    assert {m.stream for m in found.worst} >= {f"sequence {n}" for n in other[:5]}
    names = np.array(["rest", "walk", "run"])[labels]
    one_hot = np.eye(3)[labels]
    for same in (names, one_hot, list(names), labels.astype(float)):
        again = evaluate(model, sequences, same, float_model=network, progress=False)
        assert again.to_json() == found.to_json()


def test_labels_that_are_no_classes_are_refused():
    network, model = classifier(Window(steps=6))
    sequences = np.stack([readings(6, seed=s) for s in range(4)])
    for labels, text in (
        (["rest", "sit", "run", "walk"], r"names of outputs \(rest, walk, run\), got sit"),
        ([0, 1, 2, 3], r"class numbers 0\.\.2, got 3.*--task regression"),
        ([0, 1, 2], r"one per stream \(4\)"),
    ):
        with pytest.raises(EdgeRnnError, match=text):
            evaluate(model, sequences, labels, float_model=network, progress=False)


def test_zeros_and_ones_for_a_sigmoid_are_classes():
    network, model = detector()
    stream = readings(80)
    labels = (readings(80, seed=4)[:, 0] > 0).astype(int)
    found = evaluate(model, stream, labels, float_model=network, progress=False)
    assert found.task == "classification"
    yes = found.answered.integer_y[:, 0] >= 0.5
    assert 0 < np.count_nonzero(yes) < 80
    assert scores(found)["accuracy", ""].integer_value == np.mean(yes == labels)
    assert found.confusion.names == ("0", "1")
    number = evaluate(model, stream, labels, float_model=network, task="regression", progress=False)
    assert number.metric == "rmse"


def test_a_metric_of_ones_own_decides():
    network, model = forecaster()
    stream, target = readings(30), readings(30, seed=9)[:, 0]

    def hits(wanted, got):
        assert wanted.shape == got.shape == (30,)
        return float(np.mean(np.abs(wanted - got) < 0.5))

    found = evaluate(
        model, stream, target, float_model=network, metric=hits, higher_is_better=True,
        progress=False,
    )  # fmt: skip
    first = found.scores[0]
    assert (found.metric, first.metric) == ("hits", "hits")
    assert first.float_value == np.mean(np.abs(found.answered.float_y[:, 0] - target) < 0.5)
    assert found.kept == first.integer_value / first.float_value
    with pytest.raises(EdgeRnnError, match=r"metric 'noise'.*expected one number"):
        evaluate(model, stream, target, metric=noise, progress=False)
    with pytest.raises(EdgeRnnError, match="one of rmse, mae, mape, r2 for regression, got 'f1'"):
        evaluate(model, stream, target, metric="f1", progress=False)


def noise(target, answer):
    return target - answer


def test_the_horizon_takes_later_targets_of_the_same_stream():
    network, model = forecaster()
    streams = [readings(20, seed=1), readings(15, seed=2)]
    targets = [np.arange(20.0), 100 + np.arange(15.0)]
    found = evaluate(model, streams, targets, float_model=network, horizon=3, progress=False)
    expected = np.concatenate([np.arange(3.0, 20), 103 + np.arange(12.0)])
    there = np.isfinite(found.outputs[0].target[:, 0])
    assert found.outputs[0].target[there, 0].tolist() == expected.tolist()
    assert found.left_out == {"without a target": 6}
    error = found.answered.integer_y[there, 0] - expected
    assert scores(found)["rmse", ""].integer_value == pytest.approx(np.sqrt(np.mean(error**2)))
    with pytest.raises(EdgeRnnError, match="at least one output with a target, got none of 35"):
        evaluate(model, streams, targets, horizon=20, progress=False)


def test_missing_targets_are_left_out():
    network, model = forecaster()
    target = readings(30, seed=9)[:, 0]
    target[[3, 17]] = np.nan
    found = evaluate(model, readings(30), target, float_model=network, progress=False)
    assert found.left_out == {"without a target": 2}
    assert found.answers == 30
    kept = np.isfinite(target)
    error = found.answered.float_y[kept, 0] - target[kept]
    assert scores(found)["mae", ""].float_value == pytest.approx(np.mean(np.abs(error)))


def test_without_a_target_the_models_are_compared_alone():
    network, model = forecaster()
    found = evaluate(model, readings(40), float_model=network, progress=False)
    assert (found.scores, found.kept) == ((), None)
    difference = found.answered.integer_y[:, 0] - found.answered.float_y[:, 0]
    (one,) = found.departures
    assert one.rmse == pytest.approx(np.sqrt(np.mean(difference**2)))
    assert one.relative == pytest.approx(one.rmse / np.std(found.answered.float_y))
    assert one.largest == np.abs(difference).max()
    assert one.bias == pytest.approx(difference.mean())
    assert found.worst[0].place == np.argmax(np.abs(difference))


def test_without_a_float_network_the_integer_model_is_scored_alone():
    _, model = forecaster()
    found = evaluate(model, readings(40), readings(40, seed=9)[:, 0], progress=False)
    assert found.departures == found.worst == ()
    assert found.over_time is None
    assert scores(found)["rmse", ""].float_value is None
    assert scores(found)["rmse", ""].integer_value > 0


def test_clipped_readings_are_counted_and_what_they_cost():
    network, model = forecaster()
    stream = readings(400)
    low = model.input.offset + model.precision.input_low * model.input.scale
    high = model.input.offset + model.precision.input_high * model.input.scale
    stream[50:150, 1] = high[1] + 5.0
    stream[7, 0] = low[0] - 4.0
    target = evaluate(model, stream, float_model=network, progress=False).answered.float_y + 0.01
    found = evaluate(model, stream, target, float_model=network, progress=False)
    assert [c.share for c in found.clipped] == [1 / 400, 100 / 400]
    with edgernn.load(model) as session, pytest.warns(ClippedReadingsWarning):
        session.run(stream)
        assert session.clipped_readings == (1, 100)
    assert found.clipped[1].largest == stream[:, 1].max()
    assert found.clipped[1].high == high[1]
    inside = np.clip(stream, low, high)
    same = evaluate(model, inside, target, float_model=network, progress=False)
    np.testing.assert_array_equal(same.answered.integer_y, found.answered.integer_y)
    error = np.sqrt(np.mean((same.answered.float_y - target) ** 2))
    assert found.kept_by_float_on_clipped == pytest.approx(0.01 / error)
    assert found.kept_by_float_on_clipped < 0.9
    assert same.kept_by_float_on_clipped is None


@pytest.mark.filterwarnings("ignore::edgernn.DepartureWarning")
@pytest.mark.parametrize("window", [None, Window(steps=8)], ids=str)
def test_saturated_shares_are_those_of_the_whole_run(window):
    network = float_model("lstm", inputs=2, units=8, gain=12.0, seed=1, dense=((5, "relu"),))
    model = integer(network, window)
    streams = [4 * readings(600, seed=1), 4 * readings(90, seed=2)]
    recorder, answering = Recorder(), Recorder()
    codes = [model.interface().quantize(x) for x in streams]
    if window is None:
        for q_xs in codes:
            Reference(model, recorder).run(q_xs)
        events = recorder.tensors
    else:
        for q_xs in codes:
            for end in range(8, len(q_xs) + 1):
                _, state = Reference(model, recorder).run(q_xs[None, end - 8 : end - 1])
                Reference(model, answering).run(q_xs[None, end - 1 : end], state)
        lstm = {n: e for n, e in recorder.tensors.items() if n.startswith("lstm")}
        events = dict(answering.tensors)  # the Dense layer answers in the last step alone
        for name, before in lstm.items():
            last = events[name]
            events[name] = TensorEvents(
                values=before.values + last.values, saturated=before.saturated + last.saturated
            )
    found = evaluate(model, streams, progress=False).saturation
    assert found.steps == found.of_steps
    expected = {n: e.saturated / e.values for n, e in events.items() if e.saturated}
    assert any(name.startswith("dense") for name in expected)
    assert dict(found.shares) == pytest.approx(expected)


@pytest.mark.parametrize(("window", "steps"), [(None, 19 + 9), (Window(steps=8), (33 + 13) * 3)])
def test_all_steps_of_a_model_with_a_rate_are_those_that_it_answers(window, steps):
    rate = Rate(readings=2, first=4)
    model = replace(strided_network(Precision.W8A8, rate), window=window)
    streams = [np.random.default_rng(1).normal(0, 0.5, (count, 3)) for count in (40, 20)]
    found = evaluate(model, streams, progress=False).saturation
    assert (found.steps, found.of_steps) == (steps, steps)


@pytest.mark.filterwarnings("ignore::edgernn.DepartureWarning")
@pytest.mark.parametrize("window", [None, Window(steps=8)], ids=str)
def test_the_report_counts_as_evaluate_does(window):
    """Saturated values and clipped readings of the same recording are the same shares."""
    network = float_model("lstm", inputs=2, units=8, gain=12.0, seed=1)
    model = integer(network, window)
    streams = [4 * readings(600, seed=1), 4 * readings(90, seed=2)]
    found = evaluate(model, streams, progress=False)
    report = quantization_report(network, model, streams)
    assert report.saturations == found.saturation.shares
    assert report.input_clip_rate == tuple(channel.share for channel in found.clipped)
    assert any(report.input_clip_rate)
    assert len(report.saturations) > 4


def test_a_long_recording_is_looked_at_in_part(monkeypatch):
    monkeypatch.setattr(shortfalls, "_STEPS", 1000)
    _, model = forecaster()
    found = evaluate(model, readings(3000), progress=False).saturation
    assert (found.steps, found.of_steps) == (1000, 3000)


def test_an_error_that_grows_is_told_from_one_that_does_not():
    rng = np.random.default_rng(0)
    noise_only = np.abs(rng.normal(size=(5000, 1)))
    ramp = noise_only * np.linspace(0.5, 3.0, 5000)[:, None]
    position = np.arange(5000)
    assert not over_time(noise_only, position, "").grows
    grown = over_time(ramp, position, "")
    assert grown.grows
    expected = np.sqrt(np.mean(ramp[-500:] ** 2))
    assert grown.tenths[-1] == pytest.approx(expected)
    single = np.concatenate([noise_only[:4500], 9 * noise_only[4500:]])
    assert not over_time(single, position, "").grows  # one bad tenth is no trend


def test_an_error_over_steps_since_the_zero_state_is_the_same_for_all_streams():
    network, model = forecaster()
    streams = np.stack([readings(100, seed=s) for s in range(3)])
    found = evaluate(model, streams, float_model=network, answers="each", progress=False)
    y, q = (a.reshape(3, 100) for a in (found.answered.float_y, found.answered.integer_y))
    expected = np.sqrt(np.mean((q - y)[:, :10] ** 2)) / np.std(y)
    assert found.over_time.along == "steps since the zero state"
    assert found.over_time.tenths[0] == pytest.approx(expected)


def test_the_largest_differences_are_apart():
    size = np.zeros(500)
    size[[100, 101, 102, 300, 450]] = [5, 9, 8, 7, 6]
    stream = np.zeros(500, dtype=int)
    assert worst_answers(size, stream, np.arange(500), 3) == [101, 300, 450]
    assert worst_answers(size, stream, np.arange(500), 9) == [101, 300, 450]
    stream[102:] = 1
    assert worst_answers(size, stream, np.arange(500), 3) == [101, 102, 300]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"task": "both"}, r"task: expected one of auto, regression, classification, got 'both'"),
        ({"answers": "all"}, "answers: expected one of auto, each, last"),
        ({"horizon": -1}, "horizon: expected a whole number of at least 0, got -1"),
        ({"worst": 1.5}, "worst: expected a whole number of at least 0, got 1.5"),
        ({"group": "day"}, "expected a table to select a column from"),
    ],
)
def test_unknown_options_are_refused(option, text):
    _, model = forecaster()
    with pytest.raises(EdgeRnnError, match=text):
        evaluate(model, readings(10), **option)


def test_bad_readings_are_refused_with_their_place():
    _, model = forecaster()
    stream = readings(10)
    stream[4, 1] = np.nan
    with pytest.raises(EdgeRnnError, match=r"got nan \(stream 1, reading 4, channel 1; 1 in all"):
        evaluate(model, [readings(5), stream])
    with pytest.raises(ShapeError, match=r"\[T, 2\].*got \[10, 3\]"):
        evaluate(model, np.zeros((10, 3)))
    with pytest.raises(ShapeError, match="expected numbers, got"):
        evaluate(model, np.array([["a", "b"]]))


def test_pictures_of_every_kind(tmp_path):
    cases = {
        "numbers": (forecaster(), readings(60), readings(60, seed=9)[:, 0]),
        "alone": (forecaster(), readings(60), None),
        "classes": (classifier(), readings(60), np.zeros(60, dtype=int)),
        "sequences": (
            classifier(Window(steps=6)),
            np.stack([readings(6, seed=s) for s in range(5)]),
            [0, 1, 2, 0, 1],
        ),
        "streams": (forecaster(), [readings(4000), readings(300)], None),
    }
    for name, ((network, model), data, target) in cases.items():
        found = evaluate(model, data, target, float_model=network, progress=False)
        path = found.plot(tmp_path / f"{name}.png")
        assert path.read_bytes().startswith(b"\x89PNG")
    scored = evaluate(forecaster()[1], readings(60), readings(60, seed=9)[:, 0], progress=False)
    first = scored.plot(tmp_path / "integer.png").read_bytes()
    assert scored.plot(tmp_path / "again.png").read_bytes() == first
