"""Read the real data sets that EDGERNN_DATA points at; nothing here is split or normalised."""

from __future__ import annotations

import csv
import lzma
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgernn.formats import FloatArray

VARIABLE = "EDGERNN_DATA"
#: HAPT: the test subjects of UCI HAR v1.
HAPT_TEST_SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20, 24)
HAPT_ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
HAPT_FILE = "hapt_raw/hapt_raw_int16.npz"
HAPT_WINDOW_STEPS = 128
HAPT_HOP_STEPS = 64


class DataUnavailable(Exception):
    """The data sets are not where they should be, or are not what they should be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A regularly sampled multivariate series.

    Attributes:
        names: channel names.
        values: float64 [T, I], physical units.
    """

    names: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Labelled windows of one activity each.

    Attributes:
        x: float64 [B, T, I]; accelerometer x y z in g, gyroscope x y z in rad/s.
        label: int64 [B], 0-based activity.
        subject: int64 [B].
    """

    x: FloatArray
    label: npt.NDArray[np.int64]
    subject: npt.NDArray[np.int64]


def find(relative: str) -> Path:
    """A file under EDGERNN_DATA, as such or with .xz appended.

    Raises:
        DataUnavailable: the variable is not set, or there is no such file.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        raise DataUnavailable(
            f"{VARIABLE}: expected the folder of the data sets, got nothing (environment). "
            f"Type: export {VARIABLE}=FOLDER."
        )
    for candidate in (Path(root) / relative, Path(root) / f"{relative}.xz"):
        if candidate.is_file():
            return candidate
    raise DataUnavailable(
        f"{VARIABLE}: expected the file {relative} or {relative}.xz, got neither (in {root}). "
        "See benchmarks/accuracy/README.md for its public home."
    )


def load_etth1() -> Table:
    """ETTh1: six loads and the oil temperature OT (degrees Celsius), hourly (Zhou et al. 2021)."""
    return _read_csv(find("ett/ETTh1.csv"), skip=("date",))


def load_soil() -> Table:
    """13 soil-moisture probes, volumetric water content in %, hourly (SIMPaCT, Sydney)."""
    return _read_csv(find("soil_moisture_simpact/sopivot+idx.csv"), skip=("day", "hour"))


def load_hapt() -> Windows:
    """HAPT: 128-sample windows at 50 Hz, hop 64, inside segments of the six basic activities."""
    signals, experiments, labels = _read_hapt()
    start_of = {experiment: start for experiment, _, start, _ in experiments}
    windows, activities, subjects = [], [], []
    for experiment, subject, activity, first, last in labels:
        if activity > len(HAPT_ACTIVITIES):
            continue
        begin, end = start_of[experiment] + first - 1, start_of[experiment] + last
        for at in range(begin, end - HAPT_WINDOW_STEPS + 1, HAPT_HOP_STEPS):
            windows.append(signals[at : at + HAPT_WINDOW_STEPS])
            activities.append(activity - 1)
            subjects.append(subject)
    if not windows:
        raise DataUnavailable(f"{HAPT_FILE}: expected labelled windows, got none.")
    return Windows(x=np.stack(windows), label=np.array(activities), subject=np.array(subjects))


def load_hapt_stream(rng: np.random.Generator) -> FloatArray:
    """All HAPT readings, float64 [T, 6], the experiments one after another in random order."""
    signals, experiments, _ = _read_hapt()
    order = rng.permutation(len(experiments))
    spans = [experiments[i][2:] for i in order]
    return np.concatenate([signals[start : start + length] for start, length in spans])


def _read_hapt() -> tuple[FloatArray, list[list[int]], list[list[int]]]:
    """Signals [T, 6] in g and rad/s; experiments and labels row by row."""
    with np.load(find(HAPT_FILE)) as archive:
        signals = archive["signals"].T.astype(np.float64)
        signals[:, :3] *= float(archive["acc_scale"])
        signals[:, 3:] *= float(archive["gyro_scale"])
        return signals, archive["experiments"].tolist(), archive["labels"].tolist()


def _read_csv(path: Path, skip: tuple[str, ...]) -> Table:
    """All columns but ``skip`` as float64; refuses gaps, the sources have none."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    head = rows[0] if rows else []
    kept = [i for i, name in enumerate(head) if name not in skip]
    if len(rows) < 2 or not kept:
        raise DataUnavailable(f"{path.name}: expected a header and rows, got {len(rows)} lines.")
    try:
        values = np.array([[float(row[i]) for i in kept] for row in rows[1:]])
    except (ValueError, IndexError) as error:
        raise DataUnavailable(f"{path.name}: expected numbers everywhere, got {error}.") from error
    if not np.isfinite(values).all():
        raise DataUnavailable(f"{path.name}: expected finite numbers, got NaN or infinity.")
    return Table(names=tuple(head[i] for i in kept), values=values)
