"""Calibration from tables and frames as people have them: missing values, names, too little."""

from __future__ import annotations

import gzip
import io
import lzma
import re

import numpy as np
import pandas as pd
import pytest

import edgernn
from edgernn.errors import (
    CalibrationError,
    CalibrationWarning,
    EdgeRnnError,
    ReadingError,
    TableWarning,
)
from edgernn.records.opening import TableOptions
from edgernn_export.calibration.files import load_streams, load_table
from edgernn_export.calibration.streams import as_streams, without_missing
from edgernn_export.float_model.float_run import run
from edgernn_export.guards.sufficiency import ENOUGH_READINGS
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import float_model, stream
from tests.support.models.float_networks import two_port_network

NAMES = ("a", "b")
NAN = np.nan
STREAM = np.array([[1.5, 2.0], [3.0, 4.25], [-1.0, 0.5]])


def load(path, **options):
    policy = options.pop("on_missing", "raise")
    return [s.tolist() for s in load_streams(path, NAMES, TableOptions(**options), policy)]


# ---------------------------------------------------------------- files of all kinds


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", b"t;a;b\n1;1,5;2\n2;3;4,25\n3;-1;0,5\n"),
        ("s.txt", b"b\ta\n2\t1.5\n4.25\t3\n0.5\t-1\n"),
        ("s.tsv", b"1.5\t2\n3\t4.25\n-1\t0.5\n"),
        ("s.dat", "a,b\n1.5,2\n3,4.25\n-1,0.5\n".encode("utf-16")),
        ("s.ndjson", b'{"b":2,"a":1.5}\n[3,4.25]\n{"a":-1,"b":0.5}\n'),
        ("readings", b'{"b":2,"a":1.5}\n[3,4.25]\n{"a":-1,"b":0.5}\n'),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_text_of_every_kind_is_one_stream(tmp_path, name, content, compress):
    (tmp_path / name).write_bytes(compress(content))
    assert load(tmp_path / name) == [STREAM.tolist()]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("name", ["s.npy.gz", "s.npz.xz", "calibration"])
def test_arrays_are_told_by_their_content_under_a_compression_too(tmp_path, compress, name):
    content = io.BytesIO()
    if "npz" in name:
        np.savez(content, x=STREAM)
    else:
        np.save(content, STREAM)
    (tmp_path / name).write_bytes(compress(content.getvalue()))
    assert load(tmp_path / name) == [STREAM.tolist()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89HDF\r\n\x1a\n....", "got an HDF5 file ('s.bin'). Write the array with numpy.save."),
        (b"\xd0\xcf\x11\xe0....", "got an Excel workbook ('s.bin'). Save the sheet as CSV."),
        (b"\x80\x04\x95\x00", "got a pickle ('s.bin'). Write the array with numpy.save."),
        (
            gzip.compress(b"1,2\n" * 999, mtime=0)[:24],
            "s.bin: expected a file that is readable to its end",
        ),
    ],
)
def test_files_that_are_neither_arrays_nor_text_are_named(tmp_path, content, message):
    (tmp_path / "s.bin").write_bytes(content)
    with pytest.raises(EdgeRnnError, match=re.escape(message)):
        load(tmp_path / "s.bin")


def test_a_table_without_readings_is_named(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n")
    with pytest.raises(EdgeRnnError, match=r"at least one reading, got none \(s\.csv\)"):
        load(tmp_path / "s.csv")


def test_an_archive_of_other_files_is_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "s.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(EdgeRnnError, match=r"got an archive of other files, such as 'xl/workbook"):
        load(tmp_path / "s.xlsx")


def test_options_say_what_the_lines_do_not(tmp_path):
    (tmp_path / "s.csv").write_text("t,x,y\n1,1.5,2\n2,3,4.25\n3,-1,0.5\n")
    with pytest.raises(EdgeRnnError, match="List those that feed a, b, in this order, with --co"):
        load(tmp_path / "s.csv")
    assert load(tmp_path / "s.csv", columns=("x", "y")) == [STREAM.tolist()]
    assert load(tmp_path / "s.csv", columns=("b=3", "a=x")) == [STREAM.tolist()]


def test_a_header_of_other_names_is_said(tmp_path):
    (tmp_path / "s.csv").write_text("x,y\n1.5,2\n3,4.25\n-1,0.5\n")
    with pytest.warns(TableWarning, match="used in order: x -> a, y -> b"):
        assert load(tmp_path / "s.csv") == [STREAM.tolist()]


def test_sensors_are_not_mixed_in_silence(tmp_path):
    (tmp_path / "s.csv").write_text("sensor,a,b\nin,1.5,2\nout,3,4.25\nin,-1,0.5\n")
    with pytest.raises(EdgeRnnError, match=r"s\.csv, line 3: expected the readings of one sensor"):
        load(tmp_path / "s.csv")
    assert load(tmp_path / "s.csv", one_stream=True) == [STREAM.tolist()]


@pytest.mark.parametrize(("policy", "rows"), [("hold", [1, 2, 3]), ("skip", [1, 3])])
def test_other_columns_stand_beside_the_readings(tmp_path, policy, rows):
    cells = [["x", ""], ["é", "7"], ["", "8"], ["z", "9"]]
    text = "".join(f"{t};{a};{n}\n" for (t, n), a in zip(cells, ["", "1,5", "", "2"], strict=True))
    (tmp_path / "s.csv").write_text("t;a;n\n\n" + text, encoding="utf-8")
    table = load_table(tmp_path / "s.csv", ["a"], ["n", "t"], on_missing=policy)
    assert table.x.ravel().tolist() == [{1: 1.5, 2: 1.5, 3: 2.0}[row] for row in rows]
    assert table.columns == {"n": [cells[r][1] for r in rows], "t": [cells[r][0] for r in rows]}
    assert table.lines.tolist() == [row + 3 for row in rows]
    with pytest.raises(EdgeRnnError, match=r"columns label, got one with t, a, n\.$"):
        load_table(tmp_path / "s.csv", ["a"], ["label"])
    (tmp_path / "s.jsonl").write_text('{"a":1,"t":[1]}\n{"a":2}\n{"a":3,"n":null}\n')
    table = load_table(tmp_path / "s.jsonl", ["a"], ["t"])
    assert table.columns == {"t": [[1], None, None]}


# ---------------------------------------------------------------- missing values


def test_policies_against_a_loop():
    rng = np.random.default_rng(5)
    for _ in range(50):
        xs = rng.normal(size=(30, 3))
        xs[rng.random(xs.shape) < 0.3] = rng.choice([NAN, np.inf, -np.inf])
        held, last = [], [None] * 3
        for row in xs:
            last = [x if np.isfinite(x) else before for x, before in zip(row, last, strict=True)]
            if None not in last:
                held.append(list(last))
        skipped = [row for row in xs.tolist() if np.isfinite(row).all()]
        policy = edgernn.session.policies.Policy
        assert without_missing(xs, policy.HOLD)[0].tolist() == held
        assert without_missing(xs, policy.SKIP)[0].tolist() == skipped
        assert without_missing(xs, policy.RAISE)[0] is xs


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("hold", [[1.5, 2], [1.5, 4.25], [1.5, 4.25], [3, 4.25], [-1, 0.5]]),
        ("skip", [[1.5, 2], [3, 4.25], [-1, 0.5]]),
    ],
)
def test_missing_values_in_files(tmp_path, policy, wanted):
    (tmp_path / "s.csv").write_text("t,a,b\n0,,1\n1,1.5,2\n2,NA,4.25\n3\n4,3,4.25\n5,-1,0.5\n")
    (tmp_path / "s.jsonl").write_text(
        '{"b":1}\n[1.5,2]\n{"a":null,"b":4.25}\nnoise\n[3,4.25]\n[-1,0.5]\n'
    )
    np.save(tmp_path / "s.npy", [[NAN, 1], [1.5, 2], [NAN, 4.25], [NAN, NAN], [3, 4.25], [-1, 0.5]])
    for name in ("s.csv", "s.jsonl", "s.npy"):
        assert load(tmp_path / name, on_missing=policy) == [wanted]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "s.csv",
            "t,a,b\n1,1,2\n\n2,3,\n",
            "s.csv, line 4: expected a number, got an empty cell (column 3 'b')",
        ),
        ("s.csv", "1,2\nnan,3\n", "s.csv, line 2: expected a number, got 'nan' (column 1)"),
        (
            "s.jsonl",
            "[1,2]\n[null,3]\n",
            "s.jsonl, line 2: expected a number, got null (channel 'a')",
        ),
    ],
)
def test_missing_values_are_refused_by_file_line_and_column(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    wanted = f"{message}. Fix the file, or pass --on-bad-reading hold or skip"
    with pytest.raises(ReadingError, match=f"^{re.escape(wanted)}$"):
        load(tmp_path / name)


@pytest.mark.parametrize("policy", ["hold", "skip"])
def test_a_file_without_a_reading_is_refused_with_the_likely_reason(tmp_path, policy):
    (tmp_path / "s.csv").write_text("9:00,1,2\n9:01,3,4\n")
    with pytest.raises(ReadingError, match=r"no line has a valid reading\. .* --columns 2,3$"):
        load(tmp_path / "s.csv", on_missing=policy)


def test_missing_values_in_arrays():
    gaps = np.array([[[1.0, 2], [NAN, 3]], [[5, 6], [7, 8]]])
    with pytest.raises(
        CalibrationError, match=r"got 1 NaN or infinite \(first at stream, step, ch"
    ):
        as_streams(gaps, 2)
    with pytest.raises(CalibrationError, match=re.escape("channel [1, 1, 0]). Drop or fill")):
        as_streams([gaps[1], gaps[0]], 2)
    hold = as_streams(gaps, 2, on_missing="hold")
    assert [block.tolist() for block in hold] == [[[[1, 2], [1, 3]], [[5, 6], [7, 8]]]]
    skip = as_streams(gaps, 2, on_missing="skip")
    assert [block.tolist() for block in skip] == [[[[1, 2]]], [[[5, 6], [7, 8]]]]
    with pytest.raises(CalibrationError, match="expected finite values, got streams without any"):
        as_streams(gaps * NAN, 2, on_missing="hold")
    with pytest.raises(CalibrationError, match="on_missing: expected one of raise, hold, skip, go"):
        as_streams(gaps, 2, on_missing="drop")


def test_quantize_with_missing_values_is_quantize_with_what_they_stand_for():
    model = float_model("lstm")
    xs = stream(600, 3)
    gaps = xs.copy()
    gaps[100:110, 1] = NAN
    filled = xs.copy()
    filled[100:110, 1] = xs[99, 1]
    held = quantize(model, gaps, on_missing="hold", progress=False)
    assert held.sha256 == quantize(model, filled, progress=False).sha256
    with pytest.raises(CalibrationError, match="got 10 NaN or infinite"):
        quantize(model, gaps, progress=False)


# ---------------------------------------------------------------- data frames


def frame(**columns):
    return pd.DataFrame(columns)


def test_columns_of_a_frame_name_the_channels():
    model, xs = float_model("lstm", inputs=2), stream(600, 2)
    quantized = quantize(model, frame(temperature=xs[:, 0], humidity=xs[:, 1]), progress=False)
    assert quantized.input.names == ("temperature", "humidity")
    assert quantized.layers == quantize(model, xs, progress=False).layers


def test_columns_of_a_frame_are_picked_by_the_names_given():
    model, xs = float_model("lstm", inputs=2), stream(600, 2)
    table = frame(
        time=pd.date_range("2024-01-01", periods=600, freq="min"), humidity=xs[:, 1],
        note="x", temperature=xs[:, 0],
    )  # fmt: skip
    names = ["temperature", "humidity"]
    plain = quantize(model, xs, input_names=names, progress=False)
    assert quantize(model, table, input_names=names, progress=False).sha256 == plain.sha256
    halves = [table[:300], table[300:]]
    assert quantize(model, halves, input_names=names, progress=False).sha256 == quantize(
        model, [xs[:300], xs[300:]], input_names=names, progress=False
    ).sha256  # fmt: skip


def test_frames_that_do_not_fit():
    model, xs = float_model("lstm", inputs=2), stream(600, 2)
    table = frame(time=np.arange(600), t=xs[:, 0], h=xs[:, 1])
    with pytest.raises(
        CalibrationError, match=r"each of x0, x1, got time, t, h\. Select .*input_na"
    ):
        quantize(model, table, progress=False)
    with pytest.raises(CalibrationError, match="each of t, humidity, got time, t, h"):
        quantize(model, table, input_names=["t", "humidity"], progress=False)
    with pytest.raises(CalibrationError, match="calibration: expected columns of numbers, got"):
        quantize(model, frame(a=["x"] * 600, b=xs[:, 0]), progress=False)
    with pytest.warns(TableWarning, match="used in order: t -> temperature, h -> humidity"):
        quantize(model, table[["t", "h"]], input_names=["temperature", "humidity"], progress=False)


def test_missing_values_of_a_frame():
    model, xs = float_model("lstm", inputs=2), stream(600, 2)
    table = frame(a=pd.array(xs[:, 0], dtype="Float64"), b=xs[:, 1])
    table.loc[5, "a"] = pd.NA
    with pytest.raises(CalibrationError, match=re.escape("channel [0, 5, 0])")):
        quantize(model, table, progress=False)
    held = xs.copy()
    held[5, 0] = xs[4, 0]
    quantized = quantize(model, table, on_missing="hold", progress=False)
    assert quantized.layers == quantize(model, held, progress=False).layers


def test_frames_without_names_are_arrays():
    model, xs = float_model("lstm", inputs=2), stream(600, 2)
    wanted = quantize(model, xs, progress=False)
    assert quantize(model, pd.DataFrame(xs), progress=False).sha256 == wanted.sha256


# ---------------------------------------------------------------- too little


def test_little_calibration_is_said():
    model = float_model("lstm")
    wanted = (
        f"calibration: expected at least {ENOUGH_READINGS} readings, got 20. Ranges from so few"
    )
    with pytest.warns(CalibrationWarning, match=re.escape(wanted)):
        quantize(model, stream(20, 3), progress=False)
    with pytest.warns(CalibrationWarning, match="readings, got 199"):
        quantize(model, np.split(stream(199, 3), [50]), progress=False)


@pytest.mark.filterwarnings("error")
def test_enough_calibration_is_no_reason_for_a_word():
    quantize(float_model("lstm"), stream(ENOUGH_READINGS, 3).reshape(10, -1, 3), progress=False)


def test_constant_channels_are_said():
    xs = stream(600, 3)
    xs[:, 1] = 0.5
    wanted = (
        r"expected every channel to vary, got x1 always 0\.5\. Their range is unknown, .* "
        r"prune --inputs$"
    )
    with pytest.warns(CalibrationWarning, match=wanted):
        quantize(float_model("lstm"), xs, progress=False)
    xs = stream(600, 5)
    xs[:, 1] = 0.5
    wanted = (
        r"got x1 always 0\.5\. .* in which these channels vary, or train without channels "
        r"that never vary\.$"
    )
    with pytest.warns(CalibrationWarning, match=wanted):
        quantize(two_port_network(), xs, progress=False)


@pytest.mark.filterwarnings("error")
def test_a_given_range_needs_no_channel_that_varies():
    xs = stream(600, 3)
    xs[:, 1] = 0.5
    quantize(float_model("lstm"), xs, input_range={"x1": (0.0, 1.0)}, progress=False)


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.filterwarnings("ignore:session. expected .* within the calibrated range")
@pytest.mark.parametrize("cell", ["lstm", "gru_after"])
def test_what_little_calibration_costs(cell):
    """The bound is where more readings of the same kind gain little."""

    def loss_db(seed, count):
        model, xs = float_model(cell, seed=seed), stream(9000, 3, seed + 50)
        ys = run(model, xs[None, 5000:])[0][0]
        errors = []
        for few in (5000, count):
            quantized = quantize(model, xs[5000 - few : 5000], progress=False)
            with edgernn.load(quantized) as session:
                errors.append(np.mean(np.square(session.run(xs[5000:]) - ys)))
        return 10 * np.log10(errors[1] / errors[0])

    few, enough = (
        np.median([loss_db(seed, count) for seed in range(3)]) for count in (20, ENOUGH_READINGS)
    )
    assert enough < 6
    assert few > enough + 5
