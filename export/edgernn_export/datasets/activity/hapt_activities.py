"""HAPT: raw readings of a phone worn at the waist, 30 people, 50 Hz (Reyes-Ortiz et al. 2015).

Two tasks: six activities from raw readings, two classes of them from causal features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.activity.causal_features import (
    Features,
    block_deviations,
    block_means,
    running_deviations,
)
from edgernn_export.datasets.dataset import Dataset, class_part
from edgernn_export.datasets.sources import DataSource, find, missing, read_arrays, root
from edgernn_export.datasets.splits import Part

HAPT: Final = DataSource(
    home=(
        "UCI Smartphone-Based Recognition of Human Activities and Postural Transitions, folder "
        "RawData, or packed into one .npz (docs/guides/recipes.md)"
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
#: Every fifth subject of the train part.
VALIDATION_SUBJECTS: Final = (7, 16, 23, 29)
#: HAR-2 of Kusupati et al. 2018: {sitting, laying, upstairs} against the other three.
BINARY_CLASSES: Final = ("sitting, laying, upstairs", "standing, walking, downstairs")
_BINARY_OF: Final = np.array([1, 0, 1, 0, 1, 0])
#: Readings per step of the binary task.
BLOCK_STEPS: Final = 16
#: Below the noise of the sensors, in g and rad/s.
_DEVIATION_FLOOR: Final = 3e-4
_CALIBRATION_STRIDE = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Labeled windows of one activity each.

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
        raise DataUnavailable(f"{FILE}: expected labeled windows, got none.")
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


def hapt() -> Dataset:
    """Six activities from six raw channels at 50 Hz.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    windows = load_hapt()
    return _dataset(
        Features(x=windows.x, names=CHANNELS, units=UNITS, step_ms=STEP_MS),
        windows.label,
        windows.subject,
        ACTIVITIES,
    )


def hapt_binary() -> Dataset:
    """Two classes of three activities each, from causal features at a lower rate.

    Raises:
        DataUnavailable: the file is missing or damaged.
    """
    windows = load_hapt()
    return _dataset(
        binary_features(windows.x), _BINARY_OF[windows.label], windows.subject, BINARY_CLASSES
    )


def binary_features(x: FloatArray) -> Features:
    """What blocks of readings are on average, how far the phone is tilted, how much all varies.

    How much readings vary is told three times: within the block, since the window began, and since
    then without what is faster than a block. Somebody who stands sways more slowly than a block
    shows.

    The tilt is the acceleration across the phone's long axis, which is about 0 for somebody upright
    and 1 g for somebody lying on any side.

    Args:
        x: float64 [B, T, 6], raw readings at 50 Hz.
    """
    means = block_means(x, BLOCK_STEPS)
    tilt = np.linalg.norm(means[:, :, 1:3], axis=2, keepdims=True)
    deviations = (
        block_deviations(x, BLOCK_STEPS, _DEVIATION_FLOOR),
        running_deviations(x, BLOCK_STEPS, _DEVIATION_FLOOR),
        running_deviations(means, 1, _DEVIATION_FLOOR),
    )
    kinds = ("deviation", "running_deviation", "slow_deviation")
    return Features(
        x=np.concatenate((means, tilt, *deviations), axis=2),
        names=(*CHANNELS, "tilt", *(f"log_{name}_{kind}" for kind in kinds for name in CHANNELS)),
        units=(*UNITS, "g", *(f"log10 {unit}" for _ in kinds for unit in UNITS)),
        step_ms=BLOCK_STEPS * STEP_MS,
    )


def _dataset(
    features: Features,
    label: npt.NDArray[np.int64],
    subject: npt.NDArray[np.int64],
    classes: tuple[str, ...],
) -> Dataset:
    test = np.isin(subject, TEST_SUBJECTS)
    validation = np.isin(subject, VALIDATION_SUBJECTS)

    def part(chosen: npt.NDArray[np.bool_], name: str) -> Part:
        if not chosen.any():
            raise DataUnavailable(f"HAPT: expected windows of {name} subjects, got none.")
        return class_part(features.x[chosen], label[chosen], len(classes))

    return Dataset(
        name="HAPT",
        source=HAPT,
        protocol=_protocol(features),
        train=part(~test & ~validation, "train"),
        validation=part(validation, "validation"),
        test=part(test, "test"),
        classes=classes,
        metric="accuracy",
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=features.names,
        input_units=features.units,
        output_names=classes,
        output_units=("",) * len(classes),
        step_ms=features.step_ms,
        calibration_stride=_CALIBRATION_STRIDE,
    )


def _protocol(features: Features) -> str:
    return (
        f"{len(features.names)} channels every {features.step_ms:g} ms, windows of "
        f"{WINDOW_STEPS * STEP_MS / 1000:g} s, half a window apart, inside labeled segments; "
        "each from the zero state, read out at its last step; test: the nine test subjects of "
        f"UCI HAR v1, validation: subjects {', '.join(map(str, VALIDATION_SUBJECTS))}."
    )
