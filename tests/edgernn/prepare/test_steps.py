"""Windows, differences, lags, units, limits and the calendar against whole-array oracles."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import ClippedReadingsWarning, DeclarationError
from edgernn.prepare.calendar_features import CalendarFeatures
from edgernn.prepare.elapsed_time import ElapsedTime
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.units import UNITS, Clipping, GainOffset, Logarithm, UnitConversion
from edgernn.prepare.windows import Difference, Lag, WindowFeatures

FEATURES = ("mean", "deviation", "min", "max")


def prepared(values, *steps):
    names = tuple(f"c{i}" for i in range(np.shape(values)[1]))
    return Preparation(inputs=names, steps=steps).apply(None, values)[1]


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=40),
    st.integers(2, 12),
)
@settings(deadline=None, max_examples=60)
def test_window_features(values, readings):
    column = np.array([math.nan if v is None else v for v in values])
    step = WindowFeatures(channel="c0", readings=readings, features=FEATURES)
    got = prepared(column[:, None], step)[:, 1:]
    for t in range(len(column)):
        window = column[max(0, t - readings + 1) : t + 1]
        window = window[~np.isnan(window)]
        wanted = [np.nan] * 4
        if window.size:
            wanted = [window.mean(), window.std(), window.min(), window.max()]
        assert np.allclose(got[t], wanted, rtol=1e-12, atol=1e-8, equal_nan=True)


def test_windows_as_pandas_rolls():
    pandas = pytest.importorskip("pandas")
    values = np.random.default_rng(1).normal(size=300)
    step = WindowFeatures(channel="c0", readings=24, features=("mean", "deviation"))
    got = prepared(values[:, None], step)
    rolled = pandas.Series(values).rolling(24, min_periods=1)
    assert np.allclose(got[:, 1], rolled.mean(), rtol=0, atol=1e-12)
    assert np.allclose(got[:, 2], rolled.std(ddof=0), rtol=0, atol=1e-7)


def test_windows_of_huge_values_do_not_overflow():
    step = WindowFeatures(channel="c0", readings=4, features=FEATURES)
    got = prepared([[1e308], [1e308], [-1e308], [2.0]], step)
    assert np.isnan(got[2, 1:]).all()
    assert got[3, 1:].tolist() == [2.0, 0.0, 2.0, 2.0]


@pytest.mark.parametrize("readings", [1, 3, 50])
def test_difference_and_lag(readings):
    values = np.random.default_rng(2).normal(size=40)
    got = prepared(
        values[:, None],
        Difference(channel="c0", readings=readings),
        Lag(channel="c0", readings=readings, name="before"),
    )
    before = np.concatenate([np.full(readings, values[0]), values])[: len(values)]
    assert np.array_equal(got[:, 2], before)
    assert np.array_equal(got[:, 1], values - before)


def test_elapsed_time():
    times = np.cumsum(np.random.default_rng(3).exponential(20.0, 50))
    steps = (ElapsedTime(), ElapsedTime(unit_s=60.0, most_s=30.0, name="minutes"))
    preparation = Preparation(inputs=("c0",), steps=steps)
    _, got = preparation.apply(times, np.zeros((50, 1)))
    wanted = np.diff(times, prepend=times[0])
    assert np.allclose(got[:, 1], wanted, rtol=1e-12, atol=0)
    assert np.allclose(got[:, 2], np.minimum(wanted, 30.0) / 60.0, rtol=1e-12, atol=0)
    stream, rest = preparation.stream(), preparation.stream()
    for time_s in times[:20]:
        stream.push(time_s, [0.0])
    rest.from_bytes(stream.to_bytes())
    assert rest.push(times[20], [0.0])[0].x == got[20].tolist()


def test_elapsed_time_begins_again_after_a_reset():
    steps = (Resampling(period_s=10.0, method="last", reset_after=4), ElapsedTime())
    preparation = Preparation(inputs=("c0",), steps=steps)
    _, got = preparation.apply([1.0, 11.0, 21.0, 31.0, 1001.0, 1011.0, 1021.0], np.ones((7, 1)))
    assert got[:, 1].tolist() == [0.0, 10.0, 10.0, 10.0, 0.0, 10.0]
    with pytest.raises(DeclarationError, match=r"unit_s: expected seconds above 0, got 0\.0"):
        ElapsedTime(unit_s=0.0)


def test_units_by_known_pairs():
    def converted(x, source, target):
        step = UnitConversion(channels=("c0",), source=source, target=target)
        return prepared([[x]], step)[0, 0]

    pairs = [
        (212.0, "degF", "degC", 100.0), (0.0, "degC", "K", 273.15), (36.0, "km/h", "m/s", 10.0),
        (29.92, "inHg", "hPa", 1013.2076), (1.0, "psi", "Pa", 6894.757), (1.0, "kn", "km/h", 1.852),
        (1.0, "kWh", "J", 3.6e6), (50.0, "%", "1", 0.5), (180.0, "deg", "rad", math.pi),
    ]  # fmt: skip
    for x, source, target, wanted in pairs:
        assert converted(x, source, target) == pytest.approx(wanted, rel=1e-6)
    for units in UNITS.values():
        for source in units:
            for target in units:
                there = converted(12.5, source, target)
                assert converted(there, target, source) == pytest.approx(12.5, rel=1e-9)


def test_gain_logarithm_and_clipping():
    values = [[2.0, 0.0], [-5.0, math.nan], [9.0, math.e]]
    steps = (
        GainOffset(channels=("c0",), gain=2.0, offset=1.0),
        Clipping(channels=("c0",), low=-3.0, high=10.0),
        Logarithm(channels=("c1",), floor=1e-3),
    )
    with pytest.warns(ClippedReadingsWarning, match="expected c0 in -3 to 10, got a value outside"):
        got = prepared(values, *steps)
    assert got[:, 0].tolist() == [5.0, -3.0, 10.0]
    assert got[0, 1] == math.log(1e-3)
    assert math.isnan(got[1, 1])
    assert got[2, 1] == 1.0


def test_clipped_values_are_counted_and_told_once():
    stream = Preparation(
        inputs=("a",), steps=(Clipping(channels=("a",), low=0.0, high=1.0),)
    ).stream()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for x in (0.5, 2.0, -1.0, 3.0):
            stream.push(None, [x])
    assert len(told) == 1
    assert stream.counts["clipped"] == 3


def at(*parts):
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("zone", "time_s", "hour", "weekday"),
    [
        # The clock goes from 2 to 3 at 01:00 UTC on 31 March 2024, and back on 27 October.
        ("Europe/Berlin", at(2024, 3, 31, 0, 30), 1.5, 6),
        ("Europe/Berlin", at(2024, 3, 31, 1, 30), 3.5, 6),
        ("Europe/Berlin", at(2024, 10, 27, 0, 30), 2.5, 6),
        ("Europe/Berlin", at(2024, 10, 27, 1, 30), 2.5, 6),
        # From 2 to 3 at 07:00 UTC on 10 March 2024, and back at 06:00 UTC on 3 November.
        ("America/New_York", at(2024, 3, 10, 6, 59), 1 + 59 / 60, 6),
        ("America/New_York", at(2024, 3, 10, 7, 0), 3.0, 6),
        ("America/New_York", at(2024, 11, 3, 5, 15), 1.25, 6),
        ("America/New_York", at(2024, 11, 3, 6, 15), 1.25, 6),
        ("America/New_York", at(2024, 11, 4, 4, 30), 23.5, 6),
        ("UTC", at(1969, 12, 31, 23, 0), 23.0, 2),
    ],
)
def test_local_hours_and_weekdays(zone, time_s, hour, weekday):
    preparation = Preparation(inputs=("a",), steps=(CalendarFeatures(zone=zone),))
    _, x = preparation.apply([time_s], [[0.0]])
    turns = [2 * math.pi * hour / 24, 2 * math.pi * weekday / 7]
    wanted = [f(turn) for turn in turns for f in (math.sin, math.cos)]
    assert np.allclose(x[0, 1:], wanted, rtol=0, atol=1e-12)


def test_the_year_comes_round():
    step = CalendarFeatures(features=("year",))
    preparation = Preparation(inputs=("a",), steps=(step,))
    times = [at(2023, 1, 1), at(2023, 7, 2, 12), at(2024, 1, 1), at(2024, 7, 2)]
    _, x = preparation.apply(times, np.zeros((4, 1)))
    assert np.allclose(x[:, 2], [1, -1, 1, -1], rtol=0, atol=1e-12)
