"""A mosquitto broker on a free loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path


def free_port():
    """A TCP port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Broker:
    """One broker that keeps sessions and messages when it is stopped.

    Args:
        folder: for its files.
        more: lines to add to its configuration.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        """Write the configuration and start."""
        self.port = free_port()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "mosquitto.conf"
        lines = [
            *(["user root"] if os.geteuid() == 0 else []),  # who owns the folder
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 0",
            "max_inflight_messages 4000",
            *(more or ("allow_anonymous true",)),
        ]
        self.config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "mosquitto is not installed: make tools"
        with (self.folder / "mosquitto.log").open("ab") as log:
            arguments = [program, "-c", str(self.config)]
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
                time.sleep(0.02)
        raise AssertionError("mosquitto does not listen")

    def stop(self, kill: bool = False) -> None:
        """Stop it; sessions and queued messages are on the disk then, unless it is killed."""
        if self._process is not None:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None
