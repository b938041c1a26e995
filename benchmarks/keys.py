"""What a stream of a pool costs, from one key to a million, and what it costs to save states.

    python -m benchmarks.keys                print the page
    python -m benchmarks.keys --out FILE     also write the figures, as JSON, and the plot

A GRU-32 with 8 inputs in `w8a8` on the native back-end. Every number of keys is measured in another
process, which prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import edgernn
from benchmarks.native.contenders import integer_model
from edgernn.bench.machine import processor
from edgernn.model.formats import Precision
from edgernn.store import StateStore

KEYS: Final = (1, 100, 10_000, 100_000, 1_000_000)
BATCHES: Final = (1, 100, 10_000)
#: Readings of one turn, by the size of the batch.
READINGS: Final = {1: 5_000, 100: 50_000, 10_000: 200_000}
ROUNDS: Final = 5
#: A session for every key takes too much memory for more.
MOST_SESSIONS: Final = 100_000
COMMITS: Final = (1, 100, 1_000)
STORED: Final = 20_000
PLOT: Final = Path(__file__).resolve().parents[1] / "docs" / "images" / "keys.png"
Turn = Callable[[], int]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures, as JSON")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker is not None:
        print(json.dumps(measure(args.worker)))
        return 0
    from benchmarks.pages.keys import page, plot
    from benchmarks.pages.markdown import store

    record = {
        "processor": processor(),
        "keys": [worker(count) for count in KEYS],
        "threads": threads(),
        "store": [stored(mode, size) for mode in ("normal", "full") for size in COMMITS],
    }
    if args.out:
        store(args.out, record)
        plot(record, PLOT)
    print(page(record), end="")
    return 0


def worker(count: int) -> dict[str, Any]:
    """The figures of this many keys, from a separate process."""
    command = [sys.executable, "-m", "benchmarks.keys", "--worker", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def measure(count: int) -> dict[str, Any]:
    """Memory, creation, and time per reading of each batch size and of sessions."""
    model = integer_model("GRU-32/8", Precision.W8A8)
    keys = [f"sensor/{i:07d}" for i in range(count)]
    xs = np.random.default_rng(0).uniform(-2.5, 2.5, (max(BATCHES), 8))
    found: dict[str, Any] = {"keys": count, "bytes": {}, "create_ns": {}}
    for name, limits in (("pool", {}), ("pool with capacity", {"capacity": count})):
        pool = edgernn.StreamPool(model, **limits)  # type: ignore[arg-type]
        before = resident_bytes()
        ns = [_pass_ns(pool, keys, xs) for _ in range(3)]
        found["create_ns"][name] = (ns[0] - min(ns[1:])) / count
        found["bytes"][name] = (resident_bytes() - before) / count
        if not limits:
            kept = pool
    turns: dict[str, Turn] = {f"pool {b}": _pool_turn(kept, keys, xs, b) for b in BATCHES}
    if count <= MOST_SESSIONS:
        first = edgernn.load(model)
        before = resident_bytes()
        sessions = {key: first.new_stream() for key in keys}
        turns["sessions"] = _session_turn(sessions, keys, xs)
        turns["sessions"]()
        found["bytes"]["sessions"] = (resident_bytes() - before) / count
    found["state_bytes"] = kept.interface.state_bytes
    found["ns"] = _interleaved(turns)
    found["latency_us"] = {
        str(b): _latencies(kept, keys, xs, b) for b in BATCHES if b < max(BATCHES)
    }
    return found


def _pass_ns(pool: edgernn.StreamPool, keys: list[str], xs: Any) -> int:
    """Nanoseconds of processor time of a reading for every key, in batches of 10,000."""
    begin = time.process_time_ns()
    for start in range(0, len(keys), len(xs)):
        some = keys[start : start + len(xs)]
        pool.step_many(some, xs[: len(some)])
    return time.process_time_ns() - begin


def _batches(keys: list[str], xs: Any, size: int) -> list[tuple[list[str], Any]]:
    """Batches of keys in random order, as many as a turn takes."""
    rng = random.Random(size)
    return [(rng.choices(keys, k=size), xs[:size]) for _ in range(READINGS[size] // size)]


def _pool_turn(pool: edgernn.StreamPool, keys: list[str], xs: Any, size: int) -> Turn:
    batches = _batches(keys, xs, size)

    def turn() -> int:
        for some, x in batches:
            pool.step_many(some, x)
        return READINGS[size]

    return turn


def _session_turn(sessions: dict[str, edgernn.Session], keys: list[str], xs: Any) -> Turn:
    chosen = random.Random(0).choices(keys, k=10_000)
    pairs = list(zip(chosen, xs, strict=True))

    def turn() -> int:
        for key, x in pairs:
            sessions[key].step(x)
        return len(pairs)

    return turn


def _interleaved(turns: dict[str, Turn]) -> dict[str, float]:
    """Nanoseconds of processor time per reading: the median of interleaved rounds."""
    ns: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS + 1):
        for name, turn in turns.items():
            begin = time.process_time_ns()
            readings = turn()
            ns[name].append((time.process_time_ns() - begin) / readings)
    return {name: float(np.median(values[1:])) for name, values in ns.items()}


def _latencies(pool: edgernn.StreamPool, keys: list[str], xs: Any, size: int) -> list[float]:
    """Microseconds from call to answer: half, and 99 of 100 calls, take no longer."""
    us = []
    for some, x in _batches(keys, xs, size) * (1 if size == 1 else 4):
        begin = time.perf_counter_ns()
        pool.step_many(some, x)
        us.append((time.perf_counter_ns() - begin) / 1e3)
    return [float(value) for value in np.percentile(us, (50, 99))]


def threads() -> dict[str, float]:
    """Readings per second of one pool, and of two in two threads at a time."""
    model = integer_model("GRU-32/8", Precision.W8A8)
    keys = [f"sensor/{i:07d}" for i in range(10_000)]
    xs = np.random.default_rng(0).uniform(-2.5, 2.5, (10_000, 8))
    turns = [_pool_turn(edgernn.StreamPool(model), keys, xs, 10_000) for _ in range(2)]
    rates: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(ROUNDS):
        for name, some in (("1", turns[:1]), ("2", turns)):
            workers = [threading.Thread(target=turn) for turn in some]
            begin = time.perf_counter()
            for one in workers:
                one.start()
            for one in workers:
                one.join()
            rates[name].append(len(some) * READINGS[10_000] / (time.perf_counter() - begin))
    return {name: float(np.median(values)) for name, values in rates.items()}


def stored(durable: Any, size: int) -> dict[str, Any]:
    """What commits of this many states cost, over 20,000 streams."""
    session = edgernn.load(integer_model("GRU-32/8", Precision.W8A8))
    session.step(np.zeros(8))
    blob = session.to_bytes()
    keys = [f"sensor/{i:07d}" for i in range(STORED)]
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with StateStore(Path(folder, "states"), "a" * 64, durable=durable) as store:
            store.commit(dict.fromkeys(keys, blob))
            commits = max(5, min(400, STORED // size))
            begin, cpu = time.perf_counter(), time.process_time()
            for n in range(commits):
                store.commit(dict.fromkeys(rng.sample(keys, size), blob), positions={"source": n})
            seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        states = commits * size
    return {
        "durable": durable, "size": size, "blob_bytes": len(blob),
        "states_per_s": states / seconds, "states_per_cpu_s": states / cpu,
        "commit_ms": 1e3 * seconds / commits,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
