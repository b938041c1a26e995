"""`edgernn quantize`: given ranges, streams for the report, and warnings in lines."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

import edgernn
from edgernn.adapt.adaptation import Adaptation
from edgernn.cli import main
from tests.support.models.float import float_model

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that follows its input at once, one that holds it, and readings for both."""
    import keras

    folder = tmp_path_factory.mktemp("ranges")
    keras.utils.set_random_seed(3)
    quick = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.GRU(4, return_sequences=True), keras.layers.Dense(1)]
    )
    quick.save(folder / "quick.keras")
    holding = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.GRU(1, return_sequences=True)], name="holding"
    )
    kernel = np.array([[-24.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    bias = np.zeros((2, 3))
    bias[0, 0] = 12.0
    holding.set_weights([kernel, np.zeros((1, 3)), bias])
    holding.save(folder / "holding.keras")
    t = np.arange(600) / 7
    readings = np.stack([np.sin(t), np.cos(t)], axis=1)
    np.save(folder / "calibration.npy", readings)
    np.save(folder / "later.npy", 1.2 * readings[:120])
    orders = readings.copy()
    orders[:, 0] = 0.0
    orders[::50, 0] = 1.0
    np.save(folder / "orders.npy", orders)
    return folder


def quantize(folder, model, *options):
    return main(
        ["quantize", str(folder / model), "--input-names", "temperature,humidity",
         "-o", str(folder / "out.edgernn"), *options]
    )  # fmt: skip


def test_given_ranges_reach_the_model(folder, capsys):
    options = ("--calibration", str(folder / "calibration.npy"))
    ranges = ("--input-range", "temperature=-40:85", "--input-range", "humidity=0:1e2")
    code = quantize(folder, "quick.keras", *options, *ranges)
    caught = capsys.readouterr()
    assert code == 0
    model = edgernn.IntegerModel.load(folder / "out.edgernn")
    reach = 127 * model.input.scale
    assert np.allclose(model.input.offset - reach, [-40.0, 0.0], atol=1e-9)
    assert np.allclose(model.input.offset + reach, [85.0, 100.0])
    line, *_ = caught.err.splitlines()  # others say what so wide a range of humidity costs
    wanted = "edgernn quantize: warning: input humidity: expected calibration values in .* clipped"
    assert re.match(wanted, line)
    assert main(["info", str(folder / "out.edgernn")]) == 0
    assert '"temperature": [-40.0, 85.0]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("temperature", "expected a name and its range, as in temperature=-40:85, got"),
        ("temperature=-40", "expected a name and its range"),
        ("temperature=a:b", "expected a name and its range"),
        ("=0:1", "expected a name and its range"),
        ("pressure=0:1", "expected channels among temperature, humidity, got 'pressure'"),
        ("temperature=5:1", "low < high"),
    ],
)
def test_ranges_that_are_none_end_with_2(folder, capsys, text, wanted):
    options = ("--calibration", str(folder / "calibration.npy"), "--input-range", text)
    assert quantize(folder, "quick.keras", *options) == 2
    assert wanted in capsys.readouterr().err


def test_a_channel_given_twice_ends_with_2(folder, capsys):
    twice = ("--input-range", "temperature=0:1", "--input-range", "temperature=0:2")
    options = ("--calibration", str(folder / "calibration.npy"), *twice)
    assert quantize(folder, "quick.keras", *options) == 2
    assert "one range per name, got two" in capsys.readouterr().err


def test_settings_of_a_head_that_learns_reach_the_model(folder, capsys):
    options = ("--calibration", str(folder / "calibration.npy"))
    assert quantize(folder, "quick.keras", *options, "--adapt", "rate=0.25,delay=3") == 0
    capsys.readouterr()
    model = edgernn.IntegerModel.load(folder / "out.edgernn")
    assert model.adaptation == Adaptation(rate=0.25, delay=3).bound(model)
    assert main(["info", str(folder / "out.edgernn")]) == 0
    said = "adaptation\n  rate 0.25, leak 0, limit 1, error_limit 1, delay 3, state"
    assert f"{said} {model.layers[0].name}.h" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rate=9", "adaptation: rate: expected 3.05176e-05 to 1, got 9. See"),
        ("speed=1", "expected rate, leak, limit, error_limit, delay, state, got 'speed'"),
        ("rate", "expected settings, each once, with their values"),
        ("delay=1,delay=2", "expected settings, each once, with their values"),
    ],
)
def test_settings_of_a_head_that_are_none_end_with_2(folder, capsys, text, wanted):
    options = ("--calibration", str(folder / "calibration.npy"), "--adapt", text)
    assert quantize(folder, "quick.keras", *options) == 2
    assert wanted in " ".join(capsys.readouterr().err.split())


def test_the_report_takes_streams_that_calibration_did_not_see(folder, capsys):
    options = ("--calibration", str(folder / "calibration.npy"))
    later = ("--report-data", str(folder / "later.npy"))
    assert quantize(folder, "quick.keras", *options, *later, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["report"]["steps"] == 120
    assert record["report"]["input_clip_rate"] == [0.0, 0.0]
    assert record["warnings"] == []
    assert quantize(folder, "quick.keras", *options, *later) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"on {folder / 'later.npy'}:"
    assert out[1] == "quantization report over 120 steps"
    missing = ("--report-data", str(folder / "none.npy"))
    assert quantize(folder, "quick.keras", *options, *missing) == 2


def test_long_memory_is_a_line_on_stderr_and_in_every_record(folder, capsys):
    options = ("--calibration", str(folder / "orders.npy"), "--state", "16")
    assert quantize(folder, "holding.keras", *options, "--json") == 0
    caught = capsys.readouterr()
    (line,) = caught.err.splitlines()
    text = line.removeprefix("edgernn quantize: warning: ")
    assert re.match(
        r"gru\w*: expected units whose memory fits a 16-bit state, got 1 .* 0 \(1", text
    )
    assert json.loads(caught.out)["warnings"] == [text]
    assert quantize(folder, "holding.keras", *options, "--report") == 0
    captured = capsys.readouterr()
    assert f"edgernn quantize: warning: {text}" in captured.err.splitlines()
    assert "warning" not in captured.out


@pytest.mark.parametrize(
    ("header", "options", "names"),
    [
        ("temperature;humidity", [], ("temperature", "humidity")),
        ("time;T;RH", ["--columns", "T,RH"], ("T", "RH")),
        ("time;T;RH", ["--columns", "3,2"], ("RH", "T")),
        ("time;T;RH", ["--columns", "x0=T,x1=RH"], ("x0", "x1")),
        ("x1;x0", [], ("x0", "x1")),
        ("", [], ("x0", "x1")),
    ],
)
def test_channels_without_names_are_named_after_the_columns(
    folder, tmp_path, capsys, header, options, names
):
    readings = np.load(folder / "calibration.npy")
    table = tmp_path / "readings.csv"
    extra = np.arange(len(readings))[:, None] if header.startswith("time") else readings[:, :0]
    lines = [header] * bool(header)
    lines += [";".join(map(str, row)) for row in np.hstack([extra, readings]).tolist()]
    table.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.edgernn"
    order = ["quantize", str(folder / "quick.keras"), "--calibration", str(table), "-o", str(out)]
    assert main([*order, *options]) == 0
    said = capsys.readouterr().err
    assert "matched by position" not in said
    assert ("input names from the header" in said) == (names != ("x0", "x1"))
    assert edgernn.IntegerModel.load(out).input.names == names
    # The table of calibration is one that the other commands read without a word about columns.
    if header and "=" not in "".join(options) and "3,2" not in options:
        assert (
            main(["run", str(out), "--input", str(table), "--output", str(tmp_path / "y.csv")]) == 0
        )


@pytest.mark.parametrize("header", ["a,", "a,a", "x0,x1"])
def test_headers_that_name_no_channels_leave_the_default_names(tmp_path, capsys, header):
    from edgernn.records.opening import TableOptions
    from edgernn_export.cli.quantize import _named_by_header

    (tmp_path / "t.csv").write_text(f"{header}\n1,2\n3,4\n", encoding="utf-8")
    model = float_model("lstm", inputs=2)
    model = dataclasses.replace(model, input_names=("x0", "x1"))
    assert _named_by_header(model, tmp_path / "t.csv", TableOptions(), None) is model
    assert capsys.readouterr().err == ""
