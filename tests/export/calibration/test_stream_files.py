import re

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError, ReadingError
from edgernn.model.interface import Port
from edgernn_export.calibration.files import load_streams

NAMES = ("a", "b")
STREAM = np.array([[1.0, 2.0], [3.0, 4.5], [-1.0, 0.0]])


def load(path):
    return [stream.tolist() for stream in load_streams(path, NAMES)]


def test_an_array_is_one_stream_or_a_batch(tmp_path):
    np.save(tmp_path / "one.npy", STREAM.astype(np.float32))
    np.save(tmp_path / "two.npy", np.stack([STREAM, -STREAM]))
    np.save(tmp_path / "flat.npy", STREAM[:, 0].astype(int))
    assert load(tmp_path / "one.npy") == [STREAM.tolist()]
    assert load(tmp_path / "two.npy") == [STREAM.tolist(), (-STREAM).tolist()]
    assert load_streams(tmp_path / "flat.npy", ("a",))[0].tolist() == [[1.0], [3.0], [-1.0]]


def test_an_archive_holds_streams_of_any_length_in_the_order_of_their_names(tmp_path):
    np.savez(tmp_path / "s.npz", z=STREAM, c=STREAM[:1], m=np.stack([STREAM[1:], STREAM[:2]]))
    wanted = [STREAM[:1], STREAM[1:], STREAM[:2], STREAM]
    assert load(tmp_path / "s.npz") == [stream.tolist() for stream in wanted]


def test_an_archive_of_the_inputs_of_a_model_is_joined(tmp_path):
    ports = (Port(name="x", width=2), Port(name="y", width=1))
    whole = np.stack([np.hstack([STREAM, -STREAM[:, :1]])] * 2)
    np.savez(tmp_path / "s.npz", y=whole[..., 2:], x=whole[..., :2])
    loaded = load_streams(tmp_path / "s.npz", ("x_0", "x_1", "y"), ports=ports)
    np.testing.assert_array_equal(loaded, whole)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "1,2\n3,4.5\n-1,0\n"),
        ("s.csv", "\ufeffb,t,a\n2,x,1\n\n4.5,y,3\n0,z,-1"),
        ("s.jsonl", '[1,2]\n{"b":4.5,"a":3}\n\n[-1,0]\n'),
    ],
)
def test_text_is_one_stream(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load(tmp_path / name) == [STREAM.tolist()]


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        (
            "s.csv",
            "1,2\n1,x\n",
            ReadingError,
            "s.csv, line 2: expected a number, got 'x' (col",
        ),
        ("s.csv", "1,2,3\n", ReadingError, "s.csv, line 1: expected 2 values (a, b), got 3. There"),
        (
            "s.csv",
            "a,c,d\n1,2,3\n",
            EdgeRnnError,
            "s.csv, line 1: expected a header with the",
        ),
        (
            "s.jsonl",
            "[1,2]\n[1\n",
            ReadingError,
            "s.jsonl, line 2: expected a JSON value, got",
        ),
        (
            "s.parquet",
            "PAR1\x15",
            EdgeRnnError,
            "got a Parquet file ('s.parquet'). Write the table",
        ),
        (
            "s.npy",
            "not an array",
            EdgeRnnError,
            "expected arrays of numbers in 's.npy', got",
        ),
        (
            "s.npz",
            "not an archive",
            EdgeRnnError,
            "expected arrays of numbers in 's.npz', got",
        ),
        ("s.npy", "", EdgeRnnError, "expected arrays of numbers in 's.npy', got"),
    ],
)
def test_a_file_that_holds_no_stream_is_refused(tmp_path, name, text, error, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=re.escape(message)):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (STREAM[:, :1], "streams: expected [T, 2] or [B, T, 2], got [3, 1] (s.npz x)."),
        (STREAM[0], "streams: expected [T, 2] or [B, T, 2], got [2] (s.npz x)."),
        (STREAM.astype(str), "streams: expected real numbers, got str"),
        (
            np.array([{}]),
            "expected arrays of numbers in 's.npz', got Object arrays cannot",
        ),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, array, message):
    np.savez(tmp_path / "s.npz", x=array)
    with pytest.raises(EdgeRnnError, match=re.escape(message)):
        load(tmp_path / "s.npz")


def test_an_empty_archive_is_refused(tmp_path):
    np.savez(tmp_path / "s.npz")
    with pytest.raises(EdgeRnnError, match="streams: expected at least one stream, got none"):
        load(tmp_path / "s.npz")


def test_an_array_without_streams_is_refused(tmp_path):
    np.save(tmp_path / "s.npy", np.zeros((0, 5, 2)))
    with pytest.raises(EdgeRnnError, match="streams: expected at least one stream, got none"):
        load(tmp_path / "s.npy")


def test_the_content_decides_between_array_and_archive_and_case_does_not_matter(tmp_path):
    np.save(tmp_path / "s.npy", STREAM)
    np.savez(tmp_path / "t.npz", STREAM)
    (tmp_path / "s.npy").rename(tmp_path / "a.npz")
    (tmp_path / "t.npz").rename(tmp_path / "b.NPY")
    (tmp_path / "c.CSV").write_text("1,2\n3,4.5\n-1,0\n")
    for name in ("a.npz", "b.NPY", "c.CSV"):
        assert load(tmp_path / name) == [STREAM.tolist()]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", b"1,2\n3,\xff\n", "s.csv, line 2: expected a number, got"),
        ("s.jsonl", b"\xff\xfe[1,2]\n", "s.jsonl, line 1: expected a JSON value, got"),
        ("s.jsonl", b"[1,%s]\n" % (b"9" * 400), "s.jsonl, line 1: expected a number, got 999"),
        (
            "s.npy",
            b"\x93NUMPY\x01\x00\x76\x00"
            + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 2)}".ljust(117)
            + b"\n",
            "expected arrays of numbers in 's.npy', got",
        ),
    ],
)
def test_damaged_bytes_are_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EdgeRnnError, match=re.escape(message)):
        load(tmp_path / name)
