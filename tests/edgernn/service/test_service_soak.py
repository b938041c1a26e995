"""A day of readings, replayed as fast as it goes, does not grow the memory of a service."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.services import Command

DAY_S, STREAMS = 86_400, 3


def memory_kb(pid):
    """Resident memory of a process; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmRSS"].split()[0]) if "VmRSS" in lines else 0


@pytest.mark.long
def test_memory_stays_flat_over_a_day_of_readings(tmp_path, capsys):
    (tmp_path / "serve.toml").write_text(
        '[model]\npath = "demo"\n[store]\npath = "s.db"\n[http]\ntruth = "change_over_13_weeks"\n'
        'truth_after = 13\n[[decision]]\nkind = "threshold"\nname = "rising"\n'
        'of = "co2_change_in_13_weeks"\non = 3.0\noff = 2.0\n'
        f'[[source]]\nkind = "demo"\nstreams = {STREAMS}\nrate_hz = 0\nreadings = {DAY_S}\n'
        '[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n'
    )
    sizes = []
    with Command(tmp_path, "serve.toml") as service:
        service.state()
        while service.process.poll() is None:
            try:
                state = json.loads(service.get("/api/state")[1])
            except (AssertionError, OSError):
                break
            sizes.append((state["results"], memory_kb(service.process.pid)))
            time.sleep(0.2)
        assert service.process.wait(60) == 0
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == DAY_S * STREAMS
    early = max(kb for results, kb in sizes if results <= 0.2 * DAY_S * STREAMS)
    late = [kb for results, kb in sizes if results >= 0.5 * DAY_S * STREAMS and kb]
    with capsys.disabled():
        print(f"\n{DAY_S * STREAMS} readings: {early} kB, later up to {max(late)} kB")
    assert max(late) < 1.03 * early + 1000
