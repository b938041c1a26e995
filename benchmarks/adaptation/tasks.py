"""Series that drift: two that are made up, whose change is known, and two recorded ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.series.csv_series import load_etth1, load_soil

_DAY: Final = 24
#: Steps of a made-up series: for training, before the change, from the change on.
TRAIN_STEPS, BEFORE_STEPS, AFTER_STEPS = 6_000, 1_000, 3_000
#: Steps over which a made-up change happens.
RAMP_STEPS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTask:
    """Streams to train on, and streams that drift.

    Attributes:
        train: (readings [T, I], true values [T]) for every stream of training.
        old: the same of the old regime, which training did not use; for recorded series it did.
        new: the same of what comes later.
        settled: step of ``new`` from which on errors count as after the change; for recorded series
            all steps count.
        horizon: steps from a reading to its true value; with 0, the true value comes with it.
    """

    train: list[tuple[FloatArray, FloatArray]]
    old: list[tuple[FloatArray, FloatArray]]
    new: list[tuple[FloatArray, FloatArray]]
    settled: int
    horizon: int


def gain_and_offset(seed: int) -> DriftTask:
    """A soft sensor whose laboratory value drifts to 1.3 times and 0.8 more in 500 steps."""
    return _made_up(seed, lambda slow, fast, share: (3 * slow + fast / 2) * (1 + 0.3 * share)
                    + 0.8 * share)  # fmt: skip


def season(seed: int) -> DriftTask:
    """A soft sensor whose inputs get other weights in 500 steps, as with another raw material."""
    return _made_up(seed, lambda slow, fast, share: (3 - share) * slow + (0.5 - 0.8 * share) * fast)


def _made_up(seed: int, value: object) -> DriftTask:
    rng = np.random.default_rng(1_000 + seed)
    counts = TRAIN_STEPS, BEFORE_STEPS, AFTER_STEPS
    inputs, states = _process(rng, sum(counts))
    share = np.clip((np.arange(sum(counts)) - sum(counts[:2])) / RAMP_STEPS, 0, 1)
    assert callable(value)
    truth = value(states, inputs[:, 2], share) + rng.normal(0, 0.05, sum(counts))
    ends = np.cumsum(counts)
    parts = [(inputs[a:b], truth[a:b]) for a, b in zip((0, *ends), ends, strict=False)]
    return DriftTask(
        train=parts[:1], old=parts[1:2], new=parts[2:], settled=AFTER_STEPS // 2, horizon=0
    )


def _process(rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
    """Three measured channels [T, 3], and the slow state [T] that they drive."""
    noise = rng.normal(0, 1, (count, 3))
    inputs, state = np.empty((count, 3)), np.empty(count)
    u, s = np.zeros(3), 0.0
    memory = np.array([0.98, 0.9, 0.5])
    for t in range(count):
        u = memory * u + np.sqrt(1 - memory**2) * noise[t]
        s = 0.9 * s + 0.1 * np.tanh(u[0] + 0.5 * u[1] * np.sin(2 * np.pi * t / _DAY))
        inputs[t], state[t] = u, s
    return inputs, state


def _level_free(values: FloatArray) -> FloatArray:
    """The last change, and the deviation from the mean of the last 24 h: [T - 24, 2]."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    means = (sums[_DAY:] - sums[:-_DAY]) / _DAY
    changes = np.diff(values)[_DAY - 1 :]
    return np.stack([changes, values[_DAY:] - means[1:]], axis=1)


def _forecast(values: FloatArray, start: int, end: int) -> tuple[FloatArray, FloatArray]:
    """Readings of the hours start to end, and by how much the value changes in 24 h."""
    used = values[start - _DAY : end + _DAY]
    readings = _level_free(used)[: end - start]
    return readings, used[2 * _DAY :] - used[_DAY:-_DAY]


def soil(_seed: int) -> DriftTask:
    """Moisture of 13 probes, 24 h ahead; the first 900 hours are for training."""
    values = load_soil().values
    streams = values.T
    end = len(values) - _DAY
    return DriftTask(
        train=[_forecast(v, _DAY, 900) for v in streams],
        old=[_forecast(v, 600, 900) for v in streams],
        new=[_forecast(v, 900, end) for v in streams],
        settled=0,
        horizon=_DAY,
    )


def etth1(_seed: int) -> DriftTask:
    """Oil temperature of a transformer, 24 h ahead; the first twelve months are for training."""
    table = load_etth1()
    oil = table.values[:, table.names.index("OT")]
    month = 30 * _DAY
    return DriftTask(
        train=[_forecast(oil, _DAY, 12 * month)],
        old=[_forecast(oil, 11 * month, 12 * month)],
        new=[_forecast(oil, 12 * month, 20 * month)],
        settled=0,
        horizon=_DAY,
    )


#: Name of a task -> what makes it of a seed.
TASKS: Final = {"gain and offset": gain_and_offset, "season": season, "soil moisture": soil,
                "ETTh1": etth1}  # fmt: skip
