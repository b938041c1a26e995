"""The weekly Mauna Loa CO2 record as a stream of readings and forecasting targets."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import CalibrationError
from edgernn.model.formats import FloatArray

#: Weeks between a reading and the level it forecasts: long enough for the season to turn.
HORIZON_WEEKS: Final = 13
_YEAR_WEEKS: Final = 52
_TRAIN_SHARE, _VALIDATION_SHARE = 0.70, 0.15
#: Readings shipped beside the packaged model: the last four years.
_SAMPLE_WEEKS: Final = 208

INPUT_NAME: Final = "co2_change"
OUTPUT_NAME: Final = f"co2_change_in_{HORIZON_WEEKS}_weeks"
UNIT: Final = "ppm"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Co2Record:
    """T weekly readings in time order, as a device would see them.

    Attributes:
        week: first day of each week, datetime64[D] [T].
        level: CO2 concentration in ppm, float64 [T].
        change: level minus the level one week before in ppm, float64 [T]; the model's input.
        filled_weeks: weeks without a measurement, which repeat the last one.
    """

    week: npt.NDArray[np.datetime64]
    level: FloatArray
    change: FloatArray
    filled_weeks: int

    @property
    def readings(self) -> FloatArray:
        """The model's input stream [T, 1]."""
        return self.change[:, None]

    @property
    def target(self) -> FloatArray:
        """Change over the next `HORIZON_WEEKS` in ppm [T]; NaN where the record ends before."""
        ahead = np.full(len(self.level), np.nan)
        ahead[:-HORIZON_WEEKS] = self.level[HORIZON_WEEKS:] - self.level[:-HORIZON_WEEKS]
        return ahead

    @property
    def train_weeks(self) -> int:
        """Readings [0, train_weeks) are the training part."""
        return int(_TRAIN_SHARE * len(self.level))

    @property
    def test_start(self) -> int:
        """Readings from here on are the test part; validation lies between."""
        return int((_TRAIN_SHARE + _VALIDATION_SHARE) * len(self.level))

    @property
    def validation(self) -> slice:
        """Weeks whose forecast is made and comes due inside the validation part."""
        return slice(self.train_weeks, self.test_start - HORIZON_WEEKS)

    @property
    def test(self) -> slice:
        """Weeks whose forecast is made and comes due inside the test part."""
        return slice(self.test_start, len(self.level) - HORIZON_WEEKS)

    def persistence(self) -> FloatArray:
        """Forecast change [T] of the rule "the level does not change"."""
        return np.zeros(len(self.level))

    def seasonal_naive(self) -> FloatArray:
        """Forecast change [T] of the rule "as over the same weeks one year ago".

        NaN in the first year.
        """
        forecast = np.full(len(self.level), np.nan)
        earlier = self.target[:-_YEAR_WEEKS]
        forecast[_YEAR_WEEKS:] = earlier
        return forecast


def from_levels(week: npt.NDArray[np.datetime64], level: FloatArray) -> Co2Record:
    """Make the stream of a level record.

    A missing level repeats the last one, which is what a device can do: no value from the future
    is used. The first week only serves the first change.

    Args:
        week: datetime64 [T + 1].
        level: ppm [T + 1]; NaN where nothing was measured, never in the first week.

    Raises:
        CalibrationError: the first level is missing.
    """
    missing = np.isnan(level)
    if missing[0]:
        raise CalibrationError("demo: expected a level in the first week, got NaN")
    last_seen = np.maximum.accumulate(np.where(missing, 0, np.arange(len(level))))
    filled = level[last_seen]
    return Co2Record(
        week=week[1:].astype("datetime64[D]"),
        level=filled[1:],
        change=np.diff(filled),
        filled_weeks=int(missing.sum()),
    )


def load_record() -> Co2Record:
    """The record as statsmodels ships it: Mauna Loa, March 1958 to December 2001, public domain.

    Source: C. D. Keeling and T. P. Whorf 2004, Atmospheric CO2 concentrations derived from flask
    air samples at sites in the SIO network.
    """
    from statsmodels.datasets import co2

    table = co2.load().data["co2"]
    return from_levels(table.index.to_numpy(), table.to_numpy(dtype=np.float64))


def write_sample(record: Co2Record, path: Path) -> Path:
    """Write the last readings as CSV, a stream for `edgernn run`."""
    rows = zip(record.week, record.level, record.change, strict=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["week", "co2_level", INPUT_NAME])
        for week, level, change in list(rows)[-_SAMPLE_WEEKS:]:
            writer.writerow([str(week), f"{level:.1f}", f"{change:.1f}"])
    return path
