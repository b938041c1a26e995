"""Services that are killed with all they have at once: processes, eviction, preparation, posts."""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import edgernn
from edgernn.model.integer_model import IntegerModel
from edgernn.store.state_store import StateStore
from tests.support.prepared_streams import TABLES, json_line, raw
from tests.support.services import (
    DEMO,
    Command,
    ListSink,
    ListSource,
    configured,
    demo_arrivals,
    eventually,
    over,
)

pytestmark = pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning")
OUTPUT = "co2_change_in_13_weeks"


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid):
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def killed_while_reading(folder, lines, kills, rng):
    """Feed a service from a growing file and kill it; the last one ends with the file."""
    file = folder / "in.jsonl"
    file.touch()
    share = math.ceil(len(lines) / kills)
    for first in range(0, len(lines), share):
        with Command(folder, "s.toml") as service:
            service.state()
            for start in range(first, min(first + share, len(lines)), 20):
                with file.open("a", encoding="utf-8") as end:
                    end.writelines(lines[start : min(start + 20, first + share)])
                time.sleep(rng.uniform(0.0, 0.02))
            time.sleep(rng.uniform(0.0, 0.2))
            workers = children(service.process.pid)
            service.process.kill()
            service.process.wait(30)
            eventually(lambda pids=workers: not any(map(lives, pids)))
    config = folder / "s.toml"
    config.write_text(config.read_text().replace("follow = true", "follow = false"))
    with Command(folder, "s.toml", listen=False) as service:
        assert service.process.wait(120) == 0, service.log.read_text()
    assert "Traceback" not in service.log.read_text()


def kill_prepared_streams(folder, kills, readings, keys=12, workers=2):
    """Readings with gaps, several processes, room for half of the streams."""
    rng = random.Random(kills)
    sent = list(raw(rng, readings, keys))
    (folder / "s.toml").write_text(
        '[model]\npath = "demo"\n[store]\npath = "s.db"\ncommit_readings = 30\ncommit_s = 0.05\n'
        f"[streams]\ncapacity = {keys // 2}\n[service]\nworkers = {workers}\n{TABLES}"
        '[[source]]\nkind = "jsonl"\npath = "in.jsonl"\nfollow = true\n'
        '[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n'
    )
    lines = [json_line(arrival, "level") for arrival in sent]
    killed_while_reading(folder, lines, kills, rng)
    return sent


def check_prepared_streams(folder, sent):
    """Results and saved streams are those of one process that nobody kills, bit for bit."""
    whole = folder / "whole"
    whole.mkdir()
    config = configured(whole, f'{TABLES}\n[store]\npath = "{whole}/s.db"\n')
    sink = ListSink()
    over(config, ListSource(sent), sink).run()
    expected = {
        (r.key, r.sequence): (r.y[0] if r.y[0] == r.y[0] else None, r.decisions["high"])
        for r in sink.kept
    }
    found = {}
    for line in (folder / "out.jsonl").read_text().splitlines():
        row = json.loads(line)
        place, answer = (row["key"], row["sequence"]), (row[OUTPUT], row["high"])
        assert found.setdefault(place, answer) == answer, "a repeated result differs"
    assert found == expected
    sha = IntegerModel.load(DEMO).sha256
    with StateStore(folder / "s.db", sha) as store, StateStore(whole / "s.db", sha) as other:
        assert store.load() == other.load()


@pytest.mark.slow
def test_killed_processes_with_eviction_and_preparation_lose_nothing(tmp_path):
    check_prepared_streams(tmp_path, kill_prepared_streams(tmp_path, 2, 500))


@pytest.mark.long
def test_processes_killed_many_times_lose_nothing(tmp_path):
    check_prepared_streams(tmp_path, kill_prepared_streams(tmp_path, 20, 8000, 40, 3))


@pytest.fixture
def server():
    """Keeps what is posted, and is out of order now and then."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.count += 1
            fails = self.server.count % 9 == 4
            if not fails:
                self.server.bodies[self.path.partition("?")[0]].append(body)
            self.send_response(503 if fails else 204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies, server.count = {"/hook": [], "/write": []}, 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def kill_posting_service(folder, server, kills, readings):
    """Post every result to a webhook and to InfluxDB; what was sent."""
    url = f"http://127.0.0.1:{server.server_port}"
    (folder / "s.toml").write_text(
        '[model]\npath = "demo"\n[store]\npath = "s.db"\ncommit_readings = 30\ncommit_s = 0.05\n'
        '[[source]]\nkind = "jsonl"\npath = "in.jsonl"\nfollow = true\n'
        f'[[sink]]\nkind = "webhook"\nurl = "{url}/hook"\nwhen = "always"\nmax_results = 25\n'
        f'[[sink]]\nkind = "influx"\nurl = "{url}/write?bucket=b"\n'
    )
    sent = demo_arrivals(readings, keys=7)
    lines = [json_line(arrival, "co2_change") for arrival in sent]
    killed_while_reading(folder, lines, kills, random.Random(kills))
    return sent


def check_posts(server, sent):
    """Both servers have every result under its number, at least once, with one value each."""
    with edgernn.load(DEMO, on_bad_reading="hold") as first:
        sessions, expected = {}, {}
        for arrival in sent:
            session = sessions.setdefault(arrival.key, first.new_stream())
            y = float(session.step(arrival.values)[0])
            expected[arrival.key, arrival.sequence] = None if y != y else y
    hooked = [row for body in server.bodies["/hook"] for row in json.loads(body)["results"]]
    found = [((row["key"], row["sequence"]), row[OUTPUT]) for row in hooked]
    posts = {"/hook": found, "/write": []}
    for line in "".join(server.bodies["/write"]).splitlines():
        key, fields = re.fullmatch(r"edgernn,key=(\w+),model=\S+ (\S+) \d+", line).groups()
        values = dict(pair.split("=") for pair in fields.split(","))
        y = float(values[OUTPUT]) if OUTPUT in values else None
        posts["/write"].append(((key, int(values["sequence"][:-1])), y))
    for found in posts.values():
        answers = {}
        for place, y in found:
            assert answers.setdefault(place, y) == y, "a repeated result differs"
        assert answers == expected
        order = {}  # of the first delivery of each result of a stream
        for (key, number), _ in found:
            assert number <= order.get(key, 0) + 1, "a result is delivered before an earlier one"
            order[key] = max(number, order.get(key, 0))
    return sum(map(len, posts.values())) - 2 * len(expected)


@pytest.mark.slow
def test_posts_of_a_killed_service_arrive_at_least_once(tmp_path, server):
    check_posts(server, kill_posting_service(tmp_path, server, 2, 300))


@pytest.mark.long
def test_posts_of_a_service_killed_many_times_arrive(tmp_path, server, capsys):
    sent = kill_posting_service(tmp_path, server, 20, 5000)
    twice = check_posts(server, sent)
    with capsys.disabled():
        print(f"\n{len(sent)} results to two servers over 20 kills, {twice} posted again")
