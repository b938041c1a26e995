"""Hostile readings through a whole service: one message each, and no effect on other streams."""

from __future__ import annotations

import json
import math
import random
import resource

import pytest

import edgernn
from edgernn.service.config.reading import read_config
from edgernn.service.running import run_service
from tests.support.services import DEMO, demo_arrivals

pytestmark = pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning")
#: What a file of JSON lines may hold instead of a reading.
HOSTILE = (
    b"", b"   ", b"{", b'{"key": "bad", "co2_change": 1.0', b"[]", b"null", b"[[[[[[",
    b"\x00\xff\xfe\x01" * 40, b'"text"', b'{"key": "bad", "co2_change": NaN}',
    b'{"key": "bad", "co2_change": Infinity}', b'{"key": "bad", "co2_change": "warm"}',
    b'{"key": "bad", "co2_change": 1e999}', b'{"key": "bad", "co2_change": ' + b"9" * 5000 + b"}",
    b'{"key": "bad", "other": 1.0}', b'{"key": "", "co2_change": 1.0}', b'{"co2_change": 1.0}',
    b'{"key": ["k0"], "co2_change": 1.0}', b'{"key": "k0\\u0000", "co2_change": 1.0}',
    b'{"key": "\\ud800", "co2_change": 1.0}', b'{"key": "bad", "seq": -5, "co2_change": 1.0}',
    b'{"key": "bad", "seq": 1e300, "co2_change": 1.0}',
    b'{"key": "bad", "seq": 99999999999999999999999, "co2_change": 1.0}',
    b'{"key": "bad", "seq": "many", "co2_change": 1.0}',
    b'{"key": "bad", "time": "2025-02-30T00:00:00Z", "co2_change": 1.0}',
    b'{"key": "bad", "time": -1e30, "co2_change": 1.0}',
    b'{"key": "bad", "time": "2026-01-01T00:00:00Z", "co2_change": 1.0}',
    b'{"key": "bad", "time": "2025-01-01T00:00:00Z", "co2_change": 1.0}',  # a year back
    b'{"key": "bad", "co2_change": ' + b"[" * 2000 + b"}",
    b'{"key": "' + b"x" * 3000 + b'", "co2_change": 1.0}',
    b"a,b,c\n1,2,3", b'{"key": "bad", "co2_change": {"co2_change": 1}}',
)  # fmt: skip


def wanted(arrivals):
    with edgernn.load(DEMO, on_bad_reading="hold") as first:
        sessions, rows = {}, {}
        for arrival in arrivals:
            session = sessions.setdefault(arrival.key, first.new_stream())
            y = float(session.step(arrival.values)[0])
            rows[arrival.key, arrival.sequence] = None if math.isnan(y) else y
    return rows


def served(folder, text=""):
    (folder / "serve.toml").write_text(
        f'[model]\npath = "demo"\n[http]\nlisten = ""\n[store]\npath = "{folder}/s.db"\n{text}'
        f'[[source]]\nkind = "jsonl"\npath = "{folder}/in.jsonl"\n'
        f'[[sink]]\nkind = "jsonl"\npath = "{folder}/out.jsonl"\n'
    )
    services = []
    run_service(
        read_config(folder / "serve.toml"), started=lambda service, url: services.append(service)
    )
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    return services[0], rows


def line_of(arrival):
    value = arrival.values[0]
    row = {"key": arrival.key, "seq": arrival.sequence}
    row["co2_change"] = None if math.isnan(value) else value
    return json.dumps(row).encode()


@pytest.mark.parametrize("seed", range(3))
def test_hostile_lines_do_not_touch_other_streams(tmp_path, capsys, seed):
    rng = random.Random(seed)
    good = demo_arrivals(300, keys=4)
    with (tmp_path / "in.jsonl").open("wb") as file:
        for arrival in good:
            for _ in range(rng.randrange(3)):
                line = rng.choice(HOSTILE)
                if rng.random() < 0.3:
                    cut = rng.randrange(len(line) + 1)
                    line = line[:cut].replace(b"k0", b"zz")
                file.write(line + b"\n")
            file.write(line_of(arrival) + b"\n")
    service, rows = served(tmp_path)
    found = {
        (row["key"], row["sequence"]): row["co2_change_in_13_weeks"]
        for row in rows
        if row["key"] in ("k0", "k1", "k2", "k3")
    }
    assert found == wanted(good)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "Stopped: everything is saved" in said
    assert service.pipeline.counts["unreadable"] > 30
    assert len(said.splitlines()) < 120  # said once for each kind, then counted
    assert all(len(line) < 1000 for line in said.splitlines())


def test_every_hostile_line_alone_is_survived_and_said(tmp_path, capsys):
    good = demo_arrivals(8, keys=1)
    for number, line in enumerate(HOSTILE):
        folder = tmp_path / str(number)
        folder.mkdir()
        lines = [*map(line_of, good[:4]), line, *map(line_of, good[4:])]
        (folder / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        _, rows = served(folder)
        found = [row["co2_change_in_13_weeks"] for row in rows if row["key"] == "k0"]
        assert found == list(wanted(good).values()), line[:60]
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert said.count("level=warning") <= 2
        assert said.count("level=error") == 0


@pytest.mark.slow
def test_lines_of_ten_megabytes_are_dropped_in_bounded_memory(tmp_path, capsys):
    good = demo_arrivals(20, keys=2)
    with (tmp_path / "in.jsonl").open("wb") as file:
        for arrival in good:
            file.write(b'{"key": "bad", "co2_change": "' + b"x" * 10_000_000 + b'"}\n')
            file.write(line_of(arrival) + b"\n")
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, rows = served(tmp_path)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 60_000
    found = {(row["key"], row["sequence"]): row["co2_change_in_13_weeks"] for row in rows}
    assert found == wanted(good)
    assert "expected a line of at most 1048576 bytes" in capsys.readouterr().err
