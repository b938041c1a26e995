"""HAPT: raw readings of a phone worn at the waist, 30 people, 50 Hz (Reyes-Ortiz et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.formats import FloatArray
from edgernn_export.datasets.files import Source, find

HAPT: Final = Source(
    home=(
        "UCI Smartphone-Based Recognition of Human Activities and Postural Transitions, raw data, "
        "packed without loss into one .npz (docs/recipes.md)"
    ),
    licence="research use, no commercial use",
    citation="Reyes-Ortiz et al. 2015, Transition-Aware Human Activity Recognition, Neurocomputing",
)
FILE: Final = "hapt_raw/hapt_raw_int16.npz"
#: The test subjects of UCI HAR v1.
TEST_SUBJECTS: Final = (2, 4, 9, 10, 12, 13, 18, 20, 24)
ACTIVITIES: Final = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
CHANNELS: Final = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS: Final = ("g", "g", "g", "rad/s", "rad/s", "rad/s")
STEP_MS: Final = 20.0
WINDOW_STEPS: Final = 128
HOP_STEPS: Final = 64


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


def _read() -> tuple[FloatArray, list[list[int]], list[list[int]]]:
    """Signals [T, 6] in g and rad/s; experiments and labels row by row."""
    with np.load(find(FILE, HAPT)) as archive:
        signals = archive["signals"].T.astype(np.float64)
        signals[:, :3] *= float(archive["acc_scale"])
        signals[:, 3:] *= float(archive["gyro_scale"])
        return signals, archive["experiments"].tolist(), archive["labels"].tolist()
