"""Loaders and splits of the accuracy benchmark, on small files of the same formats."""

import lzma

import numpy as np
import pytest

from benchmarks.accuracy import datasets, parts
from benchmarks.accuracy.datasets import DataUnavailable
from benchmarks.accuracy.tasks import TASKS

ROWS = 400


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path


def write_xz(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


def series(rng, rows=ROWS):
    return np.cumsum(rng.normal(size=rows))


def splits_of(values, **changes):
    settings = {
        "horizons": (1, 2, 3),
        "borders": (200, 300, 400),
        "warmup_steps": 20,
        "season_steps": 24,
        "input_names": ("change", "deviation"),
        "standardise": True,
    }
    return parts.forecast_splits(parts.level_free(values, 24), values, **{**settings, **changes})


# ---- files ------------------------------------------------------------------------------------


def test_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    with pytest.raises(
        DataUnavailable, match=r"EDGERNN_DATA: expected the folder .* Type: export EDGERNN_DATA="
    ):
        datasets.load_etth1()


@pytest.mark.parametrize(
    ("load", "file"),
    [
        (datasets.load_etth1, "ett/ETTh1.csv"),
        (datasets.load_soil, "soil_moisture_simpact/sopivot+idx.csv"),
        (datasets.load_hapt, "hapt_raw/hapt_raw_int16.npz"),
    ],
)
def test_missing_file_is_named(data, load, file):
    with pytest.raises(DataUnavailable) as caught:
        load()
    assert f"expected the file {file} or {file}.xz, got neither" in str(caught.value)


@pytest.mark.parametrize("packed", [True, False])
def test_etth1_columns(data, packed):
    text = "date,HUFL,OT\n2016-07-01 00:00:00,5.8,30.5\n2016-07-01 01:00:00,-1.5,27.75\n"
    if packed:
        write_xz(data / "ett/ETTh1.csv.xz", text)
    else:
        (data / "ett").mkdir()
        (data / "ett/ETTh1.csv").write_text(text, encoding="utf-8")
    table = datasets.load_etth1()
    assert table.names == ("HUFL", "OT")
    np.testing.assert_array_equal(table.values, [[5.8, 30.5], [-1.5, 27.75]])


def test_soil_columns_without_day_and_hour(data):
    path = data / "soil_moisture_simpact/sopivot+idx.csv.xz"
    write_xz(path, "day,hour,SENS0008,SENS0010\n2022-11-15,0,11.5,38.75\n2022-11-15,1,11.25,38.5\n")
    table = datasets.load_soil()
    assert table.names == ("SENS0008", "SENS0010")
    np.testing.assert_array_equal(table.values, [[11.5, 38.75], [11.25, 38.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,OT\n", "expected a header and rows, got 1 lines"),
        ("", "expected a header and rows, got 0 lines"),
        ("date,OT\nx,1\ny,\n", "expected numbers everywhere, got could not convert"),
        ("date,A,OT\nx,1,2\ny,1\n", "expected numbers everywhere, got list index"),
        ("date,OT\nx,1\ny,nan\n", "expected finite numbers, got NaN"),
    ],
)
def test_damaged_tables_are_refused(data, text, message):
    write_xz(data / "ett/ETTh1.csv.xz", text)
    with pytest.raises(DataUnavailable, match=message):
        datasets.load_etth1()


def write_hapt(folder, labels):
    """Two experiments of 400 samples; channel c of sample n holds n + 1000 c."""
    n = np.arange(800)
    (folder / "hapt_raw").mkdir()
    np.savez(
        folder / "hapt_raw/hapt_raw_int16.npz",
        signals=np.stack([n + 1000 * c for c in range(6)]).astype(np.int16),
        experiments=np.array([[7, 2, 0, 400], [8, 5, 400, 400]], dtype=np.int32),
        labels=np.array(labels, dtype=np.int32),
        acc_scale=0.5,
        gyro_scale=0.25,
    )


def test_hapt_windows_stay_inside_their_segment(data):
    # 1-based inclusive: samples 9..200 of experiment 8 (192 samples: two windows, hop 64).
    write_hapt(
        data, [[7, 2, 1, 1, 128], [8, 5, 6, 10, 201], [7, 2, 9, 130, 400], [7, 2, 3, 1, 127]]
    )
    windows = datasets.load_hapt()
    assert windows.x.shape == (3, 128, 6)
    np.testing.assert_array_equal(windows.label, [0, 5, 5])
    np.testing.assert_array_equal(windows.subject, [2, 5, 5])
    first_codes = np.array([0, 409, 473])
    np.testing.assert_array_equal(windows.x[:, 0, 0], 0.5 * first_codes)
    np.testing.assert_array_equal(windows.x[:, -1, 2], 0.5 * (first_codes + 127 + 2000))
    np.testing.assert_array_equal(windows.x[:, 0, 3], 0.25 * (first_codes + 3000))


def test_hapt_stream_keeps_experiments_whole(data):
    write_hapt(data, [[7, 2, 1, 1, 128]])
    seen = set()
    for seed in range(8):
        stream = datasets.load_hapt_stream(np.random.default_rng(seed))
        codes = stream[:, 0] / 0.5
        assert stream.shape == (800, 6)
        np.testing.assert_array_equal(np.diff(codes[:400]), 1)
        np.testing.assert_array_equal(np.sort(codes), np.arange(800))
        seen.add(codes[0])
    assert seen == {0.0, 400.0}


def test_hapt_without_windows_is_refused(data):
    write_hapt(data, [[7, 2, 9, 1, 400]])
    with pytest.raises(DataUnavailable, match="expected labelled windows, got none"):
        datasets.load_hapt()


def test_hapt_subjects_are_apart(data):
    write_hapt(data, [[7, 2, 1, 1, 400], [8, 5, 2, 1, 400]])
    splits = TASKS["hapt"].load()
    assert set(np.unique(splits.test.target)) == {0.0}
    assert set(np.unique(splits.train.target)) == {1.0}
    assert splits.test.scored(splits.test.x).shape[1] == 1


# ---- causality and leakage ---------------------------------------------------------------------


def test_level_free_by_hand():
    values = np.array([[1.0], [3.0], [8.0], [2.0]])
    np.testing.assert_allclose(
        parts.level_free(values, 2), [[0, 0], [2, 1], [5, 2.5], [-6, -3]], atol=1e-12
    )


@pytest.mark.parametrize("at", [0, 30, ROWS - 1])
def test_features_are_causal(at):
    rng = np.random.default_rng(at)
    values = rng.normal(size=(ROWS, 3))
    changed = values.copy()
    changed[at:] += rng.normal(size=changed[at:].shape)
    before, after = parts.level_free(values, 24), parts.level_free(changed, 24)
    np.testing.assert_array_equal(before[:at], after[:at])
    assert np.all(before[at] != after[at]) or at == 0


def test_targets_bases_and_naive_rules_by_index():
    values = np.arange(float(ROWS))[:, None]
    splits = splits_of(values)
    for part, first, last in (
        (splits.train, 1, 199),
        (splits.validation, 200, 299),
        (splits.test, 300, 399),
    ):
        target, base = part.scored(part.target)[0], part.scored(part.base)[0]
        np.testing.assert_array_equal(target[0], [first, first + 1, first + 2])
        assert target.max() == last
        np.testing.assert_array_equal(base, np.repeat(target[:, :1] - 1, 3, axis=1))
        assert part.x.shape[1] == part.target.shape[1] == part.base.shape[1]
    np.testing.assert_array_equal(splits.naive["last value"], splits.test.base)
    season = splits.naive["value 24 h before the target"]
    np.testing.assert_array_equal(season, splits.test.target - 24)


def test_parts_do_not_share_targets():
    splits = splits_of(np.arange(float(ROWS))[:, None])
    rows = [set(p.scored(p.target).ravel()) for p in (splits.train, splits.validation, splits.test)]
    assert not rows[0] & rows[1]
    assert not rows[1] & rows[2]


def test_statistics_come_from_the_train_part_alone():
    values = series(np.random.default_rng(1))[:, None]
    changed = values.copy()
    changed[200:] *= 1e3
    one, other = splits_of(values), splits_of(changed)
    np.testing.assert_array_equal(one.train.x, other.train.x)
    np.testing.assert_array_equal(one.train.target, other.train.target)
    np.testing.assert_array_equal(one.target_scale, other.target_scale)
    np.testing.assert_array_equal(one.metric_scale, other.metric_scale)
    assert one.metric_scale[0] == pytest.approx(np.std(values[:200]))


def test_season_shorter_than_a_horizon_is_refused():
    with pytest.raises(ValueError, match=r"expected at most 24 .*got 25"):
        splits_of(np.zeros((ROWS, 1)), horizons=(25,))


def test_side_by_side_keeps_streams_apart():
    rng = np.random.default_rng(2)
    alone = [splits_of(series(rng)[:, None], standardise=False) for _ in range(3)]
    joined = parts.side_by_side(alone)
    for b, splits in enumerate(alone):
        np.testing.assert_array_equal(joined.test.x[b], splits.test.x[0])
        np.testing.assert_array_equal(joined.validation.target[b], splits.validation.target[0])
        np.testing.assert_array_equal(joined.naive["last value"][b], splits.test.base[0])
    spread = np.concatenate([s.train.target - s.train.base for s in alone]).std()
    assert joined.target_scale == pytest.approx(spread)


def test_soil_task_sees_its_probe_and_the_mean_of_all(data):
    rng = np.random.default_rng(3)
    probes = np.stack([series(rng, 1000) for _ in range(2)], axis=1)
    lines = [f"d,h,{','.join(map(repr, row))}" for row in probes.tolist()]
    path = data / "soil_moisture_simpact/sopivot+idx.csv.xz"
    write_xz(path, "\n".join(["day,hour,A,B", *lines]) + "\n")
    splits = TASKS["soil_24h"].load()
    train = splits.train
    assert train.x.shape == (2, 700 - 24, 5)
    np.testing.assert_array_equal(train.x[1, :, 4], probes[: 700 - 24, 1])
    np.testing.assert_allclose(
        train.x[0, 1:, 2], np.diff(probes.mean(axis=1))[: 700 - 25], atol=1e-12
    )
    np.testing.assert_array_equal(train.target[1, :, 0], probes[24:700, 1])
    assert splits.test.scored(splits.test.target).shape == (2, 150 - 24 + 1, 1)


@pytest.mark.parametrize("name", ["etth1", "soil_1h", "soil_24h"])
def test_forecast_score_adds_the_present_value(name):
    splits = splits_of(series(np.random.default_rng(4))[:, None])
    exact = splits.test.target - splits.test.base
    assert TASKS[name].score(exact, splits.test, splits)["mae"] == pytest.approx(0.0, abs=1e-12)
    silent = TASKS[name].score(np.zeros_like(exact), splits.test, splits)
    naive = TASKS[name].score_prediction(splits.naive["last value"], splits.test, splits)
    assert silent == naive
