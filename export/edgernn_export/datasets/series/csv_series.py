"""Regularly sampled multivariate series from CSV files; nothing is split or normalized here."""

from __future__ import annotations

import csv
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.sources import DataSource, find

ETT: Final = DataSource(
    home="github.com/zhouhaoyi/ETDataset, ETT-small/ETTh1.csv",
    licence="CC BY-ND 4.0",
    citation="Zhou et al. 2021, Informer: Beyond Efficient Transformer, AAAI",
)
SOIL: Final = DataSource(
    home="github.com/OliverObst/simpact-demo-data, data/sopivot+idx.csv",
    licence="CC BY 4.0",
    citation="SIMPaCT, Sydney Olympic Park, soil-moisture demonstration data",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """A regularly sampled multivariate series.

    Attributes:
        names: channel names.
        values: float64 [T, I], physical units.
    """

    names: tuple[str, ...]
    values: FloatArray


def load_etth1() -> Series:
    """ETTh1: six loads and the oil temperature OT (degrees Celsius), hourly (Zhou et al. 2021).

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    return _read_csv(find("ett/ETTh1.csv", ETT), skip=("date",))


def load_soil() -> Series:
    """13 soil-moisture probes, volumetric water content in %, hourly (SIMPaCT, Sydney).

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    return _read_csv(find("soil_moisture_simpact/sopivot+idx.csv", SOIL), skip=("day", "hour"))


def _read_csv(path: Path, skip: tuple[str, ...]) -> Series:
    """All columns but ``skip`` as float64; refuses gaps, the sources have none."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    head = rows[0] if rows else []
    kept = [i for i, name in enumerate(head) if name not in skip]
    if len(rows) < 2 or not kept:
        raise DataUnavailable(f"{path.name}: expected a header and rows, got {len(rows)} lines.")
    try:
        values = np.array([[float(row[i]) for i in kept] for row in rows[1:]])
    except (ValueError, IndexError) as error:
        raise DataUnavailable(f"{path.name}: expected numbers everywhere, got {error}.") from error
    if not np.isfinite(values).all():
        raise DataUnavailable(f"{path.name}: expected finite numbers, got NaN or infinity.")
    return Series(names=tuple(head[i] for i in kept), values=values)
