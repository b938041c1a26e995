"""Preparation and decisions over the recordings of the Numenta Anomaly Benchmark."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgernn.decide.decisions import Decisions
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.times import TimeReader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("EDGERNN_DATA" not in os.environ, reason="needs recordings of machines"),
]

PREPARATION = Preparation.from_table(
    {
        "inputs": ["value"],
        "steps": [
            {"kind": "resample", "period_s": 300.0, "reset_after": 288},
            {"kind": "window", "channel": "value", "readings": 12, "features": ["mean", "max"]},
            {"kind": "calendar", "features": ["hour"]},
        ],
    }
)
DECISIONS = Decisions.from_table(
    {
        "decisions": [
            {
                "kind": "anomaly", "name": "score", "output": "forecast", "input": "value",
                "quantile": 0.999, "warm_up": 600,
            },
            {"kind": "threshold", "name": "alarm", "of": "score", "on": 1.5, "off": 1.0},
        ]
    }
).bound(PREPARATION.channels, ("forecast",))  # fmt: skip


def recordings():
    """Times, values and labelled windows of every recording."""
    path = Path(os.environ["EDGERNN_DATA"]) / "nab/nab_real.tar.xz"
    with tarfile.open(path, mode="r:xz") as archive:
        members = {
            member.name: archive.extractfile(member) for member in archive if member.isfile()
        }
        (labels,) = (
            file for name, file in members.items() if name.endswith("combined_windows.json")
        )
        windows = json.load(labels)
        for name, file in members.items():
            if name.endswith(".csv"):
                rows = list(csv.reader(io.TextIOWrapper(file)))[1:]
                reader = TimeReader()
                times = [reader.seconds(at) for at, _ in rows]
                key = next(key for key in windows if name.endswith(key))
                spans = [[TimeReader().seconds(end) for end in span] for span in windows[key]]
                yield key, times, [[float(value)] for _, value in rows], spans


def test_streams_equal_recordings_and_alarms_are_rare():
    alarms = inside = prepared = 0
    for number, (key, times, table, spans) in enumerate(recordings()):
        stream, deciding, found = PREPARATION.stream(), DECISIONS.stream(), []
        for time_s, row in zip(times, table, strict=True):
            for one in stream.push(time_s, row):
                found.append(one)
                if one.reset:
                    deciding.reset()
                if deciding.push(one.time_s, one.x, one.x[:1])["alarm"]:
                    alarms += 1
                    inside += any(a <= one.time_s <= b for a, b in spans)
        at = np.array([one.time_s for one in found])
        assert np.all(np.diff(at) >= 300.0), key
        if number % 8 == 0:
            whole_at, whole = PREPARATION.apply(times, table)
            assert whole_at.tobytes() == at.tobytes(), key
            assert whole.tobytes() == np.array([one.x for one in found]).tobytes(), key
        prepared += len(found)
    assert prepared > 300_000
    # The last value stands for the forecast: alarms are sudden changes, one in a thousand at most.
    assert 50 < alarms < prepared / 1_000
    assert inside / alarms > 0.3
