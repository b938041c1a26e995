"""CSV and JSON lines: keys, times, numbers of readings, growing files, and going on in them."""

import gzip
import io
import math
import os
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edgernn.connections.arrival import EndOfSource
from edgernn.connections.registry import make_source
from edgernn.errors import SourceError

pytestmark = pytest.mark.device

CHANNELS = ("temp", "hum")


def source(**table):
    errors = []
    made = make_source(table, "serve.toml, [[source]] 1", CHANNELS, errors)
    assert errors == []
    return made


def all_of(made, position=None, most=1000):
    """All arrivals of a source that ends, and the last position."""
    made.open(position)
    arrivals = []
    try:
        while True:
            batch = made.read(most, 0.0)
            arrivals += batch.arrivals
            position = batch.position or position
    except EndOfSource:
        made.close()
        return arrivals, position


def test_columns_are_found_by_name_and_the_rest_goes_through(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "time;key;seq;hum;temp;truth\n"
        "2026-01-02T03:04:05Z;pump;7;40,5;21,5;1\n"
        "1767323045000;fan;8;;3;\n"
    )
    (a, b), _ = all_of(source(kind="csv", path=str(path)))
    assert (a.key, a.values, a.time_s, a.sequence) == ("pump", [21.5, 40.5], 1767323045.0, 7)
    assert a.passed == {"truth": "1"} and a.problem == ""
    assert (b.key, b.time_s, b.sequence) == ("fan", 1767323045.0, 8)
    assert b.values[0] == 3.0 and math.isnan(b.values[1])
    assert b.problem == "expected a number, got an empty cell (column 4 'hum')"


def test_columns_and_fields_have_the_names_that_the_table_says(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("when,probe,a,b\n01.02.2026 10:00:00,north,1,2\n")
    made = source(
        kind="csv", path=str(path), columns={"temp": "b", "hum": "a"}, key_field="probe",
        time_field="when", time_format="%d.%m.%Y %H:%M:%S", time_zone="Europe/Berlin",
    )  # fmt: skip
    (a,), _ = all_of(made)
    assert (a.key, a.values, a.time_s) == ("north", [2.0, 1.0], 1769936400.0)


def test_a_file_without_a_header_is_one_stream_named_after_the_source(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n3,4\n")
    arrivals, _ = all_of(source(kind="csv", path=str(path), name="lab"))
    assert [(a.key, a.values) for a in arrivals] == [("lab", [1.0, 2.0]), ("lab", [3.0, 4.0])]


def test_json_lines_hold_one_or_many_readings(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '[1, 2]\n'
        '{"key": "a", "t": 5, "temp": 1, "hum": 2, "truth": 3}\n'
        '[[1, 2], [3, 4]]\n'
        '{"key": "b", "readings": [{"t": 1, "temp": 1, "hum": 2}, [5, 6]]}\n'
    )  # fmt: skip
    arrivals, _ = all_of(source(kind="jsonl", path=str(path), key="z"))
    assert [(a.key, a.time_s, a.values) for a in arrivals] == [
        ("z", None, [1.0, 2.0]),
        ("a", 5.0, [1.0, 2.0]),
        ("z", None, [1.0, 2.0]),
        ("z", None, [3.0, 4.0]),
        ("b", 1.0, [1.0, 2.0]),
        ("b", None, [5.0, 6.0]),
    ]
    assert arrivals[1].passed == {"truth": 3}


@pytest.mark.parametrize("minutes", [60, 30, 10])
def test_the_hour_that_comes_twice_is_read_in_the_order_of_each_stream(tmp_path, minutes):
    path = tmp_path / "a.csv"
    begin, zone = datetime(2024, 10, 26, 20, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    moments = [begin + timedelta(minutes=minutes * n) for n in range(480 // minutes)]
    texts = [moment.astimezone(zone).strftime("%d.%m.%Y %H:%M") for moment in moments]
    rows = [f"{text},{key},1,2\n" for text in texts for key in ("a", "b", *"a" * (minutes < 60))]
    path.write_text("time,key,temp,hum\n" + "".join(rows))
    arrivals, _ = all_of(
        source(kind="csv", path=str(path), time_zone="Europe/Berlin", time_format="%d.%m.%Y %H:%M")
    )
    for key, times in (("a", 2 if minutes < 60 else 1), ("b", 1)):
        found = [a.time_s for a in arrivals if a.key == key]
        expected = [moment.timestamp() for moment in moments for _ in range(times)]
        assert found == expected


def test_a_dot_leads_into_an_object(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"Time": "2026-01-02T03:04:05", "ENERGY": {"Power": 5, "Sum": {"kWh": 1.5}}}\n'
    )
    columns = {"temp": "ENERGY.Power", "hum": "ENERGY.Sum.kWh"}
    (a,), _ = all_of(source(kind="jsonl", path=str(path), columns=columns, time_field="Time"))
    assert a.values == [5.0, 1.5] and a.time_s == 1767323045.0 and a.problem == ""
    path.write_text('{"ENERGY": {"Power": 5, "Sum": 7}}\n')
    (a,), _ = all_of(source(kind="jsonl", path=str(path), columns=columns))
    assert a.values[0] == 5.0 and "without ENERGY.Sum.kWh" in a.problem


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("most", [1, 3, 7])
def test_reading_goes_on_at_any_position(tmp_path, most, packed):
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    text = "hum,temp\n" + "".join(f"{i},{i / 4}\n" for i in range(20))
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    whole, _ = all_of(source(kind="csv", path=str(path)))
    assert len(whole) == 20
    made, arrivals, position = source(kind="csv", path=str(path)), [], None
    made.open(None)
    for _ in range(3):
        batch = made.read(most, 0.0)
        arrivals, position = arrivals + batch.arrivals, batch.position
    made.close()
    rest, _ = all_of(source(kind="csv", path=str(path)), position)
    assert [a.values for a in arrivals + rest] == [a.values for a in whole]


def test_a_short_file_may_grow_before_reading_goes_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    first, position = all_of(source(kind="csv", path=str(path)))
    with path.open("a") as file:
        file.write("3,4\n" * 30)
    rest, _ = all_of(source(kind="csv", path=str(path)), position)
    assert [a.values for a in first + rest] == [[1.0, 2.0]] + 30 * [[3.0, 4.0]]


def test_a_file_that_was_replaced_meanwhile_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("temp,hum\n1,2\n3,4\n")
    _, position = all_of(source(kind="csv", path=str(path)))
    path.write_text("hum,temp\n5,6\n")
    arrivals, _ = all_of(source(kind="csv", path=str(path)), position)
    assert [a.values for a in arrivals] == [[6.0, 5.0]]


HEADER = f"{'temp':>40},{'hum':>40}\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_longer_file_behind_the_same_header_is_read_from_its_beginning(tmp_path, end):
    path = tmp_path / "a.csv"
    header = HEADER.replace("\n", end)
    path.write_bytes((header + f"1,2{end}3,4{end}").encode())
    _, position = all_of(source(kind="csv", path=str(path)))
    with path.open("ab") as file:
        file.write(f"5,6{end}".encode())
    arrivals, _ = all_of(source(kind="csv", path=str(path)), position)
    assert [a.values for a in arrivals] == [[5.0, 6.0]]
    path.rename(tmp_path / "a.csv.1")
    path.write_bytes((header + "".join(f"{n},{n}{end}" for n in range(7, 40))).encode())
    arrivals, _ = all_of(source(kind="csv", path=str(path)), position)
    assert [a.values[0] for a in arrivals] == [*range(7, 40)]


def test_the_last_lines_of_a_rotated_file_are_no_place_in_the_next_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "1,1\n")
    made = source(kind="csv", path=str(path), follow=True)
    made.open(None)
    assert len(made.read(9, 0.0).arrivals) == 1
    with path.open("a") as file:
        file.write("2,2\n3,3\n")
    path.rename(tmp_path / "a.csv.1")
    path.write_text(HEADER + "".join(f"{n},{n}\n" for n in range(4, 40)))
    batch = made.read(2, 0.0)
    assert [a.values[0] for a in batch.arrivals] == [2.0, 3.0]
    made.close()
    arrivals, _ = all_of(source(kind="csv", path=str(path)), batch.position)
    assert [a.values[0] for a in arrivals] == [*range(4, 40)]


def test_a_file_that_is_there_later_is_not_read_twice(tmp_path):
    path, away = tmp_path / "a.csv", tmp_path / "away.csv"
    path.write_text("hum,temp\n1,2\n2,3\n")
    _, position = all_of(source(kind="csv", path=str(path)))
    path.rename(away)
    made = source(kind="csv", path=str(path), follow=True)
    made.open(position)
    assert made.read(9, 0.0).arrivals == []
    with away.open("a") as file:
        file.write("3,4\n")
    away.rename(path)
    found = []
    for _ in range(50):
        found += [a.values for a in made.read(9, 0.02).arrivals]
    made.close()
    assert found == [[4.0, 3.0]]


def test_a_followed_file_grows_is_cut_and_is_rotated(tmp_path):
    path = tmp_path / "a.csv"
    made = source(kind="csv", path=str(path), follow=True)
    made.open(None)
    assert made.read(10, 0.0).arrivals == []

    def values(count):
        found = []
        for _ in range(50):
            found += [a.values for a in made.read(10, 0.02).arrivals]
            if len(found) >= count:
                break
        return found

    path.write_text("temp,hum\n1,2\n3,")
    assert values(1) == [[1.0, 2.0]]
    with path.open("a") as file:
        file.write("4\n")
    assert values(1) == [[3.0, 4.0]]
    path.write_text("temp,hum\n5,6\n")  # cut: shorter than before
    assert values(1) == [[5.0, 6.0]]
    path.rename(tmp_path / "a.csv.1")
    with (tmp_path / "a.csv.1").open("a") as file:
        file.write("7,8\n")
    path.write_text("9,10\n")  # rotated, without a header
    assert values(2) == [[7.0, 8.0], [9.0, 10.0]]
    path.unlink()
    path.write_text("hum,temp\n12,11\n")  # rotated, with another header
    assert values(1) == [[11.0, 12.0]]
    made.close()


def test_a_named_pipe_outlives_its_writers(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    made = source(kind="jsonl", path=str(path), follow=True)
    made.open(None)
    assert made.read(10, 0.01).arrivals == []
    for i in range(3):
        with path.open("w") as file:
            file.write(f"[{i}, 0]\n")
        batch = made.read(10, 1.0)
        assert [a.values for a in batch.arrivals] == [[float(i), 0.0]]
        assert batch.position is None
    made.close()


def test_the_standard_input(monkeypatch):
    read, write = os.pipe()
    os.write(write, b"[1, 2]\n[3, 4]")
    os.close(write)
    with io.TextIOWrapper(os.fdopen(read, "rb")) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        arrivals, position = all_of(source(kind="jsonl", path="-"))
    assert [a.values for a in arrivals] == [[1.0, 2.0], [3.0, 4.0]]
    assert position is None


def test_a_damaged_compressed_file_ends_with_one_problem(tmp_path):
    path = tmp_path / "a.csv.gz"
    packed = gzip.compress(os.urandom(9000).hex().encode() + b"\n1,2\n")
    path.write_bytes(packed[:-2000])
    arrivals, _ = all_of(source(kind="csv", path=str(path)))
    assert [a.problem for a in arrivals if "readable to its end" in a.problem]


def test_a_missing_file_is_named_with_its_table(tmp_path):
    made = source(kind="csv", path=str(tmp_path / "none.csv"))
    with pytest.raises(SourceError, match=r"serve.toml, \[\[source\]\] 1, path: expected a file"):
        made.open(None)
