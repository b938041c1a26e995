"""The tasks: data, split, model and training budget, one record each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.activity.hapt_activities import (
    ACTIVITIES,
    CHANNELS,
    TEST_SUBJECTS,
    WINDOW_STEPS,
    load_hapt,
)
from edgernn_export.datasets.dataset import accuracy, class_part, forecast_errors
from edgernn_export.datasets.series.csv_series import load_soil
from edgernn_export.datasets.series.etth1_forecast import DAY_STEPS, etth1_splits
from edgernn_export.datasets.splits import (
    Part,
    Splits,
    forecast_splits,
    level_free,
    side_by_side,
)

_WEEK_STEPS = 7 * DAY_STEPS
#: Every how many-th training window calibrates the activity model.
_CALIBRATION_STRIDE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a task's model is trained.

    Attributes:
        window_steps: length of the random training windows, each run from the zero state.
        loss_from: first step of a window that counts.
        batch: windows per update.
        updates: number of updates; the learning rate falls to zero on a cosine.
        learning_rate: its start.
        weight_decay: of AdamW.
        input_noise: standard deviation of the noise on standardised inputs, training only.
    """

    window_steps: int
    loss_from: int
    batch: int
    updates: int
    learning_rate: float
    weight_decay: float
    input_noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One benchmark.

    Attributes:
        name: on the command line and in the results.
        title: what is predicted.
        protocol: split, target and scoring in one sentence each.
        cell: "GRU" or "LSTM".
        units: of the cell.
        outputs: number of outputs O.
        classes: whether outputs are logits (readout at the last step) or forecasts.
        primary: the metric of the summary.
        metric_unit: unit of errors.
        training: see `Training`.
        load: reads and splits the data.
    """

    name: str
    title: str
    protocol: str
    cell: str
    units: int
    outputs: int
    classes: bool
    primary: str
    metric_unit: str
    training: Training
    load: Callable[[], Splits]

    def score(self, output: FloatArray, part: Part, splits: Splits) -> dict[str, float]:
        """Metrics of model outputs [B, T, O] over a part."""
        if self.classes:
            return accuracy(output, part)
        return self.score_prediction(part.base + output, part, splits)

    def score_prediction(
        self, prediction: FloatArray, part: Part, splits: Splits
    ) -> dict[str, float]:
        """Metrics of forecasts [B, T, O] in physical units."""
        return forecast_errors(prediction, part, splits.metric_scale)

    def calibration(self, splits: Splits) -> FloatArray:
        """Streams for the quantizer, from the train part, started as they are in use."""
        return splits.train.x[::_CALIBRATION_STRIDE] if self.classes else splits.train.x


def _soil(horizon: int) -> Splits:
    """One network for all probes: 13 streams, each seeing its probe and the mean of all."""
    table = load_soil()
    rows = table.values.shape[0]
    everywhere = level_free(table.values.mean(axis=1, keepdims=True), DAY_STEPS)
    probes = []
    for column in range(len(table.names)):
        probe = table.values[:, [column]]
        features = (level_free(probe, DAY_STEPS), everywhere, probe)
        probes.append(
            forecast_splits(
                np.concatenate(features, axis=1),
                probe,
                horizons=(horizon,),
                borders=(int(rows * 0.70), int(rows * 0.85), rows),
                warmup_steps=_WEEK_STEPS,
                season_steps=DAY_STEPS,
                input_names=("change", "deviation", "mean change", "mean deviation", "level"),
                standardise=False,
            )
        )
    return side_by_side(probes)


def _hapt() -> Splits:
    windows = load_hapt()
    held_out = np.isin(windows.subject, TEST_SUBJECTS)
    return Splits(
        train=class_part(windows.x[~held_out], windows.label[~held_out], len(ACTIVITIES)),
        validation=None,
        test=class_part(windows.x[held_out], windows.label[held_out], len(ACTIVITIES)),
        target_scale=np.ones(1),
        metric_scale=np.ones(1),
        naive={},
        input_names=CHANNELS,
    )


_SOIL_PROTOCOL = (
    "One network, 13 streams, one per probe. Inputs: the probe's last hourly change, its deviation "
    "from its last 24 h mean, the same two of the mean of all probes, the probe's level; output: "
    "its change relative to the present value. Split 70/15/15 % in time; errors in VWC %, mean "
    "over probes and hours."
)
_SOIL_TRAINING = Training(
    window_steps=96,
    loss_from=24,
    batch=32,
    updates=800,
    learning_rate=3e-3,
    weight_decay=1e-2,
    input_noise=0.1,
)

TASKS: Final[dict[str, Task]] = {
    task.name: task
    for task in (
        Task(
            name="etth1",
            title="ETTh1 oil temperature, the next 24 hours",
            protocol=(
                "Inputs at every hour: OT's last hourly change and its deviation from its last "
                "24 h mean; outputs: the next 24 changes relative to the present value. Informer "
                "split 12/4/4 months; errors on OT divided by its train standard deviation, mean "
                "over 2,857 origins and 24 hours."
            ),
            cell="GRU",
            units=32,
            outputs=DAY_STEPS,
            classes=False,
            primary="mse",
            metric_unit="train standard deviations",
            training=Training(
                window_steps=192,
                loss_from=48,
                batch=32,
                updates=1000,
                learning_rate=3e-3,
                weight_decay=1e-2,
            ),
            load=etth1_splits,
        ),
        *(
            Task(
                name=f"soil_{horizon}h",
                title=f"Soil moisture, {horizon} h ahead",
                protocol=_SOIL_PROTOCOL,
                cell="GRU",
                units=24,
                outputs=1,
                classes=False,
                primary="mae",
                metric_unit="VWC %",
                training=_SOIL_TRAINING,
                load=partial(_soil, horizon),
            )
            for horizon in (1, 24)
        ),
        Task(
            name="hapt",
            title="HAPT, six activities",
            protocol=(
                "6 raw channels at 50 Hz, windows of 128 samples, hop 64, inside labeled "
                "segments; each window from the zero state, read out at its last step; the nine "
                "test subjects of UCI HAR v1."
            ),
            cell="LSTM",
            units=32,
            outputs=len(ACTIVITIES),
            classes=True,
            primary="accuracy",
            metric_unit="",
            training=Training(
                window_steps=WINDOW_STEPS,
                loss_from=WINDOW_STEPS - 1,
                batch=64,
                updates=2400,
                learning_rate=5e-3,
                weight_decay=1e-3,
            ),
            load=_hapt,
        ),
    )
}
