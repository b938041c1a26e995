"""Hostile lines and payloads: one clear problem each, the source lives, other keys go on."""

import json
import logging
import math
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.connections.arrival import EndOfSource
from edgernn.connections.registry import make_source
from edgernn.connections.troubles import Troubles
from tests.support.broker import Broker

CHANNELS = ("temp", "hum")
NUMBER = "expected a number for 'temp', got "
TIME = "expected a time from 1970 to 9999, got "
SEQUENCE = "expected the number of the reading, got "
#: A line, what is wrong with it, and whether the stream misses a reading (its key is readable).
JSON = [
    (b'{"key":"x","temp":NaN,"hum":1}', "expected a number for 'temp', got nan", True),
    (b'{"key":"x","temp":1,"hum":-Infinity}', "expected a number for 'hum', got -inf", True),
    (b'{"key":"x","temp":"warm","hum":1}', "expected a number for 'temp', got 'warm'", True),
    (b'{"key":"x","temp":null,"hum":1}', "expected a number for 'temp', got null", True),
    (b'{"key":"x","temp":true,"hum":1}', "expected a number for 'temp', got True", True),
    (b'{"key":"x","temp":[1],"hum":1}', "expected a number for 'temp', got [1]", True),
    (b'{"key":"x","temp":1e999,"hum":1}', "expected a number for 'temp', got inf", True),
    (b'{"key":"x","temp":' + b"9" * 400 + b',"hum":1}', NUMBER + "9999", True),
    (b'{"key":"x","temp":' + b"9" * 9999 + b',"hum":1}', "expected a JSON value, got", False),
    (b'{"key":"x","temp":1}', "expected the fields temp, hum, got a reading without hum", True),
    (b'{"key":"x","t":1}', "expected the fields temp, hum, got a reading without temp, hum", True),
    (b'{"key":"x","temp":1,"hum":', "expected a JSON value, got b'{\"key", False),
    (b"[" * 100_000, "expected a JSON value, got b'[[[", False),
    (b"[1, 2, 3]", "expected 2 values (temp, hum), got 3", True),
    (b"[]", "expected 2 values (temp, hum), got 0", True),
    (b"{}", "expected the fields temp, hum, got a reading without temp, hum (it has none)", True),
    (b'"text"', "expected 2 values (temp, hum), got 1", True),
    (b"\xff\xfe\x00\x01\x80", "expected a JSON value, got b'\\xff", False),
    (b'{"key":"","temp":1,"hum":1}', "expected a key of 1 to 200 printable", False),
    (b'{"key":"a\\u0000b","temp":1,"hum":1}', "expected a key of 1 to 200 printable", False),
    (b'{"key":["x"],"temp":1,"hum":1}', "expected a key of 1 to 200 printable", False),
    (b'{"key":"x","time":"soon","temp":1,"hum":1}', "expected a time as ISO 8601 or", False),
    (b'{"key":"x","time":-5,"temp":1,"hum":1}', TIME + "-5", False),
    (b'{"key":"x","time":1e300,"temp":1,"hum":1}', TIME + "1e+300", False),
    (b'{"key":"x","time":NaN,"temp":1,"hum":1}', TIME + "nan", False),
    (b'{"key":"x","time":{},"temp":1,"hum":1}', "expected a time, got {}", False),
    (b'{"key":"x","seq":-1,"temp":1,"hum":1}', SEQUENCE + "-1", False),
    (b'{"key":"x","seq":1.5,"temp":1,"hum":1}', SEQUENCE + "1.5", False),
]  # fmt: skip
CSV = [
    (b"x,nan,1", "expected a number, got 'nan' (column 2 'temp')", True),
    (b"x,1,inf", "expected a number, got 'inf' (column 3 'hum')", True),
    (b"x,warm,1", "expected a number, got 'warm' (column 2 'temp')", True),
    (b"x,,1", "expected a number, got an empty cell (column 2 'temp')", True),
    (b"x,1e999,1", "expected a number, got '1e999' (column 2 'temp')", True),
    (b"x,1_000,1", "expected a number, got '1_000' (column 2 'temp')", True),
    (b"x,1", "expected 3 columns as in the header, got 2", False),
    (b"x,1,2,3", "expected 3 columns as in the header, got 4", False),
    (b'x,"1,2', "expected cells between delimiters, got an unclosed quote", False),
    (b"\xff\x00\xfe,1,2", "expected a key of 1 to 200 printable characters", False),
    (b"\x00" * 500, "expected 3 columns as in the header, got 1", False),
    (b",1,2", "", True),
]


def source(**table):
    errors = []
    made = make_source(table, "serve.toml, [[source]] 1", CHANNELS, errors)
    assert errors == []
    return made


def all_of(made):
    made.open(None)
    arrivals = []
    try:
        while True:
            arrivals += made.read(50, 0.0).arrivals
    except EndOfSource:
        made.close()
        return arrivals


def sound(arrivals):
    return [(a.key, a.values, a.passed) for a in arrivals if a.key == "good"]


@pytest.mark.parametrize(("line", "problem", "reading"), JSON)
def test_a_hostile_json_line_is_one_problem(tmp_path, line, problem, reading):
    good = b'{"key":"good","temp":1,"hum":2}'
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, line, good]))
    arrivals = all_of(source(kind="jsonl", path=str(tmp_path / "a.jsonl"), key="other"))
    (bad,) = [a for a in arrivals if a.key != "good"]
    assert bad.problem.startswith(problem) and len(bad.problem) < 600
    assert len(bad.values) == (2 if reading else 0)
    assert any(map(math.isnan, bad.values)) or not reading
    assert sound(arrivals) == 2 * [("good", [1.0, 2.0], {})]


@pytest.mark.parametrize(("line", "problem", "reading"), CSV)
def test_a_hostile_row_is_one_problem(tmp_path, line, problem, reading):
    (tmp_path / "a.csv").write_bytes(b"key,temp,hum\ngood,1,2\n" + line + b"\ngood,1,2\n")
    arrivals = all_of(source(kind="csv", path=str(tmp_path / "a.csv"), key="other"))
    (bad,) = [a for a in arrivals if a.key != "good"]
    assert bad.problem.startswith(problem) and len(bad.values) == (2 if reading else 0)
    assert sound(arrivals) == 2 * [("good", [1.0, 2.0], {})]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_lines_of_ten_megabytes_take_no_memory(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    good = {"csv": b"1,2\n", "jsonl": b"[1,2]\n"}[kind]
    with path.open("wb") as file:
        file.write(good)
        for _ in range(10):
            file.write(b"7" * 1_000_000)
        file.write(b"\n" + good)
    made = source(kind=kind, path=str(path), key="good", max_line_bytes=1 << 16)
    tracemalloc.start()
    arrivals = all_of(made)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [a.problem for a in arrivals if a.problem] == [
        "expected a line of at most 65536 bytes, got 10000000 bytes"
    ]
    assert len(sound(arrivals)) == 2 and peak < 2_000_000


def test_a_table_without_the_columns_is_refused_line_by_line(tmp_path):
    (tmp_path / "a.csv").write_text("time,pressure,hum\n1,2,3\n")
    arrivals = all_of(source(kind="csv", path=str(tmp_path / "a.csv")))
    assert {a.problem for a in arrivals} == {
        "expected a header with the columns temp, hum, got one without temp. The header has time, "
        'pressure, hum. Name the columns, as in columns = { temp = "name in the header" }'
    }
    assert all(a.values == [] for a in arrivals)


def test_a_clock_that_jumps_is_passed_on(tmp_path):
    lines = [f'{{"t": "{t}", "temp": 1, "hum": 2}}\n' for t in ("2026-05-01", "2025-05-01")]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    first, second = all_of(source(kind="jsonl", path=str(tmp_path / "a.jsonl")))
    assert first.time_s - second.time_s == 365 * 86_400 and second.problem == ""


ANY = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["key", "temp", "hum", "t", "seq", "readings"]), inner),
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
).map(lambda data: data.replace(b"\n", b" "))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "float32"])
@settings(max_examples=60, deadline=None)
@given(lines=st.lists(ANY, max_size=6))
def test_whatever_comes_is_a_reading_or_a_problem(kind, lines):
    table = {"kind": "mqtt", "payload": "float32", "topic": "x"} if kind == "float32" else {
        "kind": kind, "path": "-"}  # fmt: skip
    made, arrivals = source(**table), []
    for number, line in enumerate(lines):
        if kind == "float32":
            arrivals += made._payloads.arrivals(line, "key")
        elif line.strip():
            arrivals += made.of_line(line, number == 0)
    for a in arrivals:
        assert len(a.values) in (0, 2) and not any(map(math.isinf, a.values))
        assert a.problem or all(map(math.isfinite, a.values))
        assert a.values or a.problem
        assert a.key or not a.values
        assert a.time_s is None or math.isfinite(a.time_s)
        json.dumps(a.key).encode()


def test_hostile_payloads_leave_the_other_topics_alone(tmp_path):
    paho = pytest.importorskip("paho.mqtt.client")
    broker = Broker(tmp_path / "broker")
    made = source(kind="mqtt", port=broker.port, topic="s/{key}", client_id="hostile")
    made.open(None)
    while not made._connection:
        time.sleep(0.02)
    time.sleep(0.1)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    payloads = [line for line, _, _ in JSON if len(line) < 60_000] + [b"", b"7" * 10_000_000]
    for payload in payloads:
        client.publish("s/bad", payload, qos=1).wait_for_publish(20)
        client.publish("s/good", b"[1, 2]", qos=1).wait_for_publish(20)
    arrivals, end = [], time.monotonic() + 20
    while len(arrivals) < 2 * len(payloads) and time.monotonic() < end:
        batch = made.read(50, 0.05)
        made.acknowledge(batch)
        arrivals += batch.arrivals
    assert sound(arrivals) == len(payloads) * [("good", [1.0, 2.0], {})]
    bad = [a for a in arrivals if a.key == "bad"]
    assert len(bad) == len(payloads) and all(a.problem for a in bad if len(a.values) != 2)
    assert bad[-1].problem == "expected a payload of at most 1048576 bytes, got 10000000 bytes"
    assert bad[-2].problem == "expected a JSON value, got an empty payload"
    client.disconnect()
    client.loop_stop()
    made.close()
    broker.stop()


def test_a_problem_is_told_once_and_then_counted(caplog):
    troubles = Troubles(logging.getLogger("edgernn.sources.test"), "cellar")
    for i in range(1000):
        troubles.tell(f"expected a number, got {i}", "pump")
        troubles.tell(f"expected a number, got {i}", f"k{i % 2}")
    assert [record.getMessage() for record in caplog.records] == [
        "cellar, stream 'pump': expected a number, got 0",
        "cellar, stream 'k0': expected a number, got 0",
        "cellar, stream 'k1': expected a number, got 1",
        "cellar, stream 'pump': expected a number, got 9 (10 times so far)",
        "cellar, stream 'k0': expected a number, got 18 (10 times so far)",
        "cellar, stream 'k1': expected a number, got 19 (10 times so far)",
        "cellar, stream 'pump': expected a number, got 99 (100 times so far)",
        "cellar, stream 'k0': expected a number, got 198 (100 times so far)",
        "cellar, stream 'k1': expected a number, got 199 (100 times so far)",
        "cellar, stream 'pump': expected a number, got 999 (1000 times so far)",
    ]
    assert troubles.total == 2000
