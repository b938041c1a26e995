"""Results as lines: the standard output, CSV, JSON lines, the line protocol, SQLite."""

import contextlib
import csv
import json
import math
import re
import sqlite3

import pytest

from edgernn.connections.registry import make_sink
from edgernn.errors import SinkError
from tests.support.results import demo_interface, opened, result

pytestmark = pytest.mark.device

OUTPUT = "co2_change_in_13_weeks"
TIME = "2026-01-02T03:04:05.500Z"


def test_a_table_of_another_model_is_not_added_to(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,key,sequence,power,bad\n")
    with pytest.raises(SinkError, match=f"path: expected a table with {OUTPUT}, got the columns t"):
        opened(kind="csv", path=str(path))
    assert path.read_text() == "time,key,sequence,power,bad\n"


def test_what_a_sensor_sends_does_not_steer_a_terminal(capsys):
    opened(kind="stdout").write([result(passed={"note": "\x1b[31m\nnext", "\r": 1})])
    text = capsys.readouterr().out
    assert text.count("\n") == 1 and text.rstrip("\n").isprintable()
    assert r"note=\x1b[31m\nnext" in text


def test_stdout_is_short_text_or_json(capsys):
    sink = opened(kind="stdout")
    sink.write([result(alarm=True), result(y=math.nan, sequence=2)])
    sink.flush()
    assert capsys.readouterr().out.splitlines() == [
        f"{TIME} pump sequence=1 {OUTPUT}=0.25 alarm=true",
        f"{TIME} pump sequence=2 {OUTPUT}=- bad",
    ]
    sink = opened(kind="stdout", form="json", inputs=True, digits=3)
    sink.write([result(y=1 / 3)])
    assert json.loads(capsys.readouterr().out) == {
        "time": TIME, "key": "pump", "sequence": 1, "co2_change": 0.5, OUTPUT: 0.333, "bad": False,
    }  # fmt: skip


def test_json_lines_tell_every_number_apart_and_are_added_to(tmp_path):
    path = tmp_path / "new" / "a.jsonl"
    for y in (1 / 3, 2 / 3):
        sink = opened(kind="jsonl", path=str(path), sync=True)
        sink.write([result(y=y, passed={"truth": 1, "time": "x"})])
        sink.flush()
        sink.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row[OUTPUT] for row in rows] == [1 / 3, 2 / 3]
    assert rows[0]["truth"] == 1 and rows[0]["time_output"] == "x"


def test_a_line_that_a_loss_of_power_has_cut_stays_alone(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"time": "2026')
    sink = opened(kind="jsonl", path=str(path))
    sink.write([result()])
    sink.close()
    _, line = path.read_text().splitlines()
    assert json.loads(line)["key"] == "pump"


def test_csv_has_one_header_which_later_runs_keep(tmp_path):
    path = tmp_path / "a.csv"
    sink = opened(kind="csv", path=str(path))
    sink.write([result(key='a,"b"', alarm=False, score=1.5), result(y=math.nan)])
    sink.close()
    sink = opened(kind="csv", path=str(path), inputs=True)  # the file has no column for them
    sink.write([result(sequence=3, y=0.1, alarm=True)])
    sink.close()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ['a,"b"', "pump", "pump"]
    assert [row[OUTPUT] for row in rows] == ["0.25", "", "0.1"]
    assert [row["alarm"] for row in rows] == ["false", "", "true"]
    assert [row["bad"] for row in rows] == ["false", "true", "false"]
    assert list(rows[0]) == ["time", "key", "sequence", OUTPUT, "alarm", "score", "bad"]


def test_sqlite_has_each_sequence_number_of_a_key_once(tmp_path):
    path = tmp_path / "a.sqlite"
    sink = opened(kind="sqlite", path=str(path))
    sink.write([result(sequence=s, y=s / 8, alarm=s > 1) for s in (1, 2)])
    sink.flush()
    sink.write([result(sequence=2, y=0.5, alarm=True), result(sequence=3, y=math.nan)])
    sink.close()  # not flushed: as if the service had been killed
    sink = opened(kind="sqlite", path=str(path))
    sink.write([result(sequence=2, y=0.5, alarm=True), result(key="fan", sequence=2)])
    sink.flush()
    sink.close()
    with sqlite3.connect(path) as database:
        rows = database.execute(
            f"SELECT key, sequence, json_extract(outputs, '$.{OUTPUT}'), "
            "json_extract(decisions, '$.alarm') FROM results ORDER BY key, sequence"
        ).fetchall()
    database.close()
    assert rows == [("fan", 2, 0.25, None), ("pump", 1, 0.125, 0), ("pump", 2, 0.5, 1)]


def stored(path):
    """Numbers and times of the rows."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT sequence, time_s FROM results ORDER BY time_s").fetchall()


def test_sqlite_keeps_the_history_of_a_device_that_counts_anew(tmp_path):
    path = tmp_path / "a.sqlite"
    sink = opened(kind="sqlite", path=str(path))
    sink.write([result(sequence=s, time_s=1e9 + s) for s in (1, 2, 3)])
    sink.write([result(sequence=s, time_s=2e9 + s) for s in (1, 2)])  # switched off and on
    sink.write([result(sequence=2, time_s=2e9 + 2)])  # written again after a crash
    sink.flush()
    sink.close()
    assert stored(path) == [(1, 1e9 + 1), (2, 1e9 + 2), (3, 1e9 + 3), (1, 2e9 + 1), (2, 2e9 + 2)]


def test_sqlite_stores_readings_without_times_once_and_those_of_a_new_stream_beside_them(tmp_path):
    path = tmp_path / "a.sqlite"
    sink = opened(kind="sqlite", path=str(path))
    nan = result(sequence=3, y=math.nan, time_s=13.0, untimed=True)
    sink.write([result(sequence=s, y=s / 8, time_s=10.0 + s, untimed=True) for s in (1, 2)] + [nan])
    again = [result(sequence=2, y=0.25, time_s=22.0, untimed=True),
             result(sequence=3, y=math.nan, time_s=23.0, untimed=True)]  # fmt: skip
    sink.write(again)  # after a crash: they arrive again, at another time
    sink.write([result(sequence=1, y=0.75, time_s=31.0, untimed=True)])  # another reading
    sink.flush()
    sink.close()
    assert stored(path) == [(1, 11.0), (2, 22.0), (3, 23.0), (1, 31.0)]


def test_sqlite_forgets_old_results(tmp_path):
    path = tmp_path / "a.sqlite"
    sink = opened(kind="sqlite", path=str(path), keep_days=1)
    sink.write([result(sequence=i, time_s=1e9 + 3600.0 * i) for i in range(48)])
    sink.flush()
    sink.close()
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT count(*) FROM results").fetchone()
    database.close()
    assert count == 25


_TAG = r"(?:[^,= \\]|\\[,= \\])+"
_VALUE = r'-?\d+i|-?\d[\d.e+-]*|true|false|"(?:[^"\\]|\\["\\])*"'
_LINE = re.compile(
    rf"({_TAG})((?:,{_TAG}={_TAG})*) ({_TAG}=(?:{_VALUE})(?:,{_TAG}=(?:{_VALUE}))*) (\d+)"
)


def test_influx_lines_follow_the_grammar_of_the_protocol(tmp_path):
    path = tmp_path / "a.lp"
    sink = opened(kind="influx", path=str(path), measurement="my model")
    sink.write([
        result(key="a b,c=d", y=1e-7, alarm=True, label='say "x\\"', passed={"truth": 3}),
        result(y=math.nan, sequence=2),
    ])  # fmt: skip
    sink.close()
    first, second = path.read_text().splitlines()
    match = _LINE.fullmatch(first)
    assert match and match[1] == "my\\ model" and match[4] == "1767323045500000000"
    assert match[2] == ",key=a\\ b\\,c\\=d,model=co2_forecaster"
    assert match[3] == (
        f'sequence=1i,bad=false,{OUTPUT}=1e-07,alarm=true,label="say \\"x\\\\\\"",truth=3.0'
    )
    assert _LINE.fullmatch(second)[3] == "sequence=2i,bad=true"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "sqlite"])
def test_a_file_that_cannot_be_written_is_named(tmp_path, kind):
    (tmp_path / "file").write_text("")
    errors = []
    path = str(tmp_path / "file" / "a")
    sink = make_sink({"kind": kind, "path": path}, "serve.toml, [[sink]] 1", errors)
    with pytest.raises(SinkError, match=r"serve.toml, \[\[sink\]\] 1, path: expected"):
        sink.open(demo_interface())


def test_a_full_disk_is_an_error_of_the_sink():
    sink = opened(kind="jsonl", path="/dev/full")
    with pytest.raises(SinkError, match="No space left"):
        for _ in range(10_000):
            sink.write([result()])
            sink.flush()
    sink.close()
