"""A pipeline answers as one session per stream does, however readings are batched or saved."""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgernn
from edgernn.connections.arrival import Arrival
from edgernn.errors import ClippedReadingsWarning, StateError
from edgernn.service.pipeline import Pipeline
from edgernn.service.stream_record import UNNUMBERED, StreamRecord, split_bytes
from tests.support.models.integer import random_model

pytestmark = [
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]
MODEL = random_model("gru_after", inputs=2, outputs=2)


def readings(rng, keys, count):
    """Numbered readings of several streams, some of which lack a value."""
    numbers = dict.fromkeys(keys, 0)
    for _ in range(count):
        key = rng.choice(keys)
        numbers[key] += 1
        values = [rng.gauss(0, 1), rng.gauss(0, 1)]
        if rng.random() < 0.15:
            values[rng.randrange(2)] = rng.choice([math.nan, math.inf])
        yield Arrival(key, values, sequence=numbers[key])


def expected(arrivals):
    """Outputs of one session per stream, in the order of the readings."""
    with edgernn.load(MODEL, on_bad_reading="hold") as first:
        sessions = {}
        for arrival in arrivals:
            session = sessions.setdefault(arrival.key, first.new_stream())
            yield session.step(arrival.values).tolist()


def same(found, wanted):
    np.testing.assert_array_equal(np.array(found), np.array(list(wanted)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), capacity=st.sampled_from([None, 1, 3]))
def test_batches_evictions_and_restarts_change_no_bit(seed, capacity):
    rng = random.Random(seed)
    arrivals = list(readings(rng, [f"k{i}" for i in range(6)], 120))
    saved: dict[str, bytes] = {}
    outputs, numbers, start = [], [], 0

    def look_up(keys):
        return {key: saved[key] for key in keys if key in saved}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        pipeline = Pipeline(MODEL, capacity=capacity, saved=look_up)
        while start < len(arrivals):
            batch = arrivals[start : start + rng.randint(1, 25)]
            results = pipeline.process(batch)
            outputs += [result.y for result in results]
            numbers += [(result.key, result.sequence) for result in results]
            start += len(batch)
            if rng.random() < 0.4:
                saved |= pipeline.take_changed()
                if rng.random() < 0.5:  # a restart
                    pipeline.close()
                    pipeline = Pipeline(MODEL, capacity=capacity, saved=look_up)
        pipeline.close()
        same(outputs, expected(arrivals))
    assert numbers == [(arrival.key, arrival.sequence) for arrival in arrivals]


def test_readings_that_come_again_change_nothing():
    arrivals = list(readings(random.Random(1), ["a", "b"], 40))
    pipeline = Pipeline(MODEL)
    pipeline.process(arrivals)
    before = pipeline.export(["a", "b"])
    assert pipeline.process(arrivals) == []
    assert pipeline.counts["repeated"] == 40
    assert pipeline.export(["a", "b"]) == before
    pipeline.close()


def test_a_device_that_counts_anew_goes_on_with_its_stream():
    record = StreamRecord(number=100, time_s=50.0)
    assert record.repeats(3, None)
    assert record.repeats(3, 50.0)
    assert record.repeats(100, 49.0)
    assert not record.repeats(1, 51.0)
    assert not record.repeats(101, None)
    assert not record.repeats(None, None)


NOW_S, LATER_S = 1.8e9, 4.1e9  # 2027 and 2099


@pytest.mark.parametrize("before", [0, 50])
def test_a_device_whose_clock_was_far_ahead_goes_on_with_its_stream_after_a_restart(before):
    pipeline = Pipeline(MODEL)
    xs = [0.5, 0.5]
    early = [Arrival("a", xs, NOW_S + n, n) for n in range(1, before + 1)]
    wrong = [Arrival("a", xs, LATER_S + n, n) for n in range(before + 1, 101)]
    right = [Arrival("a", xs, NOW_S + 200 + n, n) for n in range(1, 31)]
    for arrivals in (early, wrong, right):
        assert len(pipeline.process(arrivals, [NOW_S] * len(arrivals))) == len(arrivals)
        again = arrivals[len(arrivals) // 2 :]
        assert pipeline.process(again, [NOW_S + 60] * len(again)) == []
    pipeline.close()


def test_a_service_whose_own_clock_is_not_set_believes_all_times():
    record = StreamRecord()
    record.take(100, NOW_S, 60.0)
    assert record.repeats(100, NOW_S, NOW_S)
    assert not record.repeats(1, NOW_S + 1, 120.0)


def test_a_device_that_counts_anew_without_times_is_told():
    pipeline = Pipeline(MODEL)
    told = []
    pipeline.tell(lambda key, text: told.append((key, text)))
    pipeline.process([Arrival("a", [0.5, 0.5], sequence=5000)])
    again = [Arrival("a", [0.5, 0.5], sequence=n) for n in range(1, 251)]
    assert pipeline.process(again) == []
    assert [key for key, _ in told] == ["a", "a"]
    assert told[0][1].startswith("expected a reading with a number above 5000, got 100 and 100 rep")
    assert len(pipeline.process([Arrival("a", [0.5, 0.5], sequence=5001)])) == 1
    pipeline.process(again[:99])
    assert len(told) == 2
    pipeline.close()


def test_what_holds_no_reading_is_counted_and_left_out():
    pipeline = Pipeline(MODEL)
    told = []
    pipeline.tell(lambda key, text: told.append((key, text)))
    arrivals = [
        Arrival("", [1.0, 2.0]),
        Arrival("a", [], problem="expected JSON, got '{'"),
        Arrival("a\0", [1.0, 2.0]),
        Arrival("\ud800", [1.0, 2.0]),
        Arrival("a", [1.0, 2.0]),
    ]
    assert [result.key for result in pipeline.process(arrivals)] == ["a"]
    assert pipeline.counts["unreadable"] == 4
    assert [text.partition(", got")[0] for _, text in told] == [
        "expected a key of letters that can be saved"
    ] * 2
    pipeline.close()


@pytest.mark.parametrize(
    "values",
    [[1.0], [1.0, 2.0, 3.0], {"no": 1.0}, ["x", None], [10**400, 1.0], [[1.0], 2.0]],
)
def test_what_is_no_number_is_a_missing_value(values):
    pipeline = Pipeline(MODEL)
    good = pipeline.process([Arrival("a", [0.5, 0.5]), Arrival("b", [0.5, 0.5])])
    (bad, other) = pipeline.process([Arrival("a", values), Arrival("b", [0.25, 0.5])])
    assert bad.bad
    assert bad.y != good[0].y or all(map(math.isfinite, bad.y))
    same([good[1].y, other.y], expected([Arrival("b", [0.5, 0.5]), Arrival("b", [0.25, 0.5])]))
    assert not other.bad
    pipeline.close()


def test_numbers_are_counted_where_the_source_has_none():
    pipeline = Pipeline(MODEL)
    results = pipeline.process([Arrival(key, [0.0, 0.0]) for key in "aabab"], [5.0] * 5)
    assert [(r.key, r.sequence, r.time_s) for r in results] == [
        ("a", 1, 5.0), ("a", 2, 5.0), ("b", 1, 5.0), ("a", 3, 5.0), ("b", 2, 5.0),
    ]  # fmt: skip
    pipeline.close()


def test_bytes_of_a_stream_come_back():
    record = StreamRecord(steps=3, number=7, time_s=1.5)
    again, state, preparation, decisions = split_bytes(record.to_bytes(b"state"), "a")
    assert (again.steps, again.number, again.time_s) == (3, 7, 1.5)
    assert (state, preparation, decisions) == (b"state", b"", b"")
    assert StreamRecord().number == UNNUMBERED


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_damaged_bytes_are_refused_by_name(position):
    blob = bytearray(StreamRecord(steps=3).to_bytes(b"state of the model"))
    blob[position % len(blob)] ^= 0x10
    with pytest.raises(StateError, match="state of 'pump-3': expected"):
        split_bytes(bytes(blob), "pump-3")
    with pytest.raises(StateError, match="expected a stream of a service, got 5 other bytes"):
        split_bytes(b"ERSV\1", "pump-3")


def test_a_stream_whose_state_is_of_another_model_begins_anew_and_that_is_said():
    other = Pipeline(random_model("lstm", inputs=2, outputs=2))
    other.process([Arrival("a", [0.0, 0.0]), Arrival("b", [0.0, 0.0])])
    saved = other.export(["a"])
    other.close()
    pipeline = Pipeline(MODEL, saved=lambda keys: {k: saved[k] for k in keys if k in saved})
    told = []
    pipeline.tell(lambda key, text: told.append((key, text)))
    results = pipeline.process([Arrival("a", [0.5, 0.5]), Arrival("b", [0.5, 0.5])])
    same([results[0].y], expected([Arrival("a", [0.5, 0.5])]))
    assert pipeline.counts["begun_anew"] == 1
    assert told[0][0] == "a"
    assert told[0][1].endswith("The stream begins again.")
    pipeline.close()
