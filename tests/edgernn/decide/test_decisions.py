"""Decisions against loops over whole recordings; their tables, states and messages."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.decide.anomaly import AnomalyScore
from edgernn.decide.class_smoothing import ClassSmoothing
from edgernn.decide.decisions import DECISIONS, Decisions
from edgernn.decide.drift import DriftAlarm, ReferenceValues
from edgernn.decide.quantile import StreamingQuantile
from edgernn.decide.threshold import Threshold
from edgernn.errors import DeclarationError, ReadingError, ShapeError, StateError

NAN = math.nan


def made(*decisions, inputs=("t", "u"), outputs=("a", "b", "c")):
    return Decisions(decisions=decisions).bound(inputs, outputs)


def decided(decisions, ys, xs=None, times=None):
    stream = decisions.stream()
    xs = [None] * len(ys) if xs is None else xs
    times = [None] * len(ys) if times is None else times
    return [stream.push(t, x, y) for t, x, y in zip(times, xs, ys, strict=True)]


def switched(values, times, on, off, counts, seconds, below):
    """On or off after every reading: the last state that a whole run of readings supports."""
    if below:
        values, on, off = [-v for v in values], -on, -off
    is_on, run, result = False, [], []
    for value, t in zip(values, times, strict=True):
        if not math.isnan(value):
            supports = value < off if is_on else value >= on
            run = [*run, t] if supports else []
            if run and len(run) >= counts[is_on] and run[-1] - run[0] >= seconds[is_on]:
                is_on, run = not is_on, []
        result.append(is_on)
    return result


@given(
    st.lists(st.tuples(st.one_of(st.just(NAN), st.integers(0, 9)), st.integers(1, 5)), max_size=60),
    st.integers(0, 9), st.integers(0, 4), st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(0, 9), st.integers(0, 9)), st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_thresholds(readings, on, gap, counts, seconds, below):
    times = np.cumsum([0, *(step for _, step in readings)])[1:].tolist()
    values = [float(v) for v, _ in readings]
    off = on + gap if below else on - gap
    decision = Threshold(
        name="alarm", of="b", on=on, off=off, below=below, on_readings=counts[0],
        off_readings=counts[1], on_s=seconds[0], off_s=seconds[1],
    )  # fmt: skip
    got = decided(made(decision), [[0.0, v, 0.0] for v in values], times=times)
    assert [one["alarm"] for one in got] == switched(values, times, on, off, counts, seconds, below)


@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=40),
    st.integers(1, 9), st.sets(st.integers(0, 39)),
)  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_smoothed_classes(ys, readings, missing):
    rows = [[NAN] * 3 if i in missing else list(y) for i, y in enumerate(ys)]
    for method in ("mean", "majority"):
        decision = ClassSmoothing(name="state", readings=readings, method=method)
        got = decided(made(decision), rows)
        for t, one in enumerate(got):
            window = [y for y in rows[: t + 1] if not math.isnan(y[0])][-readings:]
            if not window:
                assert one == {"state": "", "state_share": 0.0}
                continue
            if method == "mean":
                shares = np.mean(window, axis=0)
            else:
                votes = Counter(int(np.argmax(y)) for y in window)
                shares = np.array([votes[i] / len(window) for i in range(3)])
            assert one["state_share"] == pytest.approx(shares.max(), abs=1e-12)
            own = shares["abc".index(one["state"])]
            assert own == pytest.approx(shares.max(), abs=1e-12)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["normal", "exponential", "uniform"])
def test_quantiles_of_long_streams(quantile, kind):
    values = getattr(np.random.default_rng(5), kind)(size=20_000)
    estimate = StreamingQuantile(quantile)
    for x in values.tolist():
        estimate.push(x)
    share = np.mean(values <= estimate.value)
    assert abs(share - quantile) < 0.06 * min(quantile, 1 - quantile) + 0.002
    assert len(estimate.state()) == 11


def test_quantiles_of_few_values_are_values():
    estimate = StreamingQuantile(0.5)
    assert estimate.value == 0.0
    for count, x in enumerate([5.0, 1.0, 3.0, 2.0, 4.0], 1):
        estimate.push(x)
        seen = sorted([5.0, 1.0, 3.0, 2.0, 4.0][:count])
        assert estimate.value == seen[min(int(0.5 * count), count - 1)]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200))
@settings(deadline=None, max_examples=60)
def test_quantiles_stay_within_the_values(values):
    estimate = StreamingQuantile(0.9)
    for x in values:
        estimate.push(x)
    assert min(values) <= estimate.value <= max(values)


def test_scores_compare_the_forecast_with_what_came():
    decision = AnomalyScore(
        name="score", output="b", input="u", horizon=3, quantile=0.9, warm_up=10, memory=50
    )
    rng = np.random.default_rng(0)
    u, f = rng.normal(size=400), rng.normal(size=400)
    u[350] += 100.0
    got = decided(made(decision), np.c_[f, f, f].tolist(), np.c_[u, u].tolist())
    residuals = [abs(u[t] - f[t - 3]) for t in range(3, 400)]
    for t, one in enumerate(got):
        if t < 3:
            assert one["score"] == 0.0
            continue
        k = t - 3  # residuals before this one
        # The estimate covers all residuals since the last restart that is 50 or more behind.
        start = max(0, (k - 50) // 50 * 50)
        usual = StreamingQuantile(0.9)
        for x in residuals[start:k]:
            usual.push(x)
        wanted = 0.0 if k < 10 else residuals[k] / usual.value
        assert one["score"] == pytest.approx(wanted, rel=1e-12), k
    assert got[350]["score"] > 20


def test_scores_of_missing_values_are_zero():
    decision = AnomalyScore(name="score", output="a", input="t", warm_up=5)
    ys = [[float(i % 7), 0.0, 0.0] for i in range(50)]
    xs = [[float(i % 5), 0.0] for i in range(50)]
    xs[30][0], ys[40][0] = NAN, NAN
    got = decided(made(decision), ys, xs)
    assert got[30]["score"] == got[41]["score"] == 0.0
    assert got[29]["score"] > 0 < got[42]["score"]
    assert all(one["score"] == 0.0 for one in decided(made(decision), ys))


def psi(now, then):
    return float(np.sum((now - then) * np.log(now / then)))


def test_drift_of_range_and_of_distribution():
    rng = np.random.default_rng(4)
    seen = {"t": rng.normal(size=5_000), "u": rng.uniform(-1, 1, 5_000)}
    decisions = made(DriftAlarm(name="drift", readings=500)).measured(seen)
    reference = decisions.decisions[0].references[1]
    parts = [
        np.c_[rng.normal(size=500), rng.uniform(-1, 1, 500)],
        np.c_[rng.normal(size=500), rng.uniform(0, 1, 500)],  # within the range, another shape
        np.c_[rng.normal(4.5, 1, 500), rng.uniform(-1, 1, 500)],
        np.c_[rng.normal(size=500), rng.uniform(-1, 1, 500)],
    ]
    xs = np.concatenate(parts)
    got = decided(decisions, [[0.0] * 3] * len(xs), xs.tolist())
    ends = [got[500 * (i + 1) - 1] for i in range(4)]
    assert [one["drift"] for one in ends] == [False, True, True, False]
    assert [one["drift_outside"] > 0.5 for one in ends] == [False, False, True, False]
    assert got[498] == {"drift": False, "drift_outside": 0.0, "drift_psi": 0.0}
    counts = np.histogram(parts[1][:, 1], [-np.inf, *reference.edges, np.inf])[0]
    now = (counts + 0.5) / (500 + 0.5 * len(counts))
    assert ends[1]["drift_psi"] == pytest.approx(psi(now, np.array(reference.shares)), rel=1e-9)


def test_what_calibration_saw():
    found = ReferenceValues.of("t", [1.0, 2.0, 2.0, 2.0, 5.0, NAN])
    assert (found.low, found.high) == (1.0, 5.0)
    assert len(found.shares) == len(found.edges) + 1
    assert math.fsum(found.shares) == pytest.approx(1.0)
    assert ReferenceValues.of("t", [3.0] * 9).edges == (3.0,)
    assert ReferenceValues.of("t", [NAN]).low == 0.0


ALL = made(
    AnomalyScore(name="score", output="b", input="u", warm_up=5, memory=20),
    Threshold(name="alarm", of="score", on=2.0, off=1.0, off_readings=2, on_s=1.0),
    ClassSmoothing(name="state", readings=3),
    ClassSmoothing(name="vote", readings=4, method="majority", classes=("a", "c")),
    Threshold(name="sure", of="state_share", on=0.6),
    DriftAlarm(name="drift", readings=20),
).measured({"t": np.arange(100.0), "u": np.arange(100.0)})


def test_streams_go_on_from_any_state():
    rng = np.random.default_rng(8)
    xs, ys = rng.uniform(0, 130, (200, 2)), rng.random((200, 3))
    xs[rng.random((200, 2)) < 0.1] = NAN
    ys[rng.random(200) < 0.1] = NAN
    times = np.cumsum(rng.random(200))
    rows = list(zip(times.tolist(), xs.tolist(), ys.tolist(), strict=True))
    whole, stream = ALL.stream(), ALL.stream()
    for t, x, y in rows:
        blob = stream.to_bytes()
        stream = ALL.stream()
        stream.from_bytes(blob)
        assert stream.to_bytes() == blob
        assert stream.push(t, x, y) == whole.push(t, x, y)
    assert stream.to_bytes() == whole.to_bytes()
    assert Decisions.from_json(ALL.to_json()) == ALL


def test_a_model_calibrated_with_other_data_goes_on_with_all_but_the_drift_window():
    again = dataclasses.replace(
        ALL, decisions=(*ALL.decisions[:-1], DriftAlarm(name="drift", readings=20))
    ).measured({"t": np.arange(50.0), "u": np.ones(100)})  # fewer bins too
    assert again.sha256 != ALL.sha256
    stream = ALL.stream()
    for i in range(50):
        stream.push(float(i), [500.0, 500.0], [0.1, 0.2 + i % 3, 0.9])
    new = again.stream()
    new.from_bytes(stream.to_bytes())
    row = (50.0, [1.0, 1.0], [0.9, 4.0, 0.0])
    before, now = stream.push(*row), new.push(*row)
    assert before["score"] > 0.0 and before["drift"] is True
    same = {name: value for name, value in before.items() if not name.startswith("drift")}
    assert now == same | {"drift": False, "drift_outside": 0.0, "drift_psi": 0.0}
    for i in range(19):
        last = new.push(51.0 + i, [1.0, 1.0], row[2])
    assert last["drift_outside"] == 0.0 and last["drift_psi"] > 0.0  # a whole window of its own


def test_a_reset_forgets_readings_but_not_what_is_usual():
    stream = ALL.stream()
    for i in range(40):
        stream.push(float(i), [float(i)] * 2, [0.1, 0.2, 0.9])
    stream.reset()
    after = stream.push(50.0, [5.0, 5.0], [0.9, 0.0, 0.0])
    assert after["state"] == "a"
    assert after["score"] == 0.0
    assert after["alarm"] is False
    assert after["drift_psi"] > 0.0


def test_states_of_others_and_damaged_ones_are_refused():
    stream = ALL.stream()
    blob = stream.to_bytes()
    other = made(Threshold(name="alarm", of="a", on=2.0)).stream()
    with pytest.raises(StateError, match="decisions: expected a state of the decisions"):
        other.from_bytes(blob)
    for place in range(0, len(blob), 5):
        broken = bytearray(blob)
        broken[place] ^= 1
        with pytest.raises(StateError, match="decisions: expected"):
            stream.from_bytes(bytes(broken))


def test_every_kind_is_read_from_a_table_and_all_problems_come_at_once():
    tables = [
        {"kind": "threshold", "name": "n1", "of": "a", "on": 1},
        {"kind": "smooth", "name": "n2"},
        {"kind": "anomaly", "name": "n3", "output": "a", "input": "t"},
        {"kind": "drift", "name": "n4"},
    ]
    assert {table["kind"] for table in tables} == set(DECISIONS)
    read = Decisions.from_table({"softmax": True, "decisions": tables})
    assert Decisions.from_json(read.to_json()) == read
    assert read.results[:2] == ("n1", "n2")
    wrong = [
        {"kind": "treshold"},
        {"kind": "threshold", "name": "x", "of": "a", "on": 1, "off": 2},
        {"kind": "threshold", "name": "x", "of": "a", "on": 1, "off": 0, "below": True},
        {"kind": "anomaly", "name": "y", "output": "a", "input": "t", "memory": 50},
        {"kind": "drift", "name": "z", "references": [{"channel": "t"}]},
        5,
    ]
    with pytest.raises(DeclarationError) as caught:
        Decisions.from_table({"decisions": wrong}, "decide.toml")
    parts = (
        'decision 1: expected kind = "threshold"', "off: expected at most on (1), got 2.",
        "off: expected at least on (1) with below, got 0.",
        "warm_up: expected at most memory (50), got 100.",
        "references: expected low (least calibration value), got none",
    )  # fmt: skip
    assert all(any(part in reason for reason in caught.value.reasons) for part in parts)


@pytest.mark.parametrize(
    ("decisions", "match"),
    [
        ((Threshold(name="x", of="d", on=1),), 'of: expected "a", "b" or "c", got .d.'),
        ((Threshold(name="a", of="b", on=1),), "expected a new name, got .a., which is taken"),
        ((ClassSmoothing(name="x", classes=("q",)),), "classes: expected"),
        (
            (AnomalyScore(name="x", output="t", input="a"),),
            "output: expected .*\n.*input: expected",
        ),
        ((DriftAlarm(name="x", channels=("v",)),), 'channels: expected "t" or "u", got .v.'),
    ],
)
def test_decisions_must_fit_the_model(decisions, match):
    with pytest.raises(DeclarationError, match=match):
        made(*decisions)


def test_streams_need_a_model_and_calibration():
    with pytest.raises(DeclarationError, match="expected those of a model, got none"):
        Decisions(decisions=(Threshold(name="x", of="d", on=1),)).stream()
    with pytest.raises(DeclarationError, match="drift: expected what calibration saw, got none"):
        made(DriftAlarm(name="drift")).stream()
    with pytest.raises(ShapeError, match="expected 2 inputs and 3 outputs, got none and 1"):
        ALL.stream().push(0.0, None, [1.0])
    with pytest.raises(ReadingError, match="slow: expected a time with every reading"):
        made(Threshold(name="slow", of="a", on=1, on_s=5)).stream().push(None, None, [2.0, 0, 0])
