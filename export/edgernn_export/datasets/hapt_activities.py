"""HAPT as tasks: six activities from raw readings, two classes from causal features."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.causal_features import (
    Features,
    block_deviations,
    block_means,
    running_deviations,
)
from edgernn_export.datasets.dataset import Dataset, class_part
from edgernn_export.datasets.hapt_windows import (
    ACTIVITIES,
    CHANNELS,
    HAPT,
    STEP_MS,
    TEST_SUBJECTS,
    UNITS,
    WINDOW_STEPS,
    load_hapt,
)
from edgernn_export.datasets.splits import Part

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
    and 1 g for somebody who lies, on whichever side.

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
        f"{WINDOW_STEPS * STEP_MS / 1000:g} s, half a window apart, inside labelled segments; each "
        "from the zero state, read out at its last step; test: the nine test subjects of UCI HAR "
        f"v1, validation: subjects {', '.join(map(str, VALIDATION_SUBJECTS))}."
    )
