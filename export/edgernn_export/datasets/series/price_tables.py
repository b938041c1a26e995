"""Daily prices from CSV files: opening, highest, lowest and closing price, and volume."""

from __future__ import annotations

import csv
import lzma
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable, TrainingError
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.sources import DataSource, find

NIFTY: Final = DataSource(
    home="github.com/VatsalSin/Stock-Market-Indices-Dataset, 'NIFTY 50.csv' (Yahoo Finance)",
    licence="none stated; the terms of the vendor may apply",
    citation="NIFTY 50, daily, 2000-01-03 to 2019-12-02",
)
SP500: Final = DataSource(
    home="github.com/bashtage/arch, arch/data/sp500/sp500.csv.gz (Yahoo Finance)",
    licence="NCSA for the package; the terms of the vendor may apply to the prices",
    citation="S&P 500, daily, 1999-01-04 to 2018-12-31",
)
#: Name of an index -> what it is called, its file under EDGERNN_DATA, and where that comes from.
INDICES: Final = {
    "nifty50": ("NIFTY 50", "index_prices/NIFTY_50.csv", NIFTY),
    "sp500": ("S&P 500", "index_prices/sp500.csv", SP500),
}
COLUMNS: Final = ("open", "high", "low", "close", "volume")
_DATE_FORMS: Final = ("%Y-%m-%d", "%m/%d/%Y")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriceTable:
    """Prices of consecutive trading days.

    Attributes:
        name: of the index or share.
        source: of the file.
        days: of the rows, ascending.
        values: float64 [T, 5] in the order of `COLUMNS`; NaN in columns that the file lacks.
    """

    name: str
    source: DataSource
    days: tuple[date, ...]
    values: FloatArray

    def column(self, name: str) -> FloatArray:
        """One of `COLUMNS`, float64 [T]."""
        found: FloatArray = self.values[:, COLUMNS.index(name)].copy()
        return found


def load_prices(index: str = "sp500", file: str = "") -> PriceTable:
    """The prices of an index under EDGERNN_DATA, or of a user's file.

    Args:
        index: "sp500" or "nifty50".
        file: path of a CSV file, plain or packed with xz, that has the columns Date (2024-12-31 or
            12/31/2024) and Close, and may have Open, High, Low and Volume; "" for the index.

    Raises:
        DataUnavailable: the file is missing or damaged.
        TrainingError: an unknown index.
    """
    if file:
        path = Path(file)
        if not path.is_file():
            raise DataUnavailable(f"file: expected a CSV file of daily prices, got none at {file}.")
        source = DataSource(home=path.name, licence="the user's", citation=path.name)
        return _read(path, path.name.partition(".")[0], source)
    if index not in INDICES:
        raise TrainingError(f"index: expected {' or '.join(INDICES)}, got {index!r:.40}.")
    name, relative, source = INDICES[index]
    return _read(find(relative, source), name, source)


def _read(path: Path, name: str, source: DataSource) -> PriceTable:
    opener = lzma.open if path.suffix == ".xz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (UnicodeDecodeError, csv.Error, EOFError, lzma.LZMAError) as error:
        raise DataUnavailable(
            f"{path.name}: expected a CSV file in UTF-8, got {error!s:.80}."
        ) from error
    head = [title.strip().lower() for title in rows[0]] if rows else []
    lacking = [title for title in ("date", "close") if title not in head]
    if lacking or len(rows) < 2:
        raise DataUnavailable(
            f"{path.name}: expected a header with Date and Close, and rows, got "
            f"{len(rows)} lines without {' and '.join(lacking) or 'prices'}. Name the columns "
            "Date, Open, High, Low, Close and Volume."
        )
    days, values = [], np.full((len(rows) - 1, len(COLUMNS)), np.nan)
    for at, row in enumerate(rows[1:]):
        try:
            days.append(_day(row[head.index("date")]))
            for column, title in enumerate(COLUMNS):
                if title in head:
                    values[at, column] = float(row[head.index(title)])
        except (ValueError, IndexError) as error:
            raise DataUnavailable(
                f"{path.name}, line {at + 2}: expected a day and prices, got {error}. Leave "
                "incomplete lines out."
            ) from error
    _check(path.name, head, days, values)
    return PriceTable(name=name, source=source, days=tuple(days), values=values)


def _day(text: str) -> date:
    """The day of a text, whose time is ignored."""
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text.split()[0].partition("T")[0], form).date()
        except (ValueError, IndexError):
            continue
    raise ValueError(f"the date {text!r:.40}")


def _check(name: str, head: list[str], days: list[date], values: FloatArray) -> None:
    """Refuse days out of order, and prices that have no logarithm."""
    late = next((i for i in range(1, len(days)) if days[i] <= days[i - 1]), None)
    if late is not None:
        raise DataUnavailable(
            f"{name}, line {late + 2}: expected days in ascending order, got {days[late]} after "
            f"{days[late - 1]}. Sort the file by its date, one line per day."
        )
    for column, title in enumerate(COLUMNS[:-1]):
        bad = np.flatnonzero(~(np.isfinite(values[:, column]) & (values[:, column] > 0)))
        if title in head and len(bad):
            raise DataUnavailable(
                f"{name}, line {bad[0] + 2}: expected a price above 0 in {title}, got "
                f"{values[bad[0], column]:g}. Leave the line out."
            )
