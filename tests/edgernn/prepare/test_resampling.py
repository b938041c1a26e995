"""Resampling against oracles that see whole arrays: loops over bins, pandas, numpy.interp."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling

PERIOD = 4.0
NAN = math.nan

# Times in quarters of a period: every division is exact, so that the oracles need no tolerance.
steps = st.lists(st.integers(1, 60), min_size=1, max_size=60)
cells = st.one_of(st.none(), st.integers(-100, 100))


def made(**fields):
    return Preparation(inputs=("a", "b"), steps=(Resampling(period_s=PERIOD, **fields),))


def segments(bins, most):
    """Readings between which fewer than ``most`` periods are missed."""
    begins = [0] + [i for i in range(1, len(bins)) if bins[i] - bins[i - 1] - 1 >= most]
    return [list(range(a, b)) for a, b in itertools.pairwise([*begins, len(bins)])]


def oracle(times, table, method, gap, most):
    """Rows (time, values, reset) by loops over the bins of whole segments."""
    bins = [math.ceil(t / PERIOD) for t in times]
    rows = []
    parts = segments(bins, most)
    for number, part in enumerate(parts):
        final = number == len(parts) - 1
        first, last = bins[part[0]], bins[part[-1]]
        closed = last if not final or times[part[-1]] == last * PERIOD else last - 1
        columns = []
        for c in (0, 1):
            known = {}
            for k in range(first, closed + 1):
                own = [table[i][c] for i in part if bins[i] == k and not math.isnan(table[i][c])]
                if own:
                    known[k] = own[-1] if method == "last" else sum(own) / len(own)
            columns.append(
                (known, {k: filled(known, k, gap, most) for k in range(first, closed + 1)})
            )
        until = closed
        if gap == "linear" and final:
            ends = [max(known) for known, _ in columns if known and closed - max(known) < most]
            until = min(ends, default=closed)
        rows += [
            (k * PERIOD, [column[k] for _, column in columns], number > 0 and k == first)
            for k in range(first, until + 1)
        ]
    return rows


def filled(known, k, gap, most):
    if k in known:
        return known[k]
    before = max((j for j in known if j < k), default=None)
    after = min((j for j in known if j > k), default=None)
    if before is None or gap == "nan":
        return NAN
    if gap == "hold":
        return known[before] if k - before < most else NAN
    if after is None or after - before - 1 >= most:
        return NAN
    return known[before] + (known[after] - known[before]) * ((k - before) / (after - before))


@given(
    steps, st.data(), st.sampled_from(["mean", "last"]), st.sampled_from(["hold", "nan", "linear"])
)
@settings(deadline=None, max_examples=150)
def test_bins_and_gaps(gaps, data, method, gap):
    most = data.draw(st.integers(1, 8))
    times = [float(t) for t in itertools.accumulate(gaps)]
    table = [
        [NAN if x is None else float(x) for x in data.draw(st.tuples(cells, cells))] for _ in times
    ]
    stream = made(method=method, gap=gap, reset_after=most).stream()
    got = [one for t, x in zip(times, table, strict=True) for one in stream.push(t, x)]
    wanted = oracle(times, table, method, gap, most)
    assert [(g.time_s, g.reset) for g in got] == [(t, reset) for t, _, reset in wanted]
    assert np.array_equal([g.x for g in got], [x for _, x, _ in wanted], equal_nan=True)


@given(steps, st.data())
@settings(deadline=None, max_examples=60)
def test_lines_between_readings(gaps, data):
    most = data.draw(st.integers(1, 8))
    times = [float(t) for t in itertools.accumulate(gaps)]
    values = [float(data.draw(st.integers(-100, 100))) for _ in times]
    stream = made(method="linear", reset_after=most).stream()
    got = [one for t, v in zip(times, values, strict=True) for one in stream.push(t, [v, -v])]
    wanted = []
    for part in segments([math.ceil(t / PERIOD) for t in times], most):
        own, ys = [times[i] for i in part], [values[i] for i in part]
        grid = [t for t in np.arange(0, own[-1] + 1, PERIOD) if t >= own[0]]
        wanted += list(zip(grid, np.interp(grid, own, ys), strict=True))
    assert [one.time_s for one in got] == [t for t, _ in wanted]
    assert np.allclose([one.x[0] for one in got], [y for _, y in wanted], rtol=1e-12, atol=1e-10)
    assert [one.x[1] for one in got] == [-one.x[0] for one in got]


def test_as_pandas_resamples():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    times = 1_700_000_000 + np.cumsum(rng.exponential(20.0, 500))
    values = rng.normal(size=500)
    index = pandas.to_datetime(times, unit="s")
    for method in ("mean", "last"):
        step = Resampling(period_s=60.0, method=method, reset_after=1000)
        at, x = Preparation(inputs=("a",), steps=(step,)).apply(times, values[:, None])
        grouped = pandas.Series(values, index).resample("60s", closed="right", label="right")
        wanted = getattr(grouped, method)().ffill()
        ends = (wanted.index - pandas.Timestamp(0)).total_seconds().to_numpy()
        assert np.array_equal(at, ends[:-1])  # the last period is not over
        assert np.allclose(x[:, 0], wanted.to_numpy()[:-1], rtol=0, atol=1e-12)


def test_a_reading_at_the_end_of_its_period_is_answered_at_once():
    stream = made().stream()
    assert [one.time_s for one in stream.push(4.0, [1.0, 2.0])] == [4.0]
    assert stream.push(5.0, [3.0, 2.0]) == []
    assert stream.push(8.0, [5.0, NAN]) == [(8.0, [4.0, 2.0], False)]


def test_readings_of_one_time_are_kept_where_wanted():
    rows = [(4.0, 1.0), (4.0, 3.0), (5.0, 0.0)]
    for repeated, wanted in (("keep", 2.0), ("drop", 1.0)):
        preparation = Preparation(
            inputs=("a",), repeated=repeated, steps=(Resampling(period_s=PERIOD),)
        )
        _, x = preparation.apply([t for t, _ in rows], [[v] for _, v in rows])
        assert x[0, 0] == wanted


def test_without_times_every_reading_is_one_period():
    stream = made(gap="hold").stream()
    got = [one for x in ([1.0, 2.0], [NAN, 3.0], [4.0, NAN]) for one in stream.push(None, x)]
    assert got == [(0.0, [1.0, 2.0], False), (4.0, [1.0, 3.0], False), (8.0, [4.0, 3.0], False)]
