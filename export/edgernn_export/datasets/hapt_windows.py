"""HAPT: raw readings of a phone worn at the waist, 30 people, 50 Hz (Reyes-Ortiz et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.archives import read_arrays
from edgernn_export.datasets.sources import Source, find, missing, root

HAPT: Final = Source(
    home=(
        "UCI Smartphone-Based Recognition of Human Activities and Postural Transitions, folder "
        "RawData, or packed into one .npz (docs/recipes.md)"
    ),
    licence="research use, no commercial use",
    citation="Reyes-Ortiz et al. 2015, Transition-Aware Human Activity Recognition, Neurocomputing",
)
HAPT_FOLDER: Final = "hapt_raw"
FILE: Final = f"{HAPT_FOLDER}/hapt_raw_int16.npz"
#: The folder of text files that the data set is published as.
PUBLISHED: Final = f"{HAPT_FOLDER}/RawData"
#: Signals [T, 6]; rows of experiments and of labels.
Recordings = tuple[FloatArray, list[list[int]], list[list[int]]]
#: The test subjects of UCI HAR v1.
TEST_SUBJECTS: Final = (2, 4, 9, 10, 12, 13, 18, 20, 24)
ACTIVITIES: Final = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
CHANNELS: Final = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS: Final = ("g", "g", "g", "rad/s", "rad/s", "rad/s")
STEP_MS: Final = 20.0
WINDOW_STEPS: Final = 128
HOP_STEPS: Final = 64
_SHAPES: Final[dict[str, tuple[int | None, ...]]] = {
    "signals": (6, None),
    "experiments": (None, 4),
    "labels": (None, 5),
    "acc_scale": (),
    "gyro_scale": (),
}


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


def load_hapt() -> Windows:
    """128-sample windows at 50 Hz, hop 64, inside segments of the six basic activities.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    signals, experiments, labels = _read()
    start_of = {experiment: start for experiment, _, start, _ in experiments}
    windows, activities, subjects = [], [], []
    for experiment, subject, activity, first, last in labels:
        if activity > len(ACTIVITIES):
            continue
        begin, end = start_of[experiment] + first - 1, start_of[experiment] + last
        for at in range(begin, end - WINDOW_STEPS + 1, HOP_STEPS):
            windows.append(signals[at : at + WINDOW_STEPS])
            activities.append(activity - 1)
            subjects.append(subject)
    if not windows:
        raise DataUnavailable(f"{FILE}: expected labelled windows, got none.")
    return Windows(x=np.stack(windows), label=np.array(activities), subject=np.array(subjects))


def load_hapt_stream(rng: np.random.Generator) -> FloatArray:
    """All readings, float64 [T, 6], the experiments one after another in random order.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    signals, experiments, _ = _read()
    order = rng.permutation(len(experiments))
    spans = [experiments[i][2:] for i in order]
    return np.concatenate([signals[start : start + length] for start, length in spans])


def _read() -> Recordings:
    """Signals [T, 6] in g and rad/s; experiments and labels row by row."""
    published = root() / PUBLISHED
    signals, experiments, labels = _published(published) if published.is_dir() else _packed()
    length_of = {number: length for number, _, _, length in experiments}
    ends = max((start + length for _, _, start, length in experiments), default=0)
    if ends > len(signals) or any(row[4] > length_of.get(row[0], 0) for row in labels):
        raise DataUnavailable(
            f"{HAPT_FOLDER}: expected experiments inside the signals and labels inside their "
            "experiment, got others."
        )
    return signals, experiments, labels


def _packed() -> Recordings:
    arrays = read_arrays(find(FILE, HAPT), _SHAPES)
    signals = arrays["signals"].T.astype(np.float64)
    signals[:, :3] *= float(arrays["acc_scale"])
    signals[:, 3:] *= float(arrays["gyro_scale"])
    return signals, arrays["experiments"].tolist(), arrays["labels"].tolist()


def _published(folder: Path) -> Recordings:
    """From text files: acc_exp01_user01.txt, gyro_exp01_user01.txt and so on, labels.txt."""
    signals: list[FloatArray] = []
    experiments, start = [], 0
    for path in sorted(folder.glob("acc_exp*_user*.txt")):
        number, subject = (int(part[-2:]) for part in path.stem.split("_")[1:])
        other = path.with_name(path.name.replace("acc", "gyro", 1))
        columns = [_numbers(file, 3) for file in (path, other)]
        if len(columns[0]) != len(columns[1]):
            raise DataUnavailable(
                f"{other.name}: expected {len(columns[0])} lines, got {len(columns[1])}."
            )
        signals.append(np.concatenate(columns, axis=1))
        experiments.append([number, subject, start, len(columns[0])])
        start += len(columns[0])
    labels = _numbers(folder / "labels.txt", 5).astype(np.int64).tolist()
    whole = np.concatenate(signals) if signals else np.empty((0, 6))
    return whole, experiments, labels


def _numbers(path: Path, columns: int) -> FloatArray:
    if not path.is_file():
        raise missing(f"the file {PUBLISHED}/{path.name}, got none", HAPT)
    try:
        numbers = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise DataUnavailable(f"{path.name}: expected numbers, got {error!s:.80}.") from error
    if numbers.shape[1] != columns or not np.isfinite(numbers).all():
        raise DataUnavailable(
            f"{path.name}: expected {columns} finite numbers per line, got {numbers.shape[1]}."
        )
    return numbers
