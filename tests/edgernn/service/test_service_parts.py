"""Parts of a service by themselves: systemd, log lines, figures, queue, example."""

from __future__ import annotations

import dataclasses
import gc
import json
import logging
import math
import os
import socket
import threading
import tomllib
import urllib.request
import weakref

import pytest

from edgernn.connections.arrival import Arrival, ArrivalBatch, Result
from edgernn.connections.registry import make_sink
from edgernn.service.config.example import example_config, settings_tables
from edgernn.service.config.reading import read_config
from edgernn.service.figures import LATENCY_BOUNDS_S, Figures, Latencies
from edgernn.service.intake import ReadingQueue, Taken
from edgernn.service.process.logs import LineFormatter, set_up_logs, take_down_logs
from edgernn.service.process.notify import Notifier
from edgernn.service.web.server import LiveServer
from edgernn.service.workers import shard_of
from tests.support.models.integer import random_model
from tests.support.services import ListSink, ListSource, configured, eventually, over

pytestmark = pytest.mark.device


@pytest.fixture
def manager(tmp_path):
    """A socket where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def test_systemd_hears_what_happens(manager, tmp_path):
    now = [0.0]
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
    notifier = Notifier(environment, clock=lambda: now[0])
    assert notifier.watchdog_s == 3.0
    notifier.ready()
    notifier.status("12 results\n3 streams")
    notifier.status("12 results\n3 streams")  # too early to be sent
    for now[0] in (10.0, 10.5, 11.0, 11.9, 12.0):
        notifier.alive()
    notifier.reloading()
    notifier.stopping()
    heard = [manager.recv(200).decode() for _ in range(7)]
    assert heard[:2] == ["READY=1", "STATUS=12 results 3 streams"]
    assert heard[2:5] == ["WATCHDOG=1"] * 3
    assert heard[5].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert heard[6] == "STOPPING=1"


def test_nothing_happens_without_systemd(tmp_path):
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1"}):
        notifier = Notifier(environment)
        notifier.ready()
        notifier.alive()
    other = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert Notifier(other).watchdog_s == 0.0


def line(form, **options):
    record = logging.LogRecord(
        "edgernn.service", logging.WARNING, "", 0, "a %s", ('"quoted" = sign',), None
    )
    record.fields = {"key": "pump 3", "count": 3, "share": 0.25, "empty": ""}
    return LineFormatter(form, **options).format(record)


def test_log_lines_can_be_parsed():
    text = line("logfmt")
    assert text.endswith(
        'level=warning of=service message="a \\"quoted\\" = sign" '
        'key="pump 3" count=3 share=0.25 empty=""'
    )
    assert text.startswith("time=20")
    found = json.loads(line("json"))
    assert found["message"] == 'a "quoted" = sign'
    assert (found["key"], found["count"]) == ("pump 3", 3)


def test_journald_gets_priorities_and_no_second_time(capsys):
    assert line("logfmt", priorities=True, stamped=False).startswith("<4>level=warning")
    handler = set_up_logs("auto", "warning", environment={"JOURNAL_STREAM": "8:1"})
    try:
        logging.getLogger("edgernn.sources.mqtt").info("not said")
        logging.getLogger("edgernn.sources.mqtt").error("two\nlines")
    finally:
        take_down_logs(handler)
    assert capsys.readouterr().err == '<3>level=error of=sources.mqtt message="two\\nlines"\n'


def result(key, y, *, x=0.0, decisions=None, passed=None, bad=False, time_s=0.0):
    return Result(key, time_s, 1, [x], [y], {"y": y}, decisions or {}, passed or {}, bad)


def figures(**options):
    return Figures(random_model("lstm", inputs=1, outputs=1).interface(), **options)


def test_predictions_are_compared_with_the_truth_that_comes_later():
    shown = figures(truth="level", truth_after=2)
    truths = [10.0, 11.0, 12.0, 13.0, "broken"]
    shown.add([result("a", float(n), passed={"level": t}) for n, t in enumerate(truths)])
    found = shown.history("a")
    assert found["predicted"][2:] == (0.0, 1.0, 2.0)
    assert all(map(math.isnan, found["predicted"][:2]))
    assert found["mean_error"] == pytest.approx(12.0)  # 12 - 0 and 13 - 1
    assert shown.history("b") is None


def test_alarms_are_told_when_they_begin_and_end():
    shown = figures()
    for on in (False, True, True, False, True):
        shown.add([result("a", 0.0, decisions={"high": on, "score": 2.5})])
    assert [event["text"] for event in shown.events] == ["high begins", "high ends", "high begins"]
    assert (shown.counts["alarms"], shown.alarms_on) == (2, 1)
    assert shown.overview()[0]["alarm"] is True


def test_what_is_kept_of_many_streams_is_bounded():
    shown = figures(history=10, max_keys=5)
    for n in range(200):
        shown.add([result(f"k{n % 20}", float(n))])
    assert len(shown.streams) == 5
    assert all(len(track.points) <= 10 for track in shown.streams.values())
    assert shown.steps == 200


def test_fields_that_pass_through_are_not_kept():
    class Large:
        """Stands for a megabyte."""

    pytest.importorskip("prometheus_client")
    large = Large()
    seen = weakref.ref(large)
    shown, errors = figures(), []
    sink = make_sink({"kind": "prometheus"}, "serve.toml", errors)
    assert errors == []
    sink.open(shown.interface)
    for one in (shown.add, sink.write):
        one([result("a", 1.0, passed={"picture": large})])
    del large
    gc.collect()
    assert seen() is None
    assert shown.overview()[0]["y"] == {shown.output_names[0]: 1.0}
    sink.close()


def test_outputs_at_the_end_of_their_range_are_counted():
    shown = figures()
    full = 32_767 * float(shown.interface.output.scale[0])
    shown.add([result("a", y) for y in (full, -full, full / 2, math.nan)])
    assert shown.saturated == [2]


def test_latencies_are_counted_in_buckets():
    found = Latencies()
    found.add(0.0004, 98)
    found.add(0.9, 2)
    assert 0.0004 <= found.quantile_s(0.5) <= 0.00064
    assert 0.9 <= found.quantile_s(0.99) <= 1.0
    assert found.sum_s == pytest.approx(98 * 0.0004 + 1.8)
    assert len(found.counts) == len(LATENCY_BOUNDS_S) + 1
    assert math.isnan(Latencies().quantile_s(0.5))


def taken(count):
    return Taken(0, ArrivalBatch([Arrival("a", [0.0])] * count), 0.0, 0.0)


def test_a_full_queue_lets_sources_wait():
    queue = ReadingQueue(10)
    assert queue.put(taken(25))  # one batch fits in any case
    done = []
    thread = threading.Thread(target=lambda: done.append(queue.put(taken(1))))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert [len(one.batch.arrivals) for one in queue.take(5, 1.0)] == [25]
    thread.join(5)
    assert done == [True]
    queue.close()
    assert not queue.put(taken(1))
    assert len(queue.take(5, 0.0)) == 1
    assert queue.take(5, 0.0) == []


def test_a_key_has_the_same_process_everywhere():
    assert [shard_of(key, 4) for key in ("pump-1", "pump-2", "Ü", "\ud800")] == [2, 0, 1, 0]
    counts = [0] * 4
    for n in range(4000):
        counts[shard_of(f"sensor-{n}", 4)] += 1
    assert min(counts) > 900


def test_the_example_is_a_configuration_with_every_setting(tmp_path):
    text = example_config("my.toml")
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    config = read_config(tmp_path / "my.toml")
    assert config.model.path == "demo"
    assert config.sources[0]["kind"] == "demo"
    lines = [
        entry.removeprefix("# ") for entry in text.splitlines()
        if " = " in entry and not entry.endswith("...")
    ]  # fmt: skip
    for title, about, rows in settings_tables():
        assert about.endswith(".")
        assert title.strip("[]") in text
        for name, default, meaning in rows:
            assert meaning
            assert default == "none" or any(entry.startswith(f"{name} = ") for entry in lines)
    with_all = "\n".join(
        entry.removeprefix("# ") if " = " in entry and entry.count(":") == 0 else entry
        for entry in text.splitlines()
        if not entry.endswith("...")
    )
    tomllib.loads(with_all)  # the commented settings are valid, too


def test_connections_that_say_nothing_take_a_bounded_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("edgernn.service.web.server._MOST_CONNECTIONS", 3)
    config = configured(tmp_path)
    http = dataclasses.replace(config.http, listen="127.0.0.1:0")
    service = over(dataclasses.replace(config, http=http), ListSource([]), ListSink())

    def answering():
        return sum("process_request" in thread.name for thread in threading.enumerate())

    server = LiveServer(service)
    place = ("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2]))
    idle = [socket.create_connection(place) for _ in range(3)]
    eventually(lambda: answering() == 3)
    with socket.create_connection(place) as one:
        assert one.recv(1) == b""
    assert answering() == 3
    for connection in idle:
        connection.close()
    eventually(lambda: answering() == 0)
    with urllib.request.urlopen(f"{server.url}healthz") as answer:
        assert answer.status == 200
    server.close()
    service.pipeline.close()
