"""Forecast soil moisture from readings as they arrive: one model, one stream per probe.

Readings are lines "probe,moisture" from a serial port, or a recording with --replay. Every answer
is a line "probe,moisture,forecast,dry". The states are saved: a restart continues the streams.
"""

from __future__ import annotations

import argparse
import csv
import math
import signal
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import edgernn


def serial_readings(port: str, baud: int) -> Iterator[tuple[str, float]]:
    """Yield (probe, moisture) from the serial port; NaN for a value that is not a number."""
    try:
        import serial
    except ImportError:
        sys.exit("stream.py needs pyserial to read a port. Run: pip install pyserial")
    with serial.Serial(port, baud) as lines:
        for line in lines:
            probe, _, value = line.decode(errors="replace").strip().partition(",")
            yield probe, as_number(value)


def replayed(path: Path) -> Iterator[tuple[str, float]]:
    """Yield the readings of a CSV file with the columns probe and moisture."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["probe"], as_number(row["moisture"])


def as_number(text: str) -> float:
    """The number in a cell, NaN if there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def save(path: Path, streams: dict[str, edgernn.Session]) -> None:
    """Write the states of all streams; a power cut leaves the old file or the new one."""
    arrays = {
        f"{probe}/{name}": array
        for probe, stream in streams.items()
        for name, array in stream.state.items()
    }
    new = path.with_name(f"new_{path.name}")
    np.savez(new, **arrays)
    new.replace(path)


def restore(path: Path, streams: dict[str, edgernn.Session]) -> None:
    """Continue the streams that a file of `save` contains."""
    if not path.exists():
        return
    with np.load(path) as arrays:
        for probe, stream in streams.items():
            state = {name: arrays.get(f"{probe}/{name}") for name in stream.state}
            if all(array is not None for array in state.values()):
                stream.state = state


def main() -> None:
    """Stream until the readings end or SIGTERM or Ctrl-C stops the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("config.toml"))
    parser.add_argument("--replay", type=Path, help="a recording in place of the serial port")
    options = parser.parse_args()
    config = tomllib.loads(options.config.read_text())
    folder = options.config.parent
    port = config["serial"]
    readings = replayed(options.replay) if options.replay else serial_readings(**port)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # systemd stops services with it
    answers = csv.writer(sys.stdout)
    state_file = folder / config["state"]
    with edgernn.load(folder / config["model"], on_bad_reading="hold") as session:
        streams = {probe: session.new_stream() for probe in config["probes"]}
        restore(state_file, streams)
        try:
            for probe, moisture in readings:
                stream = streams.get(probe)
                if stream is None:
                    continue  # not ours
                forecast = float(stream.step([moisture])[0])
                dry = int(forecast < config["dry"])
                answers.writerow([probe, f"{moisture:.2f}", f"{forecast:.2f}", dry])
                sys.stdout.flush()
                save(state_file, streams)
        except KeyboardInterrupt:
            pass
        for probe, stream in streams.items():
            print(f"{probe}: {stream.bad_readings} bad readings", file=sys.stderr)


if __name__ == "__main__":
    main()
