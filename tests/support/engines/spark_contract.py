"""Spark with killed workers and drivers: the recipe on a cluster of two workers, and its outputs.

As a script (`spark_contract.py FOLDER FILES READINGS KILLS SEED`, with a Python that has pyspark)
it starts a standalone cluster on this machine, runs the recipe on FILES files of READINGS readings,
kills workers and drivers in turn at random instants, and compares with one process. It prints what
happened as JSON.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import edgernn
from tests.support.models.integer import random_model

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "docs/examples/engines/spark_stream.py"
MODEL = random_model("gru_after")
INPUTS, OUTPUTS = (list(port.names) for port in (MODEL.interface().input, MODEL.interface().output))
KEYS = 500
#: Of the readings of a file, which the next one has again.
AGAIN = 0.05
OPTIONS = (
    "--conf spark.executor.memory=640m --conf spark.executor.cores=1 --conf spark.cores.max=2 "
    "--conf spark.driver.host=127.0.0.1 --conf spark.ui.enabled=false pyspark-shell"
)


def reading(number: int) -> tuple[str, int, list[float]]:
    """The key, its number in the stream and the values of a reading, from 0."""
    rng = random.Random(number)
    x = [rng.uniform(-2.9, 2.9) if rng.random() > 0.02 else math.nan for _ in INPUTS]
    return f"sensor/{number % KEYS}", number // KEYS + 1, x


def write_files(folder: Path, files: int, count: int) -> None:
    """Readings as files, each with the last ones of the file before again."""
    folder.mkdir()
    for f in range(files):
        first = f * count - round(AGAIN * count) if f else 0
        path = folder / f"{f:05}.csv"
        with path.open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow(["key", "sequence", *INPUTS])
            for number in range(first, (f + 1) * count):
                key, n, x = reading(number)
                table.writerow([key, n, *("" if math.isnan(v) else repr(v) for v in x)])
        os.utime(path, (1e9 + f, 1e9 + f))  # files are taken in this order


class Cluster:
    """A master, workers and a driver, each a process group that can be killed."""

    def __init__(self, folder: Path) -> None:
        import pyspark

        self.folder, self.logs = folder, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"spark://127.0.0.1:{port}"
        self.java = [str(Path(pyspark.__path__[0], "bin", "spark-class"))]
        self.environment = os.environ | {
            "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": pyspark.__path__[0],
            "SPARK_DAEMON_MEMORY": "256m", "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": OPTIONS, "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        package = "org.apache.spark.deploy"
        ui = ["--webui-port", "0"]
        where = ["--host", "127.0.0.1", "--port", str(port)]
        self.running = [self.start([*self.java, f"{package}.master.Master", *where, *ui])]
        self.worker = [*self.java, f"{package}.worker.Worker", "-c", "1", "-m", "700m", *ui]
        self.worker += ["--host", "127.0.0.1", "-d", str(folder / "work"), self.url]
        self.workers = [self.start(self.worker) for _ in range(2)]
        self.driver: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """A process group, whose output goes to its own file."""
        self.logs += 1
        with (self.folder / f"log{self.logs:02}").open("wb") as log:
            return subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def start_driver(self) -> None:
        """The recipe, which ends when all files are done."""
        command = [sys.executable, str(RECIPE), "model.edgernn", "readings", "predictions"]
        command = [str(self.folder / c) if c in command[2:] else c for c in command]
        self.driver = self.start([*command, "--master", self.url, "--shards", "16", "--once"])

    def kill_driver(self) -> None:
        """Kill -9, and start again."""
        assert self.driver is not None
        end(self.driver)
        self.start_driver()

    def kill_worker(self, which: int) -> None:
        """Kill -9 with its executor, and start another one."""
        end(self.workers[which])
        self.workers[which] = self.start(self.worker)

    def close(self) -> None:
        """End all."""
        for process in [*self.running, *self.workers, *([self.driver] if self.driver else [])]:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 of a process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def batches(folder: Path) -> tuple[int, int]:
    """Micro-batches that began, and that committed."""
    checkpoint = folder / "predictions/_checkpoint"
    began, committed = (
        len([path for path in (checkpoint / part).glob("*") if path.name.isdigit()])
        for part in ("offsets", "commits")
    )
    return began, committed


def run(folder: Path, files: int, kills: int, rng: random.Random) -> dict[str, int]:
    """Run the recipe to its end, killing in turn."""
    cluster = Cluster(folder)
    done = {"workers killed": 0, "drivers killed": 0, "within a batch": 0}
    try:
        cluster.start_driver()
        for kill in range(kills):
            # The next kill is in a batch of its own share of the run.
            due = 1 + kill * (files - 1) // kills
            while batches(folder)[0] < due and cluster.driver.poll() is None:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 3))
            if cluster.driver.poll() is not None:
                break
            began, committed = batches(folder)
            done["within a batch"] += began > committed
            if kill % 2:
                cluster.kill_driver()
                done["drivers killed"] += 1
            else:
                cluster.kill_worker(rng.randrange(2))
                done["workers killed"] += 1
        code = cluster.driver.wait()
        assert code == 0, f"the driver ended with {code}"
        assert batches(folder)[0] >= files
    finally:
        cluster.close()
    return done


def committed_files(folder: Path) -> list[Path]:
    """The files of batches that finished, as Spark reads them."""
    found = set()
    for log in (folder / "_spark_metadata").iterdir():
        if not log.name.startswith("."):
            entries = [json.loads(line) for line in log.read_text().splitlines()[1:]]
            found |= {Path(entry["path"].removeprefix("file:")).name for entry in entries}
    return [folder / name for name in found]


def compare(folder: Path, count: int) -> dict[str, int]:
    """Outputs against one process, bit for bit."""
    import pyarrow.parquet

    keys, numbers, xs = zip(*map(reading, range(count)), strict=True)
    with edgernn.StreamPool(MODEL, on_bad_reading="hold") as pool:
        ys = pool.step_many(keys, xs)
    want = {(k, n): y.tobytes() for k, n, y in zip(keys, numbers, ys, strict=True)}
    rows, seen, differing = 0, set(), 0
    files = committed_files(folder / "predictions")
    for path in files:
        table = pyarrow.parquet.read_table(path).to_pandas()
        for key, n, y in zip(
            table["key"], table["sequence"], table[OUTPUTS].to_numpy(float), strict=True
        ):
            rows += 1
            seen.add((key, n))
            differing += y.tobytes() != want.get((key, n))
    orphans = len(list((folder / "predictions").glob("*.parquet"))) - len(files)
    return {
        "readings": count, "rows": rows, "missing": len(want.keys() - seen),
        "doubled": rows - len(seen), "differing": differing, "orphan files": orphans,
    }  # fmt: skip


def main(folder: Path, files: int, count: int, kills: int, seed: int) -> None:
    """Write, run, compare, print."""
    folder.mkdir(parents=True, exist_ok=True)
    MODEL.save(folder / "model.edgernn")
    write_files(folder / "readings", files, count)
    started = time.monotonic()
    done = run(folder, files, kills, random.Random(seed))
    done["wall s"] = round(time.monotonic() - started)
    print(json.dumps(done | compare(folder, files * count)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
