"""Two tasks in hours that ask for memories of weeks: streams, what to answer, long test streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.csv_series import load_soil
from edgernn_export.datasets.splits import level_free

DAY_STEPS: Final = 24
YEAR_STEPS: Final = 8760
#: Steps between now and what the second output of `seasons` tells.
QUARTER_STEPS: Final = YEAR_STEPS // 4
#: Readings of the longest stream that `LongTask.evaluation` gives.
LONGEST_STEPS: Final = 200_000
#: Share of the soil's series that trains and calibrates.
_TRAIN_SHARE: Final = 0.7
_YEARS: Final = 3
_SITES: Final = 8
#: One step's share of the weather's deviation that is gone a step later.
_WEATHER_LOSS: Final = 1.0 / 40.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LongTask:
    """What a network of long memory is trained and tried on.

    Attributes:
        inputs: names of the I channels.
        longest_steps: chrono initialisation draws the units' memories up to this many steps.
        window_steps: steps through which one update's gradient goes; the state goes on.
        updates: how many there are.
        calibration: float64 [B, T, I], the streams that train, each from the zero state.
        wanted: float64 [B, T, O], what should be answered to each of them; mean square 1.
        test: float64 [B', T', I], unseen streams, each from the zero state.
        test_wanted: float64 [B', T', O]; NaN at steps that are not scored.
        naive: mean absolute error on `test` of the best answer that needs no network, per output.
        evaluation: float64 [`LONGEST_STEPS`, I], one unseen stream; its head is used as well.
    """

    inputs: tuple[str, ...]
    longest_steps: int
    window_steps: int
    updates: int
    calibration: FloatArray
    wanted: FloatArray
    test: FloatArray
    test_wanted: FloatArray
    naive: tuple[float, ...]
    evaluation: FloatArray


def soil() -> LongTask:
    """How a probe's moisture changes within a day, from what it and all probes did lately.

    The long stream has the probes one after the other, again and again, without a reset.
    """
    values = load_soil().values
    steps = len(values)
    cut = int(_TRAIN_SHARE * steps)
    everywhere = level_free(values.mean(axis=1, keepdims=True), DAY_STEPS)
    probes = values.T[..., None]
    x = np.stack([np.hstack([level_free(probe, DAY_STEPS), everywhere]) for probe in probes])
    change = probes[:, DAY_STEPS:] - probes[:, :-DAY_STEPS]
    change /= change[:, : cut - DAY_STEPS].std()
    test_wanted = change.copy()
    test_wanted[:, :cut] = np.nan
    rounds = -(-LONGEST_STEPS // (steps * len(x)))
    return LongTask(
        inputs=("change", "deviation", "mean change", "mean deviation"),
        longest_steps=1000,
        window_steps=(cut - DAY_STEPS) // 4,
        updates=300,
        calibration=x[:, : cut - DAY_STEPS],
        wanted=change[:, : cut - DAY_STEPS],
        test=x[:, :-DAY_STEPS],
        test_wanted=test_wanted,
        naive=(_mae(change[:, cut:]),),
        evaluation=np.tile(x.reshape(-1, x.shape[2]), (rounds, 1))[:LONGEST_STEPS],
    )


def seasons() -> LongTask:
    """A daily and annual series with weather: its value in a day, its season's in a quarter.

    The season's quarter is told by what was months ago alone: nothing now says whether spring or
    autumn has the same temperature.
    """
    rng = np.random.default_rng(8760)
    reading, season = _series(rng, _SITES, _YEARS * YEAR_STEPS)
    tests = _series(rng, 2, _YEARS * YEAR_STEPS)
    longest = _series(rng, 1, LONGEST_STEPS)[0]
    wanted = _ahead(reading, season)
    spread = wanted.std(axis=(0, 1))
    test_wanted = _ahead(*tests) / spread
    test_wanted[:, :YEAR_STEPS] = np.nan
    used = wanted.shape[1]
    window = YEAR_STEPS // 20
    used -= used % window
    scored = test_wanted[:, YEAR_STEPS:]
    now = tests[0][:, YEAR_STEPS : wanted.shape[1], None] / spread
    return LongTask(
        inputs=("temperature",),
        longest_steps=YEAR_STEPS,
        window_steps=window,
        updates=1500,
        calibration=reading[:, :used, None],
        wanted=wanted[:, :used] / spread,
        test=tests[0][:, : wanted.shape[1], None],
        test_wanted=test_wanted,
        naive=(_mae(now[..., :1] - scored[..., :1]), _mae(scored[..., 1:])),
        evaluation=longest[0][:, None],
    )


#: name -> what makes the task
LONG_TASKS: Final[dict[str, Callable[[], LongTask]]] = {"soil": soil, "seasons": seasons}


def _series(rng: np.random.Generator, streams: int, steps: int) -> tuple[FloatArray, FloatArray]:
    """Readings and their season alone, each [streams, steps], begun anywhere in the year."""
    hour = rng.integers(YEAR_STEPS, size=(streams, 1)) + np.arange(steps + QUARTER_STEPS)
    year = 2.0 * np.pi * hour / YEAR_STEPS
    season = 9.0 * np.sin(year)
    day = (4.0 + 2.0 * np.sin(year)) * np.sin(2.0 * np.pi * hour / DAY_STEPS)
    weather = np.zeros(hour.shape)
    shocks = rng.normal(size=hour.shape) * np.sqrt(2.0 * _WEATHER_LOSS)
    for t in range(1, hour.shape[1]):
        weather[:, t] = weather[:, t - 1] * (1.0 - _WEATHER_LOSS) + shocks[:, t]
    return (season + day + 2.0 * weather)[:, :steps], season


def _ahead(reading: FloatArray, season: FloatArray) -> FloatArray:
    """What should be answered [B, T', 2] to readings [B, T] of seasons [B, T + a quarter]."""
    day = reading[:, DAY_STEPS:]
    quarter = season[:, QUARTER_STEPS : QUARTER_STEPS + day.shape[1]]
    return np.stack([day, quarter], axis=2)


def _mae(values: FloatArray) -> float:
    return float(np.mean(np.abs(values)))
