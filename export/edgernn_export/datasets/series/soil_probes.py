"""Soil moisture as a task: each probe 1 h and 24 h ahead, and how far it is above its refill point.

What a model reads is what the device prepares: `PREPARATION` makes it from raw readings.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable, TrainingError
from edgernn.model.formats import FloatArray
from edgernn.prepare.calendar_features import CalendarFeatures
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.times import TimeReader
from edgernn.prepare.windows import Difference
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.series.csv_series import SOIL, load_soil
from edgernn_export.datasets.series.irrigation_alarm import ALARM, alarm_scores
from edgernn_export.datasets.sources import DataSource
from edgernn_export.datasets.splits import Part, forecast_splits, side_by_side

#: Hours ahead, one output each; the third output is the margin at the last of them.
HORIZONS: Final = (1, 24)
OUTPUTS: Final = ("change_1h", "change_24h", "margin_24h")
#: An hour after which the moisture in 24 h is more than this higher (%) was wetted; nothing in the
#: readings announces that, and it would hide how well the drying is forecast.
_WETTED: Final = 1.0
#: Steps back of the changes that the network reads.
_CHANGES: Final = (1, 6, 24)
_HOUR_S: Final = 3600.0
#: The record begins on 2022-11-15 at 0 h; its clock is taken as it is.
_RECORD_START_S: Final = 1_668_470_400.0
_WEEK_STEPS: Final = 168
#: The wet and the dry end of a probe: these quantiles of its readings in the train part.
_WET_AND_DRY: Final = (0.95, 0.05)
#: Share of the water between them that plants may use before a bed is watered (Allen et al. 1998,
#: FAO Irrigation and Drainage Paper 56, has 0.3 to 0.7 by crop).
_DEPLETION: Final = 0.5
_USERS: Final = DataSource(home="your own readings", licence="yours", citation="yours")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Probe:
    """Readings of one probe.

    Attributes:
        name: of the probe.
        raw_times_s: float64 [R], seconds since 1970-01-01 UTC.
        raw: float64 [R, 2], moisture and refill point; NaN where one is missing.
        times_s: float64 [T], every hour.
        prepared: float64 [T, I], what the model reads.
    """

    name: str
    raw_times_s: FloatArray
    raw: FloatArray
    times_s: FloatArray
    prepared: FloatArray


def preparation(zone: str = "UTC") -> Preparation:
    """How readings of a probe and its refill point become what the model reads, every hour.

    Args:
        zone: of the hour of the day.

    Raises:
        DeclarationError: this machine knows no such zone.
    """
    changes = [f"moisture_change_{steps}" for steps in _CHANGES]
    return Preparation(
        inputs=("moisture", "refill"),
        steps=(
            Resampling(period_s=_HOUR_S, reset_after=24),
            *(
                Difference(channel="moisture", readings=steps, name=name)
                for steps, name in zip(_CHANGES, changes, strict=True)
            ),
            CalendarFeatures(zone=zone, features=("hour",)),
        ),
        outputs=("moisture", *changes, "hour_sin", "hour_cos", "refill"),
    )


def soil_moisture(readings: str = "", zone: str = "UTC") -> Dataset:
    """Every probe is a stream: 70 % of its hours train, 15 % choose, the last 15 % are the test.

    The refill point of a probe lies halfway between its dry and its wet end, which are the 5 % and
    the 95 % quantile of its readings in the train part.

    Args:
        readings: a CSV file with the columns time, probe, moisture (%) and, if known, refill (%);
            "" takes the record of 13 probes in a park in Sydney.
        zone: of the hour of the day, and of times without an offset.

    Raises:
        DataUnavailable: the file is missing or damaged, or a probe has a gap of a day.
        DeclarationError: this machine knows no such zone.
    """
    plan = preparation(zone)
    probes = _users(Path(readings), plan, zone) if readings else _record(plan)
    rows = min(len(probe.prepared) for probe in probes)
    borders = (int(rows * 0.70), int(rows * 0.85), rows)
    splits = side_by_side(
        [
            forecast_splits(
                probe.prepared[:rows],
                probe.prepared[:rows, :1],
                horizons=HORIZONS,
                borders=borders,
                warmup_steps=_WEEK_STEPS,
                season_steps=HORIZONS[-1],
                input_names=plan.channels,
                standardise=False,
            )
            for probe in probes
        ]
    )
    assert splits.validation is not None
    train, validation, test = map(_with_margin, (splits.train, splits.validation, splits.test))
    change = np.std(train.target - train.base, axis=(0, 1))
    usual = np.mean(np.abs(train.target - train.base), axis=(0, 1))[: len(HORIZONS)]
    return Dataset(
        name="soil moisture",
        source=_USERS if readings else SOIL,
        protocol=(
            f"{len(probes)} probes, hourly, each a stream. In: moisture, its changes "
            f"since {', '.join(map(str, _CHANGES))} h ago, the hour of the day, the refill point "
            "of the probe; out: the changes in 1 h and in 24 h, and the margin above the refill "
            "point in 24 h. Split 70/15/15 % in time; errors in VWC %, mean over probes and hours; "
            "MASE: mean over both horizons of the mean absolute error divided by that of no change "
            "in the train part (Hyndman & Koehler 2006); drying MASE: over the hours after which "
            f"the moisture in 24 h is at most {_WETTED:g} % higher, without rain or watering."
        ),
        train=train,
        validation=validation,
        test=test,
        classes=(),
        metric="drying_mase",
        metric_unit="errors of no change",
        target_scale=np.array([*change[:2], change[1]]),
        metric_scale=np.ones(len(OUTPUTS)),
        input_names=plan.channels,
        input_units=("%",) * (1 + len(_CHANGES)) + ("", "", "%"),
        output_names=OUTPUTS,
        output_units=("%",) * len(OUTPUTS),
        step_ms=_HOUR_S * 1000.0,
        calibration_stride=1,
        files={"replay.csv": _replay(probes, rows - HORIZONS[-1] - test.x.shape[1])},
        scorer=lambda output, part: _scores(output, part, usual),
        naive={"no change": _no_change(test), "the last change again": _same_change(test)},
        preparation=plan,
        decisions=ALARM,
    )


def _with_margin(part: Part) -> Part:
    """A part whose third output is the moisture of the second above the refill point."""
    refill = part.x[..., -1:]
    return replace(
        part,
        target=np.concatenate((part.target, part.target[..., 1:] - refill), axis=2),
        base=np.concatenate((part.base, np.zeros_like(refill)), axis=2),
    )


def _no_change(part: Part) -> FloatArray:
    """The moisture does not change."""
    margin = part.x[..., :1] - part.x[..., -1:]
    return np.concatenate((np.zeros((*margin.shape[:2], 2)), margin), axis=2)


def _same_change(part: Part) -> FloatArray:
    """The moisture changes by the amount of the same number of hours before."""
    change = part.x[..., [1, 1 + _CHANGES.index(HORIZONS[-1])]]
    margin = part.x[..., :1] + change[..., 1:] - part.x[..., -1:]
    return np.concatenate((change, margin), axis=2)


def _scores(output: FloatArray, part: Part, usual: FloatArray) -> dict[str, float]:
    """Errors of both horizons, and the alarm's."""
    change = part.scored(part.target - part.base)[:, : len(HORIZONS)]
    error = np.abs(part.scored(output)[:, : len(HORIZONS)] - change)
    mae, drying = error.mean(axis=0), error[change[:, -1] <= _WETTED].mean(axis=0)
    return {
        "drying_mase": float(np.mean(drying / usual)),
        "mase": float(np.mean(mae / usual)),
        **{f"mae_{hours}h": float(one) for hours, one in zip(HORIZONS, mae, strict=True)},
        **alarm_scores(output[..., -1], part),
    }


def _record(plan: Preparation) -> list[_Probe]:
    series = load_soil()
    times_s = _RECORD_START_S + _HOUR_S * np.arange(len(series.values))
    probes = []
    for name, moisture in zip(series.names, series.values.T, strict=True):
        raw = np.stack((moisture, np.full(len(moisture), _refill_point(moisture))), axis=1)
        prepared = plan.apply(times_s, raw)
        probes.append(
            _Probe(
                name=name, raw_times_s=times_s, raw=raw, times_s=prepared[0], prepared=prepared[1]
            )
        )
    return probes


def _replay(probes: Sequence[_Probe], first: int) -> str:
    """Raw readings from an hour on, as the probes sent them: CSV for `edgernn serve`."""
    rows = sorted(
        (time_s, probe.name, *reading)
        for probe in probes
        for time_s, reading in zip(probe.raw_times_s.tolist(), probe.raw.tolist(), strict=True)
        if time_s >= probe.times_s[first]
    )
    lines = ["time,probe,moisture,refill"]
    for time_s, name, moisture, refill in rows:
        at = datetime.fromtimestamp(time_s, UTC).isoformat().removesuffix("+00:00")
        level = "" if math.isnan(moisture) else repr(moisture)
        lines.append(f"{at}Z,{name},{level},{refill!r}")
    return "\n".join(lines) + "\n"


def _refill_point(moisture: FloatArray) -> float:
    """From the first 70 % of a probe's readings."""
    wet, dry = np.nanquantile(moisture[: int(0.7 * len(moisture))], _WET_AND_DRY)
    return float(wet - _DEPLETION * (wet - dry))


def _users(path: Path, plan: Preparation, zone: str) -> list[_Probe]:
    """Readings of a CSV file; of every probe the hours of the shortest are used."""
    probes = []
    for name, rows in _rows_by_probe(path).items():
        clock = TimeReader(zone)
        times_s = np.array([clock.seconds(row["time"]) for row in rows])
        moisture = np.array([_number(row["moisture"]) for row in rows])
        refill = np.full(len(rows), _refill_point(moisture))
        if "refill" in rows[0]:
            refill = np.array([_number(row["refill"]) for row in rows])
        raw = np.stack((moisture, refill), axis=1)
        found = plan.pushed(plan.stream(), times_s, raw)
        if any(one.reset for one in found[1:]):
            raise DataUnavailable(
                f"{path.name}, probe {name}: expected gaps shorter than 24 h, got a longer one. "
                "Cut the file there."
            )
        if len(found) < 2 * _WEEK_STEPS:
            raise DataUnavailable(
                f"{path.name}, probe {name}: expected at least {2 * _WEEK_STEPS} hours, got "
                f"{len(found)}."
            )
        hours_s = np.array([one.time_s for one in found], dtype=np.float64)
        prepared = np.array([one.x for one in found], dtype=np.float64)
        probes.append(
            _Probe(name=name, raw_times_s=times_s, raw=raw, times_s=hours_s, prepared=prepared)
        )
    return probes


def _rows_by_probe(path: Path) -> Mapping[str, list[dict[str, str]]]:
    if not path.is_file():
        raise TrainingError(f"readings: expected a CSV file, got '{path}', which does not exist.")
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = {"time", "probe", "moisture"} - {*(reader.fieldnames or ())}
        if missing:
            raise DataUnavailable(
                f"{path.name}: expected the columns time, probe and moisture, got no "
                f"{', '.join(sorted(missing))}."
            )
        found: dict[str, list[dict[str, str]]] = {}
        for row in reader:
            found.setdefault(row["probe"], []).append(row)
    if not found:
        raise DataUnavailable(f"{path.name}: expected readings below the header, got none.")
    return found


def _number(cell: str) -> float:
    """A reading; NaN where the cell holds no number."""
    try:
        return float(cell)
    except ValueError:
        return float("nan")
