"""Write hourly soil moisture of several probes to soil.csv: simulated, or a public record."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

HOURS = 24 * 75


def simulated(rng: np.random.Generator) -> pd.DataFrame:
    """Two months and a half of eight probes: rain and irrigation wet the soil, the sun dries it."""
    time = pd.date_range("2025-04-15", periods=HOURS, freq="h", name="time")
    day = np.clip(np.sin(2 * np.pi * (time.hour.to_numpy() - 7) / 24), 0, None)
    rain = (rng.random(HOURS) < 0.004) * rng.gamma(2.0, 2.0, HOURS)  # mm
    sun = 0.8 + 0.4 * pd.Series(rng.normal(0, 1, HOURS)).ewm(alpha=1 / 48).mean().to_numpy()
    columns = {}
    for number in range(8):
        field, wilting = rng.uniform(32, 40), rng.uniform(10, 14)
        level, wet = rng.uniform(24, 34), np.zeros(HOURS)
        loss, uptake = rng.uniform(0.15, 0.35), rng.uniform(0.4, 0.8)
        for t in range(HOURS):
            watering = 8.0 if t % 24 == 5 and level < wilting + 10 else 0.0
            level += uptake * (rain[t] + watering) - loss * sun[t] * day[t]
            level -= 0.12 * max(0.0, level - field)  # what the soil cannot hold drains
            level = max(level, wilting)
            wet[t] = level
        columns[f"probe_{number + 1}"] = wet + rng.normal(0, 0.05, HOURS)
    return pd.DataFrame(columns, index=time).round(2)


def recorded(path: Path) -> pd.DataFrame:
    """The record of Bicentennial Park, Sydney: 13 probes from November 15, 2022 on."""
    table = pd.read_csv(path)
    probes = table.drop(columns=[c for c in table if c.lower() in ("day", "hour")])
    probes = probes.select_dtypes("number")
    probes.index = pd.date_range("2022-11-15", periods=len(probes), freq="h", name="time")
    return probes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, help="sopivot+idx.csv, plain or compressed")
    options = parser.parse_args()
    soil = recorded(options.record) if options.record else simulated(np.random.default_rng(5))
    soil.to_csv("soil.csv")
    cut = int(0.8 * len(soil))
    rows = soil.iloc[cut:].melt(ignore_index=False, var_name="probe", value_name="moisture")
    rows.sort_index(kind="stable").to_csv("test.csv")  # as they arrive: probe after probe
    print(f"soil.csv: {soil.shape[1]} probes, {len(soil)} hours")
