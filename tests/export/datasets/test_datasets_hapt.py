"""HAPT as tasks: subjects apart, two classes, causal features by hand."""

import io
import lzma
import re

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn_export.datasets import hapt, hapt_binary
from edgernn_export.datasets.activity.causal_features import (
    block_deviations,
    block_means,
    running_deviations,
)
from edgernn_export.datasets.activity.hapt_activities import (
    BLOCK_STEPS,
    TEST_SUBJECTS,
    VALIDATION_SUBJECTS,
    binary_features,
    load_hapt,
)
from tests.support.training.data_files import write_hapt, write_people


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
        assert part.scored(part.target).shape == (len(part.x), 1)
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


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([[7, 2, 9, 1, 400]], "expected labeled windows, got none"),
        ([[7, 2, 1, 1, 401]], "labels inside their experiment, got others"),
        ([[6, 2, 1, 1, 400]], "labels inside their experiment, got others"),
        ([[7, 2, 1, 1]], r"numbers \[any, 5\] in labels, got int32 \[1, 4\]"),
    ],
)
def test_damaged_labels_are_refused(data, labels, words):
    write_hapt(data, labels)
    with pytest.raises(DataUnavailable, match=words):
        hapt()


def unpack(folder):
    """Write the text files that the archive of `folder` stands for, and drop the archive."""
    path = folder / "hapt_raw/hapt_raw_int16.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    path.unlink()
    raw = folder / "hapt_raw/RawData"
    raw.mkdir()
    scales = {"acc": float(arrays["acc_scale"]), "gyro": float(arrays["gyro_scale"])}
    for number, subject, start, length in arrays["experiments"]:
        for rows, (kind, scale) in zip((slice(0, 3), slice(3, 6)), scales.items(), strict=True):
            values = arrays["signals"][rows, start : start + length].T * scale
            np.savetxt(raw / f"{kind}_exp{number:02}_user{subject:02}.txt", values, fmt="%.17g")
    np.savetxt(raw / "labels.txt", arrays["labels"], fmt="%d")
    return raw


def test_text_files_as_published_give_the_same(data):
    write_people(data, subjects=(1, 7, 2))
    packed = hapt()
    unpack(data)
    published = hapt()
    for part in ("train", "validation", "test"):
        one, other = getattr(packed, part), getattr(published, part)
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.target, other.target)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.txt", None, "expected the file hapt_raw/RawData/labels.txt, got none"),
        ("labels.txt", "1 1 1 1\n", "labels.txt: expected 5 finite numbers per line, got 4"),
        ("gyro_exp01_user01.txt", None, "RawData/gyro_exp01_user01.txt, got none"),
        ("gyro_exp01_user01.txt", "1 2 3\n", "gyro_exp01_user01.txt: expected 1152 lines, got 1"),
        ("acc_exp01_user01.txt", "1 2 x\n", "acc_exp01_user01.txt: expected numbers, got could"),
        ("acc_exp01_user01.txt", "1 2 nan\n", "acc_exp01_user01.txt: expected 3 finite numbers"),
    ],
)
def test_damaged_text_files_are_refused(data, name, text, words):
    write_people(data, subjects=(1, 7, 2))
    path = unpack(data) / name
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataUnavailable, match=re.escape(words)):
        hapt()


def test_a_folder_without_text_files_is_refused(data):
    write_people(data, subjects=(1, 7, 2))
    for path in unpack(data).glob("acc_*"):
        path.unlink()
    with pytest.raises(DataUnavailable, match="labels inside their experiment"):
        hapt()


def array_file():
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY", array_file()])
def test_damaged_archives_are_refused(data, content):
    (data / "hapt_raw").mkdir()
    (data / "hapt_raw/hapt_raw_int16.npz").write_bytes(content)
    with pytest.raises(DataUnavailable, match=r"expected a \.npz file with signals, experiments"):
        hapt()


def test_archives_may_be_packed(data):
    write_people(data)
    plain = hapt().train.x
    path = data / "hapt_raw/hapt_raw_int16.npz"
    path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()
    np.testing.assert_array_equal(hapt().train.x, plain)


def test_blocks_by_hand():
    x = np.array([1.0, 3.0, 2.0, 2.0, 9.0])[None, :, None]
    np.testing.assert_allclose(block_means(x, 2)[0, :, 0], [2.0, 2.0])
    np.testing.assert_allclose(block_deviations(x, 2, 0.1)[0, :, 0], np.log10([1.1, 0.1]))


def test_running_deviations_by_hand():
    x = np.array([[1.0, 3.0, 2.0, 2.0, 9.0, 1.0, 7.0]])[:, :, None]
    found = running_deviations(x, 2, 0.1)[0, :, 0]
    wanted = [np.std(x[0, :end]) for end in (2, 4, 6)]
    np.testing.assert_allclose(found, np.log10(np.array(wanted) + 0.1))


def test_binary_features_by_hand():
    x = np.random.default_rng(0).normal(size=(3, 128, 6))
    features = binary_features(x)
    assert features.x.shape == (3, 8, 25)
    assert len(features.names) == len(features.units) == len(set(features.names)) == 25
    assert features.step_ms == 320.0
    block, span = x[1, 48:64], x[1, :64]
    row = dict(zip(features.names, features.x[1, 3], strict=True))
    assert row["acc_z"] == pytest.approx(block[:, 2].mean())
    assert row["tilt"] == pytest.approx(np.hypot(block[:, 1].mean(), block[:, 2].mean()))
    wanted = np.log10(block[:, 4].std() + 3e-4)
    assert row["log_gyro_y_deviation"] == pytest.approx(wanted)
    wanted = np.log10(span[:, 2].std() + 3e-4)
    assert row["log_acc_z_running_deviation"] == pytest.approx(wanted)
    wanted = np.log10(span[:, 5].reshape(4, 16).mean(axis=1).std() + 3e-4)
    assert row["log_gyro_z_slow_deviation"] == pytest.approx(wanted)


@pytest.mark.parametrize("block", [1, 4, 7])
def test_binary_features_know_nothing_of_later_readings(block):
    rng = np.random.default_rng(block)
    x = rng.normal(size=(2, 128, 6))
    changed, at = x.copy(), BLOCK_STEPS * block
    changed[:, at:] += rng.normal(size=changed[:, at:].shape)
    before, after = binary_features(x).x, binary_features(changed).x
    np.testing.assert_array_equal(before[:, :block], after[:, :block])
    assert np.all(before[:, block] != after[:, block])
