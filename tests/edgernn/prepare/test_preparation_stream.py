"""Streams of a preparation: order of time, clocks that jump, states as bytes, fuzzed readings."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import ReadingError, ShapeError, StateError
from edgernn.prepare.preparation import Preparation

YEAR_S = 365 * 86_400.0
TABLE = {
    "inputs": ["t", "rh"],
    "steps": [
        {"kind": "convert", "channels": ["t"], "source": "degF", "target": "degC"},
        {"kind": "clip", "channels": ["rh"], "low": 0.0, "high": 100.0},
        {"kind": "resample", "period_s": 60.0, "reset_after": 5},
        {"kind": "window", "channel": "t", "readings": 6, "features": ["mean", "max"]},
        {"kind": "difference", "channel": "rh", "readings": 2},
        {"kind": "calendar", "zone": "Europe/Berlin"},
    ],
}


def made(**resampling):
    table = {**TABLE, "steps": [dict(step) for step in TABLE["steps"]]}
    table["steps"][2] |= resampling
    return Preparation.from_table(table)


def same(left, right):
    """Prepared readings are equal bit for bit."""
    return [(p.time_s, p.reset) for p in left] == [(p.time_s, p.reset) for p in right] and (
        np.array([p.x for p in left]).tobytes() == np.array([p.x for p in right]).tobytes()
    )


def recording(seed, count=300):
    rng = np.random.default_rng(seed)
    times = 1_711_846_800.0 + np.cumsum(
        rng.exponential(35.0, count) * rng.choice([1, 1, 1, 9], count)
    )
    times[rng.integers(0, count, 5)] -= 200.0
    table = np.column_stack([rng.normal(60, 9, count), rng.uniform(-20, 120, count)])
    table[rng.random((count, 2)) < 0.1] = math.nan
    return times, table


FORMS = (
    {}, {"method": "last", "gap": "nan"}, {"gap": "linear"}, {"method": "linear", "gap": "linear"},
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("form", FORMS)
def test_streams_equal_the_whole_recording_and_go_on_from_any_state(form):
    preparation = made(**form)
    times, table = recording(1)
    at, x = preparation.apply(times, table)
    stream, got = preparation.stream(), []
    for t, row in zip(times.tolist(), table.tolist(), strict=True):
        blob = stream.to_bytes()
        stream = preparation.stream()
        stream.from_bytes(blob)
        assert stream.to_bytes() == blob
        got += stream.push(t, row)
    assert at.tobytes() == np.array([p.time_s for p in got]).tobytes()
    assert x.tobytes() == np.array([p.x for p in got]).tobytes()
    assert len(at) > 200
    assert stream.counts["late"] > 0 < stream.counts["gaps"]
    # Between two resets there may be no reading that the model gets.
    assert 0 < sum(p.reset for p in got) <= stream.counts["resets"]


def test_what_is_late_or_repeated_is_dropped_and_counted():
    stream = made().stream()
    before = stream.push(600.0, [50.0, 1.0])
    assert len(before) == 1
    for time_s, kind in ((600.0, "repeated"), (599.0, "late"), (-1e6, "late")):
        count = stream.counts[kind]
        assert stream.push(time_s, [1.0, 1.0]) == []
        assert stream.counts[kind] == count + 1


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
def test_readings_are_dropped_by_their_numbers():
    numbered, plain = made().stream(), made().stream()
    times, table = recording(2, 80)
    times.sort()
    got, wanted = [], []
    for n, (t, row) in enumerate(zip(times.tolist(), table.tolist(), strict=True), 1):
        wanted += plain.push(t, row)
        for number in (n, n, max(1, n - 3)):
            got += numbered.push(t, row, sequence=number)
    assert same(got, wanted)
    assert numbered.sequence == 80
    assert numbered.counts["repeated"] == 160


def test_a_clock_that_jumps_ahead_a_year_costs_one_reset():
    stream = made().stream()
    for t in range(0, 600, 60):
        stream.push(float(t), [50.0, 1.0])
    got = stream.push(YEAR_S, [50.0, 1.0])
    assert [p.reset for p in got] == [True]
    assert stream.counts["filled"] == 0


def test_a_clock_that_was_set_back_a_year_is_believed_after_three_readings():
    stream = made().stream()
    for t in range(0, 600, 60):
        stream.push(YEAR_S + t, [50.0, 1.0])
    pushed = [stream.push(float(t), [50.0, 1.0]) for t in (600, 660, 720, 780)]
    assert [len(rows) for rows in pushed] == [0, 0, 1, 1]
    assert [p.reset for rows in pushed for p in rows] == [True, False]
    assert stream.counts["set_back"] == 1
    assert stream.counts["late"] == 2


def test_a_single_old_reading_does_not_set_the_clock_back():
    stream = made().stream()
    for t in range(0, 6000, 60):
        stream.push(YEAR_S + t, [50.0, 1.0])
        stream.push(float(t % 300), [50.0, 1.0])
    assert stream.counts["set_back"] == 0
    assert stream.counts["late"] == 100


class Times:
    """Hostile times: jumps, repeats, extremes."""

    values = st.one_of(
        st.floats(-6e10, 6e10),
        st.integers(-3, 40).map(float),
        st.sampled_from([0.0, -0.0, 6e10, -6e10, YEAR_S, 1.7e9, 1e-300, 59.9999999, 60.0000001]),
    )
    cells = st.one_of(st.floats(), st.integers(-(10**9), 10**9))


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@given(
    st.lists(st.tuples(Times.values, Times.cells, Times.cells), max_size=60), st.sampled_from(FORMS)
)
@settings(deadline=None, max_examples=120)
def test_hostile_times_cost_bounded_work(readings, form):
    stream = made(**form).stream()
    last = -math.inf
    for time_s, a, b in readings:
        got = stream.push(time_s, [a, b])
        assert len(got) <= 2 * 5 + 2
        assert len(stream.to_bytes()) < 4_000
        for one in got:
            assert one.reset or one.time_s > last
            assert len(one.x) == len(stream._preparation.channels)
            assert not any(map(math.isinf, one.x))
            last = one.time_s


def test_readings_that_are_refused_change_nothing():
    stream = made().stream()
    stream.push(60.0, [50.0, 1.0])
    blob = stream.to_bytes()
    for time_s in (None, math.nan, math.inf, 1.7e12):
        with pytest.raises(ReadingError, match="preparation: expected a time in seconds since"):
            stream.push(time_s, [1.0, 1.0])
    for values in ([], [1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ShapeError, match=r"expected 2 values \(t, rh\), got"):
            stream.push(120.0, values)
    assert stream.to_bytes() == blob


def test_times_come_with_all_readings_or_with_none():
    stream = Preparation(inputs=("a",)).stream()
    stream.push(None, [1.0])
    with pytest.raises(ReadingError, match=r"expected no time, got 5\.0"):
        stream.push(5.0, [1.0])


def test_damaged_and_foreign_states_are_refused():
    stream = made().stream()
    stream.push(60.0, [50.0, 1.0])
    blob = stream.to_bytes()
    fresh = made().stream()
    empty = fresh.to_bytes()
    for place in range(len(blob)):
        broken = bytearray(blob)
        broken[place] ^= 0x10
        with pytest.raises(StateError, match="preparation: expected"):
            fresh.from_bytes(bytes(broken))
    for length in itertools.chain(range(0, len(blob), 7), [len(blob) - 1]):
        with pytest.raises(StateError, match="preparation: expected"):
            fresh.from_bytes(blob[:length])
    with pytest.raises(StateError, match=r"expected a state of the preparation [0-9a-f]{12}, got"):
        made(period_s=61.0).stream().from_bytes(blob)
    assert fresh.to_bytes() == empty
