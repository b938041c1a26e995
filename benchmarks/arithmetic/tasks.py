"""Tasks with endless streams of readings: inputs and targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.series.csv_series import load_soil
from edgernn_export.datasets.splits import level_free

DAY_STEPS: Final = 24
YEAR_STEPS: Final = 8760
#: Steps between now and what the second output of `seasons` tells.
QUARTER_STEPS: Final = YEAR_STEPS // 4
#: Readings of the longest stream that `StreamTask.evaluation` gives.
LONGEST_STEPS: Final = 200_000
#: Share of the soil's series that trains and calibrates.
_TRAIN_SHARE: Final = 0.7
_YEARS, _SITES, _TEST_SITES = 3, 8, 2
#: Share of the weather's deviation that is gone a step later.
_WEATHER_LOSS: Final = 1.0 / 40.0
_ROOMS, _TEST_ROOMS = 32, 8
_ROOM_STEPS, _ROOM_TEST_STEPS, _ROOM_AHEAD = 640, 2_000, 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamTask:
    """What networks are trained and tried on.

    Attributes:
        inputs: names of the I channels.
        outputs: what the O outputs tell.
        window_steps: steps through which one update's gradient goes; the states go on.
        updates: how many there are.
        calibration: float64 [B, T, I], the streams that train, each from the zero state.
        wanted: float64 [B, T, O], what should be answered to each of them; standardised.
        test: float64 [B', T', I], unseen streams, each from the zero state.
        test_wanted: float64 [B', T', O]; NaN at steps that are not scored.
        naive: mean absolute error on `test` of what needs no network, per output.
        evaluation: float64 [`LONGEST_STEPS`, I], one stream, not reset; None where memories are
            short.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    window_steps: int
    updates: int
    calibration: FloatArray
    wanted: FloatArray
    test: FloatArray
    test_wanted: FloatArray
    naive: tuple[float, ...]
    evaluation: FloatArray | None = None


def soil() -> StreamTask:
    """How a probe's moisture changes within a day, from what it and all probes did lately.

    The long stream has the probes one after the other, again and again.
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
    return StreamTask(
        inputs=("change", "deviation", "mean change", "mean deviation"),
        outputs=("change in 24 h",),
        window_steps=(cut - DAY_STEPS) // 4,
        updates=300,
        calibration=x[:, : cut - DAY_STEPS],
        wanted=change[:, : cut - DAY_STEPS],
        test=x[:, :-DAY_STEPS],
        test_wanted=test_wanted,
        naive=(_mae(change[:, cut:]),),
        evaluation=np.tile(x.reshape(-1, x.shape[2]), (rounds, 1))[:LONGEST_STEPS],
    )


def seasons() -> StreamTask:
    """A daily and annual series with weather: its value in a day, its season's in a quarter.

    What season comes is told by months that are past alone: spring and autumn are alike today.
    """
    rng = np.random.default_rng(8760)
    reading, season = _years(rng, _SITES, _YEARS * YEAR_STEPS)
    test, test_season = _years(rng, _TEST_SITES, _YEARS * YEAR_STEPS)
    longest, _ = _years(rng, 1, LONGEST_STEPS)
    wanted = _day_and_quarter(reading, season)
    spread = wanted.std(axis=(0, 1))
    test_wanted = _day_and_quarter(test, test_season) / spread
    test_wanted[:, :YEAR_STEPS] = np.nan
    scored, now = test_wanted[:, YEAR_STEPS:], test[:, YEAR_STEPS:-DAY_STEPS] / spread[0]
    window = YEAR_STEPS // 20
    used = wanted.shape[1] - wanted.shape[1] % window
    return StreamTask(
        inputs=("temperature",),
        outputs=("temperature in 24 h", "season in 91 days"),
        window_steps=window,
        updates=1500,
        calibration=reading[:, :used, None],
        wanted=wanted[:, :used] / spread,
        test=test[:, :-DAY_STEPS, None],
        test_wanted=test_wanted,
        naive=(_mae(scored[..., 0] - now), _mae(scored[..., 1])),
        evaluation=longest[0][:, None],
    )


def room() -> StreamTask:
    """How a heated room's temperature changes within six readings, from three noisy channels.

    How warm the radiator is and whether a window is open nobody measures.
    """
    rng = np.random.default_rng(21)
    x, y = _rooms(rng, _ROOMS, _ROOM_STEPS)
    test, test_y = _rooms(rng, _TEST_ROOMS, _ROOM_TEST_STEPS)
    spread = float(y.std())
    return StreamTask(
        inputs=("outside", "heating", "inside"),
        outputs=("change in 6 readings",),
        window_steps=32,
        updates=600,
        calibration=x,
        wanted=y / spread,
        test=test,
        test_wanted=test_y / spread,
        naive=(_mae(test_y / spread),),
    )


#: name -> what makes a task of long memory, and up to how many steps units remember at first
LONG_TASKS: Final[dict[str, tuple[Callable[[], StreamTask], int]]] = {
    "soil": (soil, 1000),
    "seasons": (seasons, YEAR_STEPS),
}


def _years(rng: np.random.Generator, streams: int, steps: int) -> tuple[FloatArray, FloatArray]:
    """Readings [streams, steps], begun anywhere in the year, and their season a quarter on."""
    hour = rng.integers(YEAR_STEPS, size=(streams, 1)) + np.arange(steps + QUARTER_STEPS)
    year = 2.0 * np.pi * hour / YEAR_STEPS
    season = 9.0 * np.sin(year)
    day = (4.0 + 2.0 * np.sin(year)) * np.sin(2.0 * np.pi * hour / DAY_STEPS)
    weather = np.zeros(hour.shape)
    shocks = rng.normal(size=hour.shape) * np.sqrt(2.0 * _WEATHER_LOSS)
    for t in range(1, hour.shape[1]):
        weather[:, t] = weather[:, t - 1] * (1.0 - _WEATHER_LOSS) + shocks[:, t]
    return (season + day + 2.0 * weather)[:, :steps], season


def _day_and_quarter(reading: FloatArray, season: FloatArray) -> FloatArray:
    """What should be answered [B, T - a day, 2] to [B, T] and seasons [B, T + a quarter]."""
    day = reading[:, DAY_STEPS:]
    return np.stack([day, season[:, QUARTER_STEPS : QUARTER_STEPS + day.shape[1]]], axis=2)


def _rooms(rng: np.random.Generator, streams: int, steps: int) -> tuple[FloatArray, FloatArray]:
    """Readings [streams, steps, 3] of rooms and how each becomes warmer [streams, steps, 1]."""
    count = steps + _ROOM_AHEAD
    hour = rng.uniform(0.0, 144.0, size=(streams, 1)) + np.arange(count)
    outside = 5.0 + 6.0 * np.sin(2.0 * np.pi * hour / 144.0) + rng.normal(size=(streams, 1)) * 3.0
    heating, inside = np.zeros((2, streams, count))
    on, window = rng.random((2, streams)) < 0.3
    radiator, room_c = np.zeros(streams), np.full(streams, 18.0)
    for t in range(count):
        on = np.where(rng.random(streams) < 0.08, ~on, on)
        window = np.where(rng.random(streams) < np.where(window, 0.12, 0.02), ~window, window)
        radiator += (on - radiator) / 5.0
        loss = np.where(window, 0.06, 0.02) * (room_c - outside[:, t])
        room_c = room_c + 0.9 * radiator - loss
        heating[:, t], inside[:, t] = on, room_c
    readings = np.stack([outside, heating, inside], axis=2)
    readings += rng.normal(size=readings.shape) * (0.2, 0.02, 0.1)
    return readings[:, :steps], (inside[:, _ROOM_AHEAD:] - inside[:, :steps])[..., None]


def _mae(values: FloatArray) -> float:
    return float(np.mean(np.abs(values)))
