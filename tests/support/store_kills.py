"""A service that is killed again and again: a pool and a store, and checks of what they kept.

As a script (`store_kills.py FOLDER KILLS SEED DURABLE`) it forks a worker, which takes numbered
readings, saves and acknowledges; kills it at a random instant; checks; and forks the next. At the
end it prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

import numpy as np

import edgernn
from edgernn import StreamPool
from edgernn.store import StateStore
from tests.support.models.integer import random_model

MODEL = random_model("gru_after")
SHA = MODEL.interface().model_sha256
KEYS = [f"sensor/{i}" for i in range(23)]
BATCH = 40
POLICY = "hold"


def reading(number: int) -> tuple[str, int, list[float]]:
    """The key, its number in the stream and the values of a reading of the source, from 0."""
    rng = random.Random(number)
    x = [rng.gauss(0, 1) if rng.random() > 0.05 else float("nan") for _ in range(3)]
    return KEYS[number % len(KEYS)], number // len(KEYS) + 1, x


def work(folder: Path, acknowledgements: int, seed: int, durable: str) -> None:
    """Take readings from where the store says, and a few before that again, until killed."""
    rng = random.Random(seed)
    with StateStore(folder / "states", SHA, durable=durable) as store:
        position = store.positions().get("source", 0)
        left: dict[str, bytes] = {}  # the pool, saved together with the position
        pool = StreamPool(
            MODEL, on_bad_reading=POLICY, capacity=rng.choice([None, 15]),
            evicted=lambda keys, blobs: left.update(zip(keys, blobs, strict=True)),
            recall=lambda keys: {**store.load(keys), **left},
        )  # fmt: skip
        os.write(acknowledgements, b"began %d\n" % position)
        at = max(0, position - rng.randrange(60))
        with (folder / "outputs").open("a") as outputs:
            while True:
                numbers = range(at, at + rng.randint(1, BATCH))
                keys, sequence, xs = zip(*map(reading, numbers), strict=True)
                ys = pool.step_many(keys, xs, sequence=sequence)
                new = [(n, y) for n, y in zip(numbers, ys, strict=True) if n >= position]
                outputs.writelines(f"\n{n} {y.tobytes().hex()};" for n, y in new)
                outputs.flush()
                at = position = max(position, numbers.stop)
                changed = pool.take_changed()
                states = {**left, **dict(zip(changed, pool.export(changed), strict=True))}
                store.commit(states, positions={"source": position})
                left.clear()
                os.write(acknowledgements, b"saved %d\n" % position)


class Judge:
    """What every reading's output and every key's state must be."""

    def __init__(self) -> None:
        first = edgernn.load(MODEL, on_bad_reading=POLICY)
        self.sessions = {key: first.new_stream() for key in KEYS}
        self.outputs: list[str] = []

    def advance(self, count: int) -> None:
        """Take readings up to this count."""
        while len(self.outputs) < count:
            key, _, x = reading(len(self.outputs))
            self.outputs.append(self.sessions[key].step(x).tobytes().hex())

    def check_outputs(self, path: Path) -> int:
        """Whether every output is right and none is missing; how many came twice.

        The last line of a life may be torn; the next one begins a line.
        """
        seen: dict[int, int] = {}
        for line in path.read_text().split("\n"):
            if not line.endswith(";"):
                continue
            number, output = line[:-1].split()
            assert output == self.outputs[int(number)], f"output {number} differs"
            seen[int(number)] = seen.get(int(number), 0) + 1
        assert sorted(seen) == list(range(len(self.outputs))), "outputs are missing"
        return sum(seen.values()) - len(seen)


def live(folder: Path, seed: int, durable: str, seconds: float) -> list[tuple[str, int]]:
    """One life of the service: what it said before it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(folder, write, seed, durable)
        finally:
            os._exit(3)  # it ends by the signal alone
    os.close(write)
    if seed % 8:  # most die at work, some while they open the store
        select.select([read], [], [], 10)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the worker ended before the kill"
    with os.fdopen(read) as said:
        words = [line.split() for line in said.read().splitlines(keepends=True) if line[-1] == "\n"]
    return [(word, int(number)) for word, number in words]


def main(folder: Path, kills: int, seed: int, durable: str) -> None:
    """Kill, check, and print the figures."""
    StreamPool(MODEL, on_bad_reading=POLICY).close()  # the workers find all modules imported
    rng = random.Random(seed)
    acknowledged = committed = began = 0
    for kill in range(kills):
        said = live(folder, rng.randrange(1 << 30), durable, rng.random() * 0.05)
        for word, position in said:
            if word == "began":
                began += 1
                assert position >= acknowledged, f"kill {kill}: an acknowledged reading was lost"
                assert position <= acknowledged + BATCH, f"kill {kill}: not one commit ahead"
            acknowledged = position
        if rng.random() < 0.3:  # otherwise the next worker finds what the kill left
            with StateStore(folder / "states", SHA) as store:
                committed = store.positions().get("source", 0)
                assert acknowledged <= committed <= acknowledged + BATCH
                store.load()
    with StateStore(folder / "states", SHA) as store:
        committed, states = store.positions().get("source", 0), store.load()
    judge = Judge()
    judge.advance(committed)
    # A life may have written outputs that it did not commit; the next one wrote them again.
    lines = (folder / "outputs").read_text().split("\n")
    last = max((int(line.split()[0]) for line in lines if line.endswith(";")), default=-1)
    uncommitted = max(0, last + 1 - committed)
    for key, blob in states.items():
        assert blob == judge.sessions[key].to_bytes(), f"the state of {key} differs"
    assert set(states) == {reading(n)[0] for n in range(committed)}
    judge.advance(last + 1)
    twice = judge.check_outputs(folder / "outputs")
    figures = {
        "kills": kills, "began": began, "readings": committed, "acknowledged": acknowledged,
        "outputs written again": twice, "outputs not committed": uncommitted,
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
