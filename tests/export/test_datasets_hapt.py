"""HAPT as tasks: subjects apart, two classes, causal features by hand."""

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn_export.datasets import hapt, hapt_binary
from edgernn_export.datasets.causal_features import block_deviations, block_means
from edgernn_export.datasets.hapt_tasks import BLOCK_STEPS, VALIDATION_SUBJECTS, binary_features
from edgernn_export.datasets.hapt_windows import TEST_SUBJECTS, load_hapt
from tests.export.data_files import write_hapt, write_people


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("load", [hapt, hapt_binary])
def test_subjects_are_apart(data, load):
    write_people(data, subjects=(1, 3, 7, 2, 24))
    task, windows = load(), load_hapt()
    features = windows.x if load is hapt else binary_features(windows.x).x
    for part, subjects in ((task.train, (1, 3)), (task.validation, (7,)), (task.test, (2, 24))):
        np.testing.assert_array_equal(part.x, features[np.isin(windows.subject, subjects)])
        assert part.scored(part.target).shape[1:] == (1, 1)
    assert not set(VALIDATION_SUBJECTS) & set(TEST_SUBJECTS)
    assert len(task.input_names) == len(task.input_units) == task.train.x.shape[2]


def test_the_two_classes(data):
    write_people(data)
    six, two = hapt(), hapt_binary()
    classes = dict(zip(six.train.target[:, -1, 0], two.train.target[:, -1, 0], strict=True))
    for number, name in enumerate(six.classes):
        assert name in two.classes[int(classes[number])].split(", ")
    assert sum(classes.values()) == 3
    assert two.train.base.shape == (*two.train.x.shape[:2], 2)


@pytest.mark.parametrize("missing", ["train", "validation", "test"])
def test_a_part_without_people_is_refused(data, missing):
    subjects = {"train": 1, "validation": 7, "test": 2}
    del subjects[missing]
    write_people(data, subjects=tuple(subjects.values()))
    with pytest.raises(DataUnavailable, match=f"HAPT: expected windows of {missing} subjects"):
        hapt()


def test_damaged_archives_are_refused(data):
    write_hapt(data, [[7, 2, 9, 1, 400]])
    with pytest.raises(DataUnavailable, match="expected labelled windows, got none"):
        hapt()


def test_blocks_by_hand():
    x = np.array([1.0, 3.0, 2.0, 2.0, 9.0])[None, :, None]
    np.testing.assert_allclose(block_means(x, 2)[0, :, 0], [2.0, 2.0])
    np.testing.assert_allclose(block_deviations(x, 2, 0.1)[0, :, 0], np.log10([1.1, 0.1]))


def test_binary_features_by_hand():
    x = np.random.default_rng(0).normal(size=(3, 128, 6))
    features = binary_features(x)
    assert features.x.shape == (3, 8, 13)
    assert features.step_ms == 320.0
    block = x[1, 48:64]
    row = dict(zip(features.names, features.x[1, 3], strict=True))
    assert row["acc_z"] == pytest.approx(block[:, 2].mean())
    assert row["tilt"] == pytest.approx(np.hypot(block[:, 1].mean(), block[:, 2].mean()))
    wanted = np.log10(block[:, 4].std() + 3e-4)
    assert row["log_gyro_y_deviation"] == pytest.approx(wanted)


@pytest.mark.parametrize("block", [1, 4, 7])
def test_binary_features_know_nothing_of_later_readings(block):
    rng = np.random.default_rng(block)
    x = rng.normal(size=(2, 128, 6))
    changed = x.copy()
    changed[:, BLOCK_STEPS * block :] += rng.normal(size=changed[:, BLOCK_STEPS * block :].shape)
    before, after = binary_features(x).x, binary_features(changed).x
    np.testing.assert_array_equal(before[:, :block], after[:, :block])
    assert np.all(before[:, block] != after[:, block])
