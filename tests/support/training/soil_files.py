"""Readings of soil moisture, made up: beds that dry and are watered now and then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.training.data_files import write_xz

ROWS = 800


def drying(seed: int) -> npt.NDArray[np.float64]:
    """Moisture of two probes, float64 [ROWS, 2], % of volume."""
    rng = np.random.default_rng(seed)
    level = np.array([25.0, 16.0])
    rows = np.empty((ROWS, 2))
    for hour in range(ROWS):
        level = level - 0.002 * level * (1 + np.sin(2 * np.pi * hour / 24))
        level += 8.0 * (rng.random(2) < 0.006)
        rows[hour] = level + 0.01 * rng.normal(size=2)
    return rows


def write_record(folder: Path, probes: npt.NDArray[np.float64]) -> None:
    """The file of the public record."""
    names = ",".join(f"SENS{number}" for number in range(probes.shape[1]))
    lines = [f"d,h,{','.join(map(repr, row))}" for row in probes.tolist()]
    path = folder / "soil_moisture_simpact/sopivot+idx.csv.xz"
    write_xz(path, "\n".join([f"day,hour,{names}", *lines]) + "\n")


def write_readings(
    path: Path, probes: npt.NDArray[np.float64], refill: float | None = None
) -> None:
    """A user's table, probe by probe, hourly."""
    start = np.datetime64("2026-04-01T00:00:00")
    extra = "" if refill is None else f",{refill}"
    lines = ["time,probe,moisture" + ("" if refill is None else ",refill")]
    for name, probe in zip("AB", probes.T, strict=True):
        lines += [
            f"{start + np.timedelta64(hour, 'h')}Z,{name},{value!r}{extra}"
            for hour, value in enumerate(probe.tolist())
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
