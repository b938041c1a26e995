"""Readers of data sets, on small files of the same formats."""

import numpy as np
import pytest

from edgernn.errors import DataUnavailable
from edgernn_export.datasets.activity.hapt_activities import load_hapt, load_hapt_stream
from edgernn_export.datasets.series.csv_series import load_etth1, load_soil
from tests.support.training.data_files import write_hapt, write_xz


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path


def test_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    with pytest.raises(
        DataUnavailable, match=r"EDGERNN_DATA: expected the folder .* Run: export EDGERNN_DATA="
    ):
        load_etth1()


@pytest.mark.parametrize(
    ("load", "file"),
    [
        (load_etth1, "ett/ETTh1.csv"),
        (load_soil, "soil_moisture_simpact/sopivot+idx.csv"),
        (load_hapt, "hapt_raw/hapt_raw_int16.npz"),
    ],
)
def test_missing_file_is_named(data, load, file):
    with pytest.raises(DataUnavailable) as caught:
        load()
    assert f"expected the file {file} or {file}.xz, got none" in str(caught.value)


@pytest.mark.parametrize("packed", [True, False])
def test_etth1_columns(data, packed):
    text = "date,HUFL,OT\n2016-07-01 00:00:00,5.8,30.5\n2016-07-01 01:00:00,-1.5,27.75\n"
    if packed:
        write_xz(data / "ett/ETTh1.csv.xz", text)
    else:
        (data / "ett").mkdir()
        (data / "ett/ETTh1.csv").write_text(text, encoding="utf-8")
    table = load_etth1()
    assert table.names == ("HUFL", "OT")
    np.testing.assert_array_equal(table.values, [[5.8, 30.5], [-1.5, 27.75]])


def test_soil_columns_without_day_and_hour(data):
    path = data / "soil_moisture_simpact/sopivot+idx.csv.xz"
    write_xz(path, "day,hour,SENS0008,SENS0010\n2022-11-15,0,11.5,38.75\n2022-11-15,1,11.25,38.5\n")
    table = load_soil()
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
        load_etth1()


def test_hapt_windows_stay_inside_their_segment(data):
    # 1-based inclusive: samples 9..200 of experiment 8 (192 samples: two windows, hop 64).
    write_hapt(
        data, [[7, 2, 1, 1, 128], [8, 5, 6, 10, 201], [7, 2, 9, 130, 400], [7, 2, 3, 1, 127]]
    )
    windows = load_hapt()
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
        stream = load_hapt_stream(np.random.default_rng(seed))
        codes = stream[:, 0] / 0.5
        assert stream.shape == (800, 6)
        np.testing.assert_array_equal(np.diff(codes[:400]), 1)
        np.testing.assert_array_equal(np.sort(codes), np.arange(800))
        seen.add(codes[0])
    assert seen == {0.0, 400.0}


def test_hapt_without_windows_is_refused(data):
    write_hapt(data, [[7, 2, 9, 1, 400]])
    with pytest.raises(DataUnavailable, match="expected labeled windows, got none"):
        load_hapt()
