"""Write raw readings of soil moisture: train.csv, test.csv, and live.csv to replay as a service.

Simulated, or from a public record. The probes send about three times an hour. Their readings are
irregular: some are lost, repeated, late or without a value.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

HOURS = 24 * 75
ZONE = "Europe/Berlin"


def simulated(faults: bool) -> pd.DataFrame:
    """Hourly moisture of eight probes: rain and watering wet the soil, the sun dries it.

    Each probe once gets no water for a week, so the training data contain dry soil.

    Args:
        faults: from day 63 on, the valve of probe_3 stays shut; from day 68 on, probe_6 lies on
            the ground.
    """
    rng = np.random.default_rng(5)
    time = pd.date_range("2025-04-15", periods=HOURS, freq="h", tz=ZONE)
    day = np.clip(np.sin(2 * np.pi * (time.hour.to_numpy() - 7) / 24), 0, None)
    rain = (rng.random(HOURS) < 0.004) * rng.gamma(2.0, 2.0, HOURS)  # mm
    sun = 0.8 + 0.4 * pd.Series(rng.normal(0, 1, HOURS)).ewm(alpha=1 / 48).mean().to_numpy()
    columns = {}
    for number in range(1, 9):
        field, wilting = rng.uniform(32, 40), rng.uniform(10, 14)
        level, wet = rng.uniform(24, 34), np.zeros(HOURS)
        loss, uptake = rng.uniform(0.15, 0.35), rng.uniform(0.4, 0.8)
        for t in range(HOURS):
            shut = 6 * number <= t // 24 < 6 * number + 7
            shut |= faults and number == 3 and t >= 63 * 24
            watering = 8.0 if t % 24 == 5 and level < wilting + 10 and not shut else 0.0
            level += uptake * (rain[t] + watering) - loss * sun[t] * day[t]
            level -= 0.12 * max(0.0, level - field)  # what the soil cannot hold drains
            level = max(level, wilting)
            wet[t] = level
        if faults and number == 6:
            wet[68 * 24 :] = 1.5
        columns[f"probe_{number}"] = wet
    return pd.DataFrame(columns, index=time)


def recorded(path: Path) -> pd.DataFrame:
    """The record of Bicentennial Park, Sydney: 13 probes from November 15, 2022 on."""
    table = pd.read_csv(path)
    probes = table.drop(columns=[c for c in table if c.lower() in ("day", "hour")])
    probes = probes.select_dtypes("number")
    start = "2022-11-15"
    probes.index = pd.date_range(start, periods=len(probes), freq="h", tz="Australia/Sydney")
    return probes


def sent(soil: pd.DataFrame, noise: float) -> pd.DataFrame:
    """What the probes send: one row per reading, in the order of arrival."""
    rng = np.random.default_rng(8)
    hours = (soil.index - soil.index[0]).total_seconds().to_numpy() / 3600
    tables = []
    for probe in soil:
        at = np.arange(0, hours[-1], 1 / 3)
        at += rng.uniform(0, 0.1, len(at))  # no clock is exact
        value = np.interp(at, hours, soil[probe]) + rng.normal(0, noise, len(at))
        value[rng.random(len(at)) < 0.01] = np.nan  # the probe answered with an error
        kept = rng.random(len(at)) >= 0.05  # the others were lost
        for start in rng.integers(0, len(at), 3):
            kept[start : start + 12] = False  # no radio for four hours
        table = pd.DataFrame({"hour": at, "probe": probe, "moisture": value.round(2)})[kept]
        arrival = table["hour"] + np.where(rng.random(len(table)) < 0.005, 0.4, 0.0)
        again = table.sample(frac=0.01, random_state=3)  # sent twice
        arrivals = pd.concat([arrival, arrival[again.index] + 0.01])
        tables.append(pd.concat([table, again]).assign(arrival=arrivals))
    rows = pd.concat(tables).sort_values("arrival", kind="stable")
    time = soil.index[0].tz_convert("UTC") + pd.to_timedelta(rows["hour"] * 3600, unit="s")
    rows.insert(0, "time", time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return rows[["time", "probe", "moisture"]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, help="sopivot+idx.csv, plain or compressed")
    options = parser.parse_args()
    noise = 0.0 if options.record else 0.05
    soil = recorded(options.record) if options.record else simulated(faults=False)
    live = soil if options.record else simulated(faults=True)
    cut = int(0.8 * len(soil))
    for name, part in (("train", soil[:cut]), ("test", soil[cut:]), ("live", live[cut:])):
        readings = sent(part, noise)
        readings.to_csv(f"{name}.csv", index=False)
        print(f"{name}.csv: {part.shape[1]} probes, {len(readings)} readings")
