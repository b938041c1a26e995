"""Readings per CPU second over MQTT, with one reading and with many in a message.

    python -m benchmarks.mqtt                 print the page
    python -m benchmarks.mqtt --out FILE      also write the figures, as JSON

A real mosquitto on the loopback interface, a publisher in another process, and a process that
reads: the source `mqtt` alone, or with `StreamPool.step_many` behind it. What counts is the CPU
time of the process that reads, with all its threads. The model is a GRU-32 with 8 inputs in `w8a8`
on the native back-end; readings come from 1,000 streams.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.pages.markdown import store
from edgernn.bench.machine import processor
from edgernn.connections.registry import make_source

STREAMS: Final = 1000
MANY: Final = 20
#: Messages of one run, by readings in each.
MESSAGES: Final = {1: 10_000, MANY: 2_500}
ROUNDS: Final = 2
CHANNELS: Final = tuple(f"x{i}" for i in range(8))
PAYLOADS: Final = ("json", "float32")
#: What the reader does, and the version of MQTT.
WORKS: Final = (("read", "5"), ("step", "5"), ("step", "3.1.1"))
#: Arrivals that the reader asks for at a time.
BATCH: Final = 500
#: The reader gives up after so many seconds without a message.
QUIET_S: Final = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of a case (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures, as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--publisher", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        return work(json.loads(args.worker))
    if args.publisher:
        return publish(json.loads(args.publisher))
    if args.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {args.rounds}.")
    record = measure(args.rounds)
    if args.out:
        store(args.out, record)
    from benchmarks.pages.mqtt import page

    print(page(record), end="")
    return 0


def measure(rounds: int, messages: dict[int, int] | None = None) -> dict[str, Any]:
    """All cases, one after the other in every round."""
    from tests.support.broker import Broker

    messages = messages or MESSAGES
    cases = [
        {"qos": qos, "readings": readings, "payload": payload, "work": work_, "protocol": protocol}
        for qos in (0, 1)
        for readings in messages
        for payload in PAYLOADS
        for work_, protocol in WORKS
    ]
    found: list[list[dict[str, float]]] = [[] for _ in cases]
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "broker")
        try:
            for number in range(rounds):
                for place, case in enumerate(cases):
                    topic = f"bench/{number}/{place}"
                    count = messages[case["readings"]]
                    found[place].append(
                        run(case | {"messages": count, "topic": topic}, broker.port)
                    )
        finally:
            broker.stop()
    return {
        "setup": {
            "processor": processor(), "load": round(os.getloadavg()[1], 1),
            "streams": STREAMS, "rounds": rounds,
            "messages": {str(readings): count for readings, count in messages.items()},
            "channels": len(CHANNELS),
        },
        "cases": [
            case
            | {
                "readings_per_cpu_s": round(statistics.median(r["rate"] for r in runs)),
                "received": round(min(r["received"] for r in runs), 4),
            }
            for case, runs in zip(cases, found, strict=True)
        ],
    }  # fmt: skip


def run(case: dict[str, Any], port: int) -> dict[str, float]:
    """Readings per CPU second of one run, and the share of readings that arrived."""
    program = [sys.executable, "-m", "benchmarks.mqtt"]
    text = json.dumps(case | {"port": port})
    with subprocess.Popen(
        [*program, "--worker", text], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        subprocess.run([*program, "--publisher", text], check=True)
        answer: dict[str, float] = json.loads(reader.stdout.read())
    return answer


def payload_of(case: dict[str, Any], number: int) -> bytes:
    """A message with the readings of one stream."""
    rng = np.random.default_rng(number)
    rows = rng.uniform(-1, 1, (case["readings"], len(CHANNELS))).astype(np.float32)
    if case["payload"] == "float32":
        return rows.tobytes()
    values = [[round(float(x), 4) for x in row] for row in rows]
    return json.dumps(values[0] if len(values) == 1 else values).encode()


def publish(case: dict[str, Any]) -> int:
    """Send all messages, at most 1,000 of them unconfirmed."""
    import paho.mqtt.client as paho

    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", case["port"])
    client.loop_start()
    payloads = [payload_of(case, number) for number in range(100)]
    sent = [
        client.publish(
            f"{case['topic']}/{number % STREAMS}", payloads[number % 100], qos=case["qos"]
        )
        for number in range(case["messages"])
    ]
    sent[-1].wait_for_publish(120)
    for info in sent:
        info.wait_for_publish(120)
    client.disconnect()
    client.loop_stop()
    return 0


def work(case: dict[str, Any]) -> int:
    """Read until all readings have arrived; print the rate."""
    errors: list[str] = []
    table = {
        "kind": "mqtt", "topic": f"{case['topic']}/{{key}}", "port": case["port"],
        "qos": case["qos"], "payload": case["payload"], "client_id": case["topic"],
        "protocol": case["protocol"], "max_waiting": 65_535,
    }  # fmt: skip
    source = make_source(table, "benchmark", CHANNELS, errors)
    assert source is not None, errors
    pool = _pool() if case["work"] == "step" else None
    source.open(None)
    time.sleep(1.0)  # until the broker knows the subscription
    print("ready", flush=True)
    wanted, count, last = case["messages"] * case["readings"], 0, time.monotonic()
    begin = time.process_time()
    while count < wanted and time.monotonic() - last < QUIET_S:
        batch = source.read(BATCH, 0.5)
        if not batch.arrivals:
            continue
        if pool is not None:
            pool.step_many([a.key for a in batch.arrivals], [a.values for a in batch.arrivals])
        source.acknowledge(batch)
        count, last = count + len(batch.arrivals), time.monotonic()
    cpu_s = time.process_time() - begin
    source.close()
    print(json.dumps({"rate": count / cpu_s, "received": count / wanted}))
    return 0


def _pool() -> Any:
    from edgernn.model.formats import Precision
    from edgernn.pool.stream_pool import StreamPool
    from tests.support.models.integer import random_model

    model = random_model("gru_after", Precision.W8A8, inputs=8, units=32, outputs=1)
    return StreamPool(model, backend="native")


if __name__ == "__main__":
    sys.exit(main())
