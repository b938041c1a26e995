"""Services as tests run them: in this process over stand-ins, or as a command of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from edgernn.connections.arrival import Arrival, ArrivalBatch, EndOfSource
from edgernn.errors import SinkError
from edgernn.service.assembly import make_pipeline
from edgernn.service.config.reading import read_config
from edgernn.service.running import ServiceParts, make_service
from tests.support.broker import free_port

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("", "export", "firmware_sim"))
DEMO = ROOT / "edgernn" / "data" / "demo.edgernn"


class ListSource:
    """Delivers batches of a list, from a position on; may fail, and then goes on."""

    def __init__(self, arrivals, size=7, failures=(), endless=False, token=None):
        self.name, self.arrivals, self.size = "list", arrivals, size
        self.failures, self.endless, self.token = set(failures), endless, token
        self.opened, self.acknowledged, self.closed = [], [], 0

    def open(self, position):
        self.opened.append(position)
        self.next = position or 0

    def read(self, most, timeout_s):
        if self.next in self.failures:
            self.failures.remove(self.next)
            raise RuntimeError("the cable fell out")
        if self.next >= len(self.arrivals):
            if self.endless:
                time.sleep(min(timeout_s, 0.02))
                return ArrivalBatch([])
            raise EndOfSource
        start, self.next = self.next, min(self.next + self.size, len(self.arrivals))
        return ArrivalBatch(self.arrivals[start : self.next], self.next, self.token)

    def acknowledge(self, batch):
        self.acknowledged.append(batch.position)

    def close(self):
        self.closed += 1


class ListSink:
    """Keeps results; fails while ``broken``, or at the calls that ``fails`` names."""

    def __init__(self, fails=()):
        self.name, self.taken, self.kept = "list", [], []
        self.fails, self.calls, self.broken = set(fails), 0, False
        self.opened = 0

    def open(self, interface):
        self.opened += 1
        self.taken = []
        self._fail()

    def write(self, results):
        self._fail()
        self.taken += results

    def flush(self):
        self._fail()
        self.kept += self.taken
        self.taken = []

    def close(self):
        self.taken = []

    def _fail(self):
        self.calls += 1
        if self.broken or self.calls in self.fails:
            raise SinkError("list: expected a working sink, got a broken one")


def configured(folder, text="", sinks=1, model="demo", name="serve.toml"):
    """The configuration of a service over stand-ins."""
    file = Path(folder) / name
    if "[store]" not in text:
        text = f"[store]\ncommit_s = 0.05\n{text}"
    ends = '[[source]]\nkind = "csv"\n' + '[[sink]]\nkind = "stdout"\n' * sinks
    file.write_text(
        f'[model]\npath = "{model}"\n[http]\nlisten = ""\n{text}\n{ends}', encoding="utf-8"
    )
    return read_config(file)


def over(config, source, *sinks):
    """A service over stand-ins."""
    parts = ServiceParts(pipeline=make_pipeline(config), sources=[source], sinks=list(sinks))
    return make_service(config, parts)


def demo_arrivals(count, keys=3, start=0):
    """Numbered readings of the packaged model's channel, with missing values."""
    return [
        Arrival(
            f"k{n % keys}",
            [float("nan") if n % 11 == 5 else ((n * 37) % 41) / 10 - 2],
            sequence=n // keys + 1,
        )
        for n in range(start, start + count)
    ]


class Command:
    """`edgernn serve` in a process of its own."""

    def __init__(self, folder, *arguments, listen=True, **environment):
        self.folder = Path(folder)
        self.port = free_port() if listen else 0
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "service.log"
        self._arguments = [
            sys.executable, "-m", "edgernn", "serve", *map(str, arguments),
            "--listen", f"127.0.0.1:{self.port}" if listen else "",
        ]  # fmt: skip
        self._environment = os.environ | {"PYTHONPATH": PATHS} | environment
        self.process = None

    def start(self):
        with self.log.open("ab") as log, (self.folder / "service.out").open("ab") as out:
            self.process = subprocess.Popen(
                self._arguments, cwd=self.folder, env=self._environment, stdout=out, stderr=log
            )
        return self

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def get(self, path, timeout_s=30.0):
        """The answer to a request, once the service listens: status and text."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, "the service does not listen"
                time.sleep(0.05)

    def state(self):
        return json.loads(self.get("/api/state")[1])

    def wait_for(self, condition, timeout_s=60.0):
        """Wait until a condition on the state holds."""
        until = time.monotonic() + timeout_s
        while not condition(state := self.state()):
            assert time.monotonic() < until, state
            time.sleep(0.05)
        return state

    def stop(self, number=signal.SIGTERM, timeout_s=60.0):
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


def in_thread(service):
    """Run a service in a thread; returns the thread."""
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    return thread


def eventually(condition, timeout_s=20.0):
    """Wait until a condition holds."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.01)
