"""Devices with gaps, repeats and missing values, and a preparation that they need."""

from __future__ import annotations

import json
import math

from edgernn.connections.arrival import Arrival

TABLES = """
[preparation]
inputs = ["level"]
outputs = ["co2_change"]
[[preparation.steps]]
kind = "resample"
period_s = 10.0
reset_after = 6
[[preparation.steps]]
kind = "difference"
channel = "level"
name = "co2_change"
[[decision]]
kind = "threshold"
name = "high"
of = "co2_change_in_13_weeks"
on = 0.5
off = 0.0
on_readings = 2
"""


def raw(rng, count, keys=3):
    """Readings of several devices: irregular times, gaps, repeats, and missing values."""
    times = {f"k{n}": 1_700_000_000.0 + n for n in range(keys)}
    numbers = dict.fromkeys(times, 0)
    for _ in range(count):
        key = rng.choice(list(times))
        gap = rng.random()
        times[key] += 400.0 if gap < 0.02 else 0.0 if gap < 0.05 else rng.uniform(1.0, 14.0)
        numbers[key] += 1
        value = math.nan if rng.random() < 0.05 else math.sin(times[key] / 60) + rng.gauss(0, 0.2)
        yield Arrival(key, [value], times[key], numbers[key])


def json_line(arrival, channel):
    """A reading of one channel as a line of JSON."""
    value = arrival.values[0]
    row = {"key": arrival.key, "seq": arrival.sequence, channel: None if value != value else value}
    if arrival.time_s is not None:
        row["time"] = arrival.time_s
    return json.dumps(row) + "\n"
