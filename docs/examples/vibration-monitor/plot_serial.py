"""Plot the scores that the sketch prints: live from a serial port, or from a recorded log."""

from __future__ import annotations

import argparse
import collections
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib

Row = dict[str, float]


def parse(line: str) -> Row | None:
    """Return the values of a line such as "condition:0,normal:3.2"; None for any other line."""
    try:
        pairs = [cell.split(":") for cell in line.strip().split(",")]
        row = {name: float(value) for name, value in pairs}
    except ValueError:
        return None
    return row if "condition" in row else None


def serial_lines(port: str, baud: int, simulate: Path | None) -> Iterator[str]:
    """Lines from a serial port. Readings of a recording are sent to a sketch in simulated mode."""
    try:
        import serial
    except ImportError:
        sys.exit("plot_serial.py needs pyserial to read a port. Run: pip install pyserial")
    with serial.Serial(port, baud, timeout=1) as board:
        time.sleep(2)  # opening the port restarts many boards
        readings = simulate.read_text().splitlines(keepends=True)[1:] if simulate else []
        for reading in readings:
            board.write(reading.encode())
            yield board.readline().decode(errors="replace")
        while not readings:
            yield board.readline().decode(errors="replace")


def draw(axes: matplotlib.axes.Axes, rows: collections.deque[Row]) -> None:
    """Draw scores as lines; the background shows the condition."""
    axes.clear()
    names = [name for name in rows[-1] if name != "condition"]
    for name in names:
        axes.plot([row[name] for row in rows], linewidth=1, label=name)
    conditions = [int(row["condition"]) for row in rows]
    edges = [i for i, c in enumerate(conditions) if i == 0 or c != conditions[i - 1]]
    for start, end in zip(edges, [*edges[1:], len(conditions)], strict=True):
        axes.axvspan(start, end, color=f"C{conditions[start]}", alpha=0.15, linewidth=0)
    axes.set(xlabel="answers", ylabel="score", title=f"now: {names[conditions[-1]]}")
    axes.margins(x=0, y=0.2)
    axes.legend(loc="upper left", ncols=len(names), frameon=False)


def main() -> None:
    """Read the options and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--port", help="serial port, such as /dev/ttyACM0 or COM3")
    source.add_argument("--log", type=Path, help="recorded output of the sketch")
    parser.add_argument("--baud", type=int, default=115200)
    parser.add_argument("--simulate", type=Path, help="recording to send to a simulated sketch")
    parser.add_argument("--save", type=Path, help="write a PNG at the end; with --log no window")
    parser.add_argument("--answers", type=int, default=3000, help="answers to show")
    options = parser.parse_args()
    if options.log:
        lines: Iterator[str] = iter(options.log.read_text().splitlines())
    else:
        lines = serial_lines(options.port, options.baud, options.simulate)

    live = options.port is not None
    if options.save and not live:
        matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    rows: collections.deque[Row] = collections.deque(maxlen=options.answers)
    drawn = 0.0
    try:
        for line in lines:
            row = parse(line)
            if row is None:
                if line.strip():
                    print(line.strip(), file=sys.stderr)  # messages of the board
                continue
            rows.append(row)
            if live and time.monotonic() - drawn > 0.1:
                draw(axes, rows)
                plt.pause(0.001)
                drawn = time.monotonic()
    except KeyboardInterrupt:
        pass
    if not rows:
        sys.exit("plot_serial.py: no line of scores was found.")
    draw(axes, rows)
    if options.save:
        figure.savefig(options.save, dpi=100)
    if not options.save or live:
        plt.show()


if __name__ == "__main__":
    main()
