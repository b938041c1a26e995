"""Small files in the formats of C-MAPSS and of the Numenta Anomaly Benchmark."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from tests.support.training.data_files import write_xz


def engine_lines(unit: int, cycles: int, rng: np.random.Generator) -> list[str]:
    """Lines of one engine whose sensors drift the further it wears."""
    wear = np.linspace(0.0, 1.0, cycles)
    table = rng.normal(size=(cycles, 24)) + 10.0 * wear[:, None]
    return [
        f"{unit} {cycle} " + " ".join(f"{value:.4f}" for value in row)
        for cycle, row in enumerate(table, 1)
    ]


def write_cmapss(
    root: Path, train: tuple[int, ...], test: tuple[int, ...], left: tuple[int, ...]
) -> None:
    """Engines with these numbers of cycles, and the cycles that the test engines have left."""
    rng = np.random.default_rng(0)
    for name, lengths in (("train", train), ("test", test)):
        lines = [line for unit, n in enumerate(lengths, 1) for line in engine_lines(unit, n, rng)]
        write_xz(root / f"cmapss/{name}_FD001.txt.xz", "\n".join(lines) + "\n")
    write_xz(root / "cmapss/RUL_FD001.txt.xz", "".join(f"{n} \n" for n in left))


def write_nab(root: Path, streams: dict[str, tuple[np.ndarray, list[tuple[int, int]]]]) -> None:
    """Streams by file name, each with its values and the first and last rows of its windows."""
    labels = {}
    for name, (values, windows) in streams.items():
        at = [datetime(2024, 1, 1) + timedelta(minutes=5 * row) for row in range(len(values))]
        path = root / "nab/data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{time},{value!r}" for time, value in zip(at, values.tolist(), strict=True)]
        path.write_text("\n".join(["timestamp,value", *rows]), encoding="utf-8")
        labels[name] = [[f"{at[a]}.000000", f"{at[b]}.000000"] for a, b in windows]
    path = root / "nab/labels/combined_windows.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(labels), encoding="utf-8")


def spiky_streams(count: int, rows: int) -> dict[str, tuple[np.ndarray, list[tuple[int, int]]]]:
    """Noisy waves with a spike in the middle of the one window of each."""
    rng = np.random.default_rng(0)
    streams = {}
    for number in range(count):
        values = 50 + 10 * np.sin(np.arange(rows) / 5 + number) + rng.normal(size=rows)
        middle = int(rows * (0.5 + 0.1 * number))
        values[middle] += 80
        streams[f"realMade/{number}.csv"] = values, [(middle - 20, middle + 20)]
    return streams
