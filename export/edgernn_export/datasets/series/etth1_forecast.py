"""ETTh1 as a task: the oil temperature of a transformer over the next 24 hours."""

from __future__ import annotations

from typing import Final

from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.series.csv_series import ETT, load_etth1
from edgernn_export.datasets.splits import Splits, forecast_splits, level_free

DAY_STEPS: Final = 24
_WEEK_STEPS: Final = 7 * DAY_STEPS
#: Informer's months have 30 days.
MONTH_STEPS: Final = 30 * DAY_STEPS


def etth1_splits() -> Splits:
    """OT alone: the six loads, tried in addition, made the validation error worse.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    table = load_etth1()
    oil = table.values[:, [table.names.index("OT")]]
    return forecast_splits(
        level_free(oil, DAY_STEPS),
        oil,
        horizons=range(1, DAY_STEPS + 1),
        borders=(12 * MONTH_STEPS, 16 * MONTH_STEPS, 20 * MONTH_STEPS),
        warmup_steps=_WEEK_STEPS,
        season_steps=DAY_STEPS,
        input_names=("OT change", "OT deviation"),
        standardise=True,
    )


def etth1() -> Dataset:
    """The Informer split, 12/4/4 months; scored by the mean squared error of standardised OT.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    splits = etth1_splits()
    assert splits.validation is not None
    hours = range(1, DAY_STEPS + 1)
    return Dataset(
        name="ETTh1",
        source=ETT,
        protocol=(
            "In at every hour: OT's last hourly change and its deviation from its last 24 h mean; "
            "out: the next 24 changes relative to the present value. Informer split 12/4/4 months; "
            "errors on OT divided by its train standard deviation, mean over all hours."
        ),
        train=splits.train,
        validation=splits.validation,
        test=splits.test,
        classes=(),
        metric="mse",
        metric_unit="train variances",
        target_scale=float(splits.target_scale[0]),
        metric_scale=splits.metric_scale,
        input_names=splits.input_names,
        input_units=("°C", "°C"),
        output_names=tuple(f"OT change in {hour} h" for hour in hours),
        output_units=("°C",) * DAY_STEPS,
        step_ms=3_600_000.0,
        calibration_stride=1,
    )
