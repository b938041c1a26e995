"""The score of the Numenta Anomaly Benchmark: by hand, by brute force, and as published."""

import math
import os

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn_export.datasets.machines.nab_score import (
    PROFILES,
    nab_scores,
    raw_score,
    row_values,
)
from edgernn_export.datasets.machines.nab_streams import NabRecording, probation, read_recordings
from edgernn_export.training.reports.anomaly_table import windowed_gaussian
from tests.support.training.machine_files import spiky_streams, write_nab


def curve(place):
    return 2 / (1 + math.exp(5 * place)) - 1 if place <= 3 else -1.0


def made(rows, *windows):
    return NabRecording(name="made", values=np.zeros(rows), windows=windows)


def brute(recordings, alarms, profile):
    """The unscaled score of alarms (rows of each recording), row by row."""
    total = 0.0
    for recording, rows in zip(recordings, alarms, strict=True):
        best = {w: -profile.miss for w in recording.windows if w[1] >= recording.probation}
        for row in rows:
            if row < recording.probation:
                continue
            inside = [w for w in recording.windows if w[0] <= row <= w[1]]
            behind = [w for w in recording.windows if w[1] < row]
            if inside:
                (first, last) = inside[0]
                worth = curve(-(last - row + 1) / (last - first + 1)) / curve(-1.0)
                best[inside[0]] = max(best[inside[0]], worth)
            elif behind:
                first, last = behind[-1]
                total += profile.false_alarm * curve((row - last) / (last - first))
            else:
                total -= profile.false_alarm
        total += sum(best.values())
    return total


def test_probation_is_15_percent_and_at_most_750_rows():
    assert [probation(rows) for rows in (10, 100, 101, 5000, 18050)] == [1, 15, 15, 750, 750]


def test_values_of_rows_by_hand():
    value, window = row_values(made(100, (40, 49)))
    assert value[[0, 39]].tolist() == [-1.0, -1.0]
    assert value[40] == 1.0  # the first row of the window
    assert value[45] == pytest.approx(curve(-0.5) / curve(-1.0))
    assert value[50] == pytest.approx(curve(1 / 9))  # one row behind it
    assert value[49 + 27] == pytest.approx(curve(3.0))
    assert value[49 + 28] == -1.0
    assert window.tolist() == [-1] * 40 + [0] * 10 + [-1] * 50


def test_perfect_none_and_one_false_alarm():
    recording = made(100, (40, 49), (70, 79))
    scores = np.zeros(100)
    scores[[40, 70]] = 1.0
    found = nab_scores([recording], [scores])
    assert found.at(2.0) == 0.0  # no alarms
    assert found.at(1.0) == pytest.approx(100.0)
    assert found.best == (pytest.approx(100.0), 1.0)
    scores[20] = 2.0
    # Null is -2 (two misses), perfect 2: the false alarm costs 0.11 of 4.
    assert nab_scores([recording], [scores]).at(1.0) == pytest.approx(100 * (4 - 0.11) / 4)
    low_fp = nab_scores([recording], [scores], PROFILES[1])
    assert low_fp.at(1.0) == pytest.approx(100 * (4 - 0.22) / 4)
    assert nab_scores([recording], [scores], PROFILES[2]).at(2.0) == pytest.approx(-100 * 0.11 / 6)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@pytest.mark.parametrize("rest", [0, 1, 7])
def test_every_threshold_equals_brute_force(profile, rest):
    rng = np.random.default_rng(rest)
    recordings = [made(120, (30, 41), (60, 70)), made(90), made(200, (10, 60), (62, 90))]
    scores = [np.round(rng.random(len(r.values)), 2) for r in recordings]  # with equal ones
    windows = sum(len(r.windows) for r in recordings)
    found = nab_scores(recordings, scores, profile, rest)
    assert len(found.thresholds) > 20
    none = brute(recordings, [[]] * 3, profile)
    for threshold, score in zip(found.thresholds, found.scores, strict=True):
        alarms = [
            [t for t in np.flatnonzero(s >= threshold)
             if rest == 0 or not np.any(s[max(t - rest, 0) : t] >= threshold)]
            for s in scores
        ]  # fmt: skip
        gained = brute(recordings, alarms, profile) - none
        assert score == pytest.approx(100 * gained / (windows - none), abs=1e-9)
    if rest == 0:
        raw = sum(raw_score(r, s, 0.9, profile) for r, s in zip(recordings, scores, strict=True))
        assert found.at(0.9) == pytest.approx(100 * (raw - none) / (windows - none), abs=1e-9)


def test_without_windows_a_false_alarm_has_no_scale():
    assert nab_scores([made(100)], [np.arange(100.0)]).best == (0.0, math.inf)


def test_recordings_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    with pytest.raises(DataUnavailable, match=r"nab/data/real\*/\*.csv .*numenta/NAB.*MIT"):
        read_recordings()
    streams = spiky_streams(2, 60) | {"artificialMade/0.csv": (np.zeros(5), [])}
    write_nab(tmp_path, streams)
    first, second = read_recordings()
    assert (first.name, second.name) == ("realMade/0.csv", "realMade/1.csv")
    for recording in (first, second):
        values, windows = streams[recording.name]
        np.testing.assert_array_equal(recording.values, values)
        assert list(recording.windows) == windows
    (tmp_path / "nab/data/realMade/0.csv").write_text("timestamp,value\n2024-01-01,x\n")
    with pytest.raises(DataUnavailable, match="expected timestamps and values, and labels"):
        read_recordings()


def test_the_gaussian_slides_in_steps():
    values = np.random.default_rng(0).normal(size=6750)
    scores = windowed_gaussian(values)
    assert scores[0] == 0.0
    for row, window in ((1, values[:1]), (500, values[:500]), (6400, values[:6400]),
                        (6499, values[:6400]), (6500, values[100:6500]),
                        (6749, values[300:6700])):  # fmt: skip
        z = abs(values[row] - window.mean()) / (window.std() or 1e-6)
        assert scores[row] == pytest.approx(1 - 0.5 * math.erfc(z / math.sqrt(2)), abs=1e-12)


#: Scores of NAB's detector windowedGaussian with the threshold 1, by profile.
PUBLISHED = {
    "realAdExchange/exchange-4_cpm_results": (1.27471036268, 0.944710362685, 0.274710362685),
    "realAdExchange/exchange-3_cpc_results": (2.50266326119, 2.39266475507, 2.50266326119),
    "realAdExchange/exchange-4_cpc_results": (0.292288463428, -0.147680769569, -0.707711536572),
    "realKnownCause/rogue_agent_key_hold": (-2.44, -2.88, -4.44),
}


@pytest.mark.skipif("EDGERNN_DATA" not in os.environ, reason="needs recordings of machines")
def test_published_scores_of_files():
    recordings = {one.name: one for one in read_recordings()}
    for name, published in PUBLISHED.items():
        recording = recordings[f"{name}.csv"]
        scores = windowed_gaussian(recording.values)
        for profile, wanted in zip(PROFILES, published, strict=True):
            assert raw_score(recording, scores, 1.0, profile) == pytest.approx(wanted, abs=1e-9)
