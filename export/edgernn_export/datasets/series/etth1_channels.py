"""ETTh1 as a task: all seven channels of a transformer over the next 24 hours."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn.prepare.calendar_features import CalendarFeatures
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.windows import Difference
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.series.csv_series import ETT, load_etth1
from edgernn_export.datasets.series.etth1_forecast import DAY_STEPS, MONTH_STEPS
from edgernn_export.datasets.splits import Part

#: The first row: 2016-07-01 at 0 h, on the clock of the record.
_START_S: Final = 1_467_331_200.0
_HOUR_S: Final = 3600.0
_WEEK_STEPS: Final = 7 * DAY_STEPS
#: Rows after the last of train, validation and test (Zhou et al. 2021).
_BORDERS: Final = (12 * MONTH_STEPS, 16 * MONTH_STEPS, 20 * MONTH_STEPS)
_OIL: Final = "OT"
_HOURS: Final = range(1, DAY_STEPS + 1)
RowNumbers = npt.NDArray[np.int64]


def ett() -> Dataset:
    """The Informer split, 12/4/4 months; scored by the mean squared error of standardised values.

    Outputs are ordered hour by hour, then channel. A load is forecast as a change from its value 24
    hours before the target, the oil temperature as a change from its present value: both are known
    when the forecast is made.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    table = load_etth1()
    plan = _preparation(table.names)
    times_s = _START_S + _HOUR_S * np.arange(len(table.values))
    _, x = plan.apply(times_s, table.values)
    oil = table.names.index(_OIL)
    train, validation, test = (
        _part(x, table.values, oil, *_rows(first, last))
        for first, last in zip((0, *_BORDERS[:-1]), _BORDERS, strict=True)
    )
    rows, _ = _rows(*_BORDERS[1:])
    day_before = _day_before(table.values, rows) - test.base
    now = np.tile(table.values[rows], DAY_STEPS) - test.base
    names = [f"{name} in {hour} h" for hour in _HOURS for name in table.names]
    return Dataset(
        name="ETTh1, all channels",
        source=ETT,
        protocol=(
            "In at every hour: of the six loads and the oil temperature the changes since 1 h and "
            "since 24 h, the hour of the day and the weekday; out: all seven over the next 24 "
            "hours, loads relative to the same hour a day before, oil relative to the present "
            "value. Informer split 12/4/4 months; errors on values divided by their train standard "
            "deviations, mean over all channels and hours."
        ),
        train=train,
        validation=validation,
        test=test,
        classes=(),
        metric="mse",
        metric_unit="train variances",
        target_scale=np.std(train.scored(train.target - train.base), axis=0),
        metric_scale=np.tile(table.values[: _BORDERS[0]].std(axis=0), DAY_STEPS),
        input_names=plan.channels,
        input_units=_units(plan.channels),
        output_names=tuple(names),
        output_units=_units(tuple(names)),
        step_ms=_HOUR_S * 1000.0,
        calibration_stride=1,
        naive={"the last 24 hours again": day_before, "no change": now},
        preparation=plan,
    )


def _preparation(channels: tuple[str, ...]) -> Preparation:
    changes = [
        Difference(channel=channel, readings=steps, name=f"{channel} change {steps} h")
        for channel in channels
        for steps in (1, DAY_STEPS)
    ]
    calendar = CalendarFeatures(features=("hour", "weekday"))
    return Preparation(
        inputs=channels,
        steps=(*changes, calendar),
        outputs=(*(step.name for step in changes), *calendar.adds()),
    )


def _units(names: tuple[str, ...]) -> tuple[str, ...]:
    """Degrees of the oil; the record gives the loads no unit."""
    return tuple("°C" if name.startswith(_OIL) else "" for name in names)


def _rows(first: int, last: int) -> tuple[RowNumbers, int]:
    """Rows of the steps of a part, and the first step that counts.

    The targets of steps that count lie in rows [first, last); a week before them warms the state
    up, and the first day of the series has no day before it.
    """
    scored = max(first - 1, DAY_STEPS)
    begin = max(scored - _WEEK_STEPS, 0)
    return np.arange(begin, last - DAY_STEPS, dtype=np.int64), scored - begin


def _part(x: FloatArray, values: FloatArray, oil: int, rows: RowNumbers, scored_from: int) -> Part:
    """A stream of these rows."""
    base = _day_before(values, rows)
    base[:, oil :: values.shape[1]] = values[rows, oil, None]
    target = [values[rows + hour] for hour in _HOURS]
    return Part(
        x=x[None, rows],
        target=np.concatenate(target, axis=1)[None],
        base=base[None],
        scored_from=scored_from,
    )


def _day_before(values: FloatArray, rows: RowNumbers) -> FloatArray:
    """The values 24 h before the targets of these rows, float64 [T, O]."""
    known = [values[np.maximum(rows + hour - DAY_STEPS, 0)] for hour in _HOURS]
    return np.concatenate(known, axis=1)
