"""C-MAPSS FD001: how many cycles has a turbofan engine left? (Saxena et al. 2008)."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn.errors import DataUnavailable, TrainingError
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.sources import DataSource, find
from edgernn_export.datasets.splits import Part

CMAPSS: Final = DataSource(
    home="NASA Prognostics Center of Excellence Data Set Repository, Turbofan Engine Degradation "
    "Simulation (FD001)",
    licence="public; work of the US government",
    citation="Saxena, Goebel, Simon & Eklund 2008, Damage propagation modeling for aircraft engine "
    "run-to-failure simulation",
)
FOLDER: Final = "cmapss"
#: Sensors that change in FD001: their number in the file from 1, name and unit.
SENSORS: Final = (
    (2, "T24", "°R"), (3, "T30", "°R"), (4, "T50", "°R"), (7, "P30", "psia"), (8, "Nf", "rpm"),
    (9, "Nc", "rpm"), (11, "Ps30", "psia"), (12, "phi", "pps/psi"), (13, "NRf", "rpm"),
    (14, "NRc", "rpm"), (15, "BPR", ""), (17, "htBleed", ""), (20, "W31", "lbm/s"),
    (21, "W32", "lbm/s"),
)  # fmt: skip
#: Unit, cycle, 3 settings and 21 sensors.
_COLUMNS: Final = 26
_FIRST_SENSOR: Final = 4  # column of sensor 0, if there were one
#: How copies of the files write readings that are missing.
_MISSING: Final = frozenset({"na", "n/a", "nan", "none"})
#: Every fifth engine validates.
_HELD_OUT: Final = 5
#: Engines are judged after this many cycles; no test engine is cut off before.
_WARM_UP_CYCLES: Final = 30
#: A flight has no fixed length; an hour is the order of it.
_CYCLE_MS: Final = 3_600_000.0


def turbofan(most: str = "125") -> Dataset:
    """Cycles that an engine has left, at every cycle from its first on.

    Args:
        most: the remaining life is clipped there: new engines show no wear, so nothing says more.

    Raises:
        DataUnavailable: a file is missing or damaged.
        TrainingError: ``most`` is no positive number.
    """
    limit = _limit(most)
    engines = read_engines("train_FD001.txt")
    cut = read_engines("test_FD001.txt")
    left = _read_left("RUL_FD001.txt", len(cut))
    ends = np.zeros(len(engines))
    held = np.arange(len(engines)) % _HELD_OUT == _HELD_OUT - 1
    train = _part([e for e, h in zip(engines, held, strict=True) if not h], ends[~held], limit)
    validation = _part([e for e, h in zip(engines, held, strict=True) if h], ends[held], limit)
    test = _part(cut, left, limit, last_only=True)

    def scorer(output: FloatArray, part: Part) -> dict[str, float]:
        error = part.scored(output - part.target)[:, 0]
        scores = {"nasa_score": nasa_score(error)}
        if part is test:
            whole = part.scored(output)[:, 0] - left
            scores["rmse_unclipped"] = float(np.sqrt(np.mean(whole**2)))
        return scores

    return Dataset(
        name="C-MAPSS FD001",
        source=CMAPSS,
        protocol=(
            f"In at every cycle from an engine's first on: {len(SENSORS)} sensors; out: cycles "
            f"until it fails, clipped at {limit:g}. Of the 100 engines that ran to failure every "
            f"fifth validates, at all cycles after its first {_WARM_UP_CYCLES}; test: the 100 "
            "engines that were cut off, at their last cycle, against the truth clipped likewise."
        ),
        train=train,
        validation=validation,
        test=test,
        classes=(),
        metric="rmse",
        metric_unit="cycles",
        target_scale=float(np.std(train.target[train.present])),
        metric_scale=np.ones(1),
        input_names=tuple(name for _, name, _ in SENSORS),
        input_units=tuple(unit for _, _, unit in SENSORS),
        output_names=("remaining_life",),
        output_units=("cycles",),
        step_ms=_CYCLE_MS,
        calibration_stride=2,
        scorer=scorer,
        naive=_naive(train, test, float(np.mean([len(e) for e in engines])), limit),
    )


def nasa_score(error: FloatArray) -> float:
    """Sum over engines of exp(-e / 13) - 1 for answers too low, exp(e / 10) - 1 for those too high.

    Saxena et al. 2008, section 5: to expect too long a life is worse.

    Args:
        error: float64 [N], answer - truth in cycles.
    """
    return float(np.sum(np.expm1(np.where(error < 0, -error / 13.0, error / 10.0))))


def read_engines(name: str) -> list[FloatArray]:
    """The sensors of every engine of a file, [T, 14] from its first cycle on.

    A missing reading is the last one before it.

    Args:
        name: of the file under ``cmapss/``.

    Raises:
        DataUnavailable: the file is missing, damaged, or begins an engine with a missing reading.
    """
    table = _read_table(name, _COLUMNS)
    unit = table[:, 0]
    starts = np.flatnonzero(np.diff(unit, prepend=0.0))
    lengths = np.diff([*starts, len(table)])
    cycle = np.arange(len(table)) - np.repeat(starts, lengths) + 1
    if (
        starts[:1].tolist() != [0]
        or not np.array_equal(unit[starts], np.arange(1, len(starts) + 1))
        or not np.array_equal(table[:, 1], cycle)
    ):
        raise DataUnavailable(
            f"{name}: expected units 1, 2, ... with cycles 1, 2, ... each, got others."
        )
    columns = [_FIRST_SENSOR + number for number, _, _ in SENSORS]
    engines = np.split(table[:, columns], starts[1:])
    return [_held(engine, f"{name}, unit {number}") for number, engine in enumerate(engines, 1)]


def _held(readings: FloatArray, owner: str) -> FloatArray:
    """Readings with the last one before it where one is missing."""
    known = ~np.isnan(readings)
    if not known[0].all():
        raise DataUnavailable(f"{owner}: expected all sensors at cycle 1, got a missing reading.")
    cycle = np.where(known, np.arange(len(readings))[:, None], 0)
    held: FloatArray = readings[np.maximum.accumulate(cycle, axis=0), np.arange(readings.shape[1])]
    return held


def _read_left(name: str, engines: int) -> FloatArray:
    """Cycles that each test engine has left after its last one."""
    table = _read_table(name, 1)
    if len(table) != engines or np.isnan(table).any():
        raise DataUnavailable(f"{name}: expected {engines} numbers, got {len(table)} lines.")
    return table[:, 0]


def _read_table(name: str, columns: int) -> FloatArray:
    path = find(f"{FOLDER}/{name}", CMAPSS)
    try:
        packed = path.read_bytes()
        text = (lzma.decompress(packed) if path.suffix == ".xz" else packed).decode("ascii")
        rows = [[_number(word) for word in line.split()] for line in text.splitlines() if line]
    except (ValueError, EOFError, lzma.LZMAError) as error:
        raise DataUnavailable(
            f"{path.name}: expected lines of numbers, got {error!s:.80}."
        ) from error
    if not rows or {len(row) for row in rows} != {columns}:
        raise DataUnavailable(
            f"{path.name}: expected {columns} numbers in every line, got "
            f"{sorted({len(row) for row in rows})[:4]}."
        )
    return np.array(rows)


def _number(word: str) -> float:
    return np.nan if word.strip("'\"").lower() in _MISSING else float(word)


def _part(
    engines: Sequence[FloatArray],
    left: FloatArray,
    limit: float,
    *,
    last_only: bool = False,
) -> Part:
    """Engines as streams.

    Args:
        engines: readings [T_i, I] of each.
        left: cycles that each has left after its last reading.
        limit: of the remaining life.
        last_only: judged at the last reading alone.
    """
    lengths = np.array([len(readings) for readings in engines])
    x = np.zeros((len(engines), lengths.max(), len(SENSORS)))
    for stream, readings in zip(x, engines, strict=True):
        stream[: len(readings)] = readings
    life = (lengths - 1 + left)[:, None] - np.arange(x.shape[1])
    target = np.clip(life, 0.0, limit)[..., None]
    return Part(
        x=x,
        target=target,
        base=np.zeros_like(target),
        scored_from=_WARM_UP_CYCLES,
        lengths=lengths,
        last_only=last_only,
    )


def _naive(train: Part, test: Part, life: float, limit: float) -> dict[str, FloatArray]:
    """Rules that read no sensor.

    Args:
        train: gives the mean.
        test: its steps are answered.
        life: mean cycles of engines that ran to failure.
        limit: of the remaining life.
    """
    mean = np.mean(train.target[train.present])
    age = np.arange(test.x.shape[1])[:, None]
    rest = np.clip(life - 1 - age, 0.0, limit)
    return {
        "the mean of the train part": np.full_like(test.target, mean),
        "the mean life less the age": np.broadcast_to(rest, test.target.shape),
    }


def _limit(most: str) -> float:
    try:
        limit = float(most)
    except ValueError:
        limit = np.nan
    if not 0.0 < limit < 1e6:
        raise TrainingError(f"most: expected a number of cycles above 0, got {most!r:.40}.")
    return limit
