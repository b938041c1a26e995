"""Sensors over a real broker: restarts of broker and service lose and double nothing."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import subprocess
import sys
import time

import pytest

import edgernn
from tests.support.broker import Broker
from tests.support.mqtt_publisher import value
from tests.support.services import DEMO, PATHS, Command, eventually

#: What a device may send in the place of a reading, and a part of what the log says to it.
HOSTILE = (
    (b"", "got an empty payload"),
    (b"x" * 2_000_000, "expected a payload of at most 1048576 bytes, got 2000000 bytes"),
    (b'{"seq": 1, "co2_change": 0.', "expected a JSON value, got"),
    (b"\x00\xff\xfe\x01" * 40, "expected a JSON value, got"),
    (b'{"note": "\xe4\xf6", "co2_change": 0.5}', "expected a JSON value, got"),
    (b"[" * 100_000, "expected a JSON value, got"),
    (b'{"co2_change": ' + b"9" * 5000 + b"}", "expected a JSON value, got"),
    (b'{"co2_change": NaN}', "expected a number for 'co2_change', got nan"),
    (b'{"co2_change": -1e999}', "expected a number for 'co2_change', got -inf"),
    (b'{"co2_change": "warm"}', "expected a number for 'co2_change', got 'warm'"),
    (b'{"co2_change": true}', "expected a number for 'co2_change', got True"),
    (b'{"co2_change": [0.5]}', "expected a number for 'co2_change', got [0.5]"),
    (b'{"co2_change": {"co2_change": 1}}', "expected a number for 'co2_change', got {"),
    (b'{"other": 1.0}', "expected the fields co2_change, got a reading without"),
    (b"[1.0, 2.0, 3.0]", "expected 1 values (co2_change), got 3"),
    (b"[[[[1.0]]]]", "expected a number for 'co2_change', got [[1.0]]"),
    (b'"text"', "expected a number for 'co2_change', got 'text'"),
    (b"null", "expected a number for 'co2_change', got null"),
    (b'{"seq": "many", "co2_change": 0.5}', "expected the number of the reading, got 'many'"),
    (b'{"time": [], "co2_change": 0.5}', "expected a time, got []"),
    (b'{"readings": [{"co2_change": null}, 0.7, "x"]}', "expected a number for 'co2_change', got"),
)
#: Fields beside a reading that is right: the reading counts, whatever they are.
STRANGE_FIELDS = (
    b'"note": "\\ud800"', b'"note": "a\\u0000b"', b'"\\udfff": 1', b'"truth": ' + b"9" * 400,
    b'"truth": "' + b"x" * 500_000 + b'"', b'"note": [NaN, {"a": Infinity}]', b'"truth": -1e999',
    b'"note": ' + b"[" * 800 + b"]" * 800, b'"truth": {"a": {"b": ["\\ud800"]}}',
)  # fmt: skip


def count_lines(file):
    return file.read_bytes().count(b"\n") if file.exists() else 0


def run(folder, sensors, readings, per_second, *arguments):
    """Sensors, broker and service; both are restarted twice, the service by kill -9.

    Returns:
        The lines that the service wrote, and how long it took.
    """
    broker = Broker(folder / "broker", "allow_anonymous true", "log_type subscribe")
    out, total = folder / "out.jsonl", sensors * readings
    (folder / "serve.toml").write_text(
        f'[model]\npath = "{DEMO}"\n[store]\npath = "s.db"\n'
        '[[source]]\nkind = "mqtt"\nhost = "127.0.0.1"\n'
        f'port = {broker.port}\ntopic = "plant/{{key}}/readings"\nclient_id = "service"\n'
        '[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n'
    )
    began_s = time.monotonic()
    service = Command(folder, "serve.toml", *arguments).start()
    try:
        # The session exists before the first reading is sent.
        eventually(lambda: _subscriptions(broker) > 0)
        sensors_process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.support.mqtt_publisher",
                *map(str, (broker.port, sensors, readings, per_second)),
            ],
            env=os.environ | {"PYTHONPATH": PATHS}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for share, what in ((0.2, "broker"), (0.35, "service"), (0.5, "broker"), (0.7, "service")):
            assert sensors_process.poll() in (None, 0)
            _wait_lines(out, share * total, service)
            if what == "broker":
                broker.stop()
                time.sleep(0.3)
                broker.start()
            else:
                service.process.kill()
                service.process.wait(30)
                subscribed = _subscriptions(broker)
                service.start()
        assert "all sent" in sensors_process.communicate(timeout=900)[0]
        assert sensors_process.returncode == 0
        _wait_results(out, total, service)
        took_s = time.monotonic() - began_s
        # Results may have been complete before the last start: a process that has not yet begun
        # to listen for signals is ended by one.
        eventually(lambda: _subscriptions(broker) > subscribed, 60.0)
        assert service.stop() == 0
    finally:
        with service:
            pass
        broker.stop()
    return out.read_text().splitlines(), took_s


def _subscriptions(broker):
    return (broker.folder / "mosquitto.log").read_text().count("plant/+/readings")


def _wait_lines(file, count, service, timeout_s=300):
    until_s = time.monotonic() + timeout_s
    while count_lines(file) < count:
        assert service.process.poll() is None, service.log.read_text()
        assert time.monotonic() < until_s, f"{count_lines(file)} of {count} lines"
        time.sleep(0.02)


def _wait_results(file, total, service):
    """Wait until every result is there; a restart may have written some twice."""
    until_s = time.monotonic() + 600
    while True:
        _wait_lines(file, total, service)
        whole, _, _ = file.read_text().rpartition("\n")  # the last line may be half written
        found = len(_places(whole.splitlines()))
        if found >= total:
            return
        assert time.monotonic() < until_s, f"{found} of {total} results"
        time.sleep(0.5)


def _places(lines):
    found = {}
    for line in lines:
        row = json.loads(line)
        place, y = (row["key"], row["sequence"]), row["co2_change_in_13_weeks"]
        assert found.setdefault(place, y) == y, f"a repeated result of {place} differs"
    return found


def check(lines, sensors, readings):
    """Every reading of every sensor is answered, with the bits of an uninterrupted run."""
    found = _places(lines)
    with edgernn.load(DEMO, on_bad_reading="hold") as first:
        for sensor in range(sensors):
            session = first.new_stream()
            for number in range(1, readings + 1):
                x = value(sensor, number)
                y = float(session.step([float("nan") if x is None else x])[0])
                assert found.pop((f"s{sensor}", number)) == (None if y != y else y)
    assert found == {}


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["jsonl", "sqlite"])
def test_a_running_service_survives_what_devices_send(tmp_path, sink):
    """Every hostile payload is told, and touches no other stream; retained ones are not read."""
    import paho.mqtt.client as mqtt

    broker = Broker(tmp_path / "broker", "allow_anonymous true", "log_type subscribe")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("plant/before/readings", '{"co2_change": 1}', 1, retain=True).wait_for_publish()
    (tmp_path / "serve.toml").write_text(
        f'[model]\npath = "demo"\n[store]\npath = "s.db"\n[http]\ntruth = "truth"\n'
        f'[[source]]\nkind = "mqtt"\nport = {broker.port}\ntopic = "plant/{{key}}/readings"\n'
        f'client_id = "service"\n[[sink]]\nkind = "{sink}"\npath = "out"\n'
    )
    good = []
    with Command(tmp_path, "serve.toml") as service:
        eventually(lambda: "plant/+/readings" in (broker.folder / "mosquitto.log").read_text())
        for number, (payload, _) in enumerate(HOSTILE):
            client.publish(f"plant/bad{number}/readings", payload, qos=1)
            client.publish("plant//readings", b"1.0", qos=1)
            good.append(0.1 * number - 1)
            client.publish("plant/good/readings", json.dumps({"co2_change": good[-1]}), qos=1)
        for number, field in enumerate(STRANGE_FIELDS):
            good.append(0.2 * number - 1)
            payload = f'{{"co2_change": {good[-1]!r}, '.encode() + field + b"}"
            client.publish("plant/good/readings", payload, qos=1)
        good.append(0.5)
        client.publish("plant/good/readings", b'{"co2_change": 0.5, "last": 1}', qos=1)
        service.wait_for(lambda state: _readings(state, "good") == len(good), 30)
        counts = dict(
            line.split() for line in service.get("/metrics")[1].splitlines() if line[0] != "#"
        )
        assert json.loads(service.get("/healthz")[1])["status"] == "ok"
        assert service.stop() == 0
    client.disconnect()
    client.loop_stop()
    broker.stop()
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "level=error" not in log
    for number, (payload, said) in enumerate(HOSTILE):
        lines = [line for line in log.splitlines() if f"'bad{number}'" in line]
        assert len(lines) == 1, (payload[:40], lines)
        assert said in lines[0].replace('\\"', '"')
        assert len(lines[0]) < 500
    assert "expected a topic with a level that names the stream, got 'plant//readings'" in log
    assert float(counts["edgernn_unreadable_total"]) >= len(HOSTILE)
    rows = _written(tmp_path / "out", sink)
    assert "before" not in {key for key, _, _ in rows}
    with edgernn.load(DEMO) as session:
        expected = [float(session.step([x])[0]) for x in good]
    assert [y for key, _, y in rows if key == "good"] == [
        None if math.isnan(y) else y for y in expected
    ]


def _readings(state, key):
    return sum(one["readings"] for one in state["streams"] if one["key"] == key)


def _written(file, sink):
    """Key, number and output of every result, from what must be strict JSON."""
    if sink == "jsonl":
        lines = file.read_text().splitlines()
        rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
        return [(row["key"], row["sequence"], row["co2_change_in_13_weeks"]) for row in rows]
    with contextlib.closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT key, sequence, outputs, passed FROM results").fetchall()
    for row in found:
        json.loads(row[3], parse_constant=pytest.fail)
    return [(key, n, *json.loads(outputs).values()) for key, n, outputs, _ in found]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning")
def test_few_sensors_over_restarts(tmp_path):
    lines, _ = run(tmp_path, 20, 100, 1000)
    check(lines, 20, 100)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning")
def test_many_sensors_over_restarts(tmp_path, capsys):
    lines, took_s = run(tmp_path, 200, 1000, 5000)
    check(lines, 200, 1000)
    with capsys.disabled():
        print(f"\n200,000 readings in {took_s:.0f} s, {len(lines) - 200_000} lines came twice")
