"""Long memories and other activations in integers, on networks that were trained for it.

    python -m benchmarks.arithmetic.run [--cache DIR] [--train] [--part PART ...] [--out FILE]

Trains what the cache does not have (about seven minutes of one core for all), quantizes every
network in every precision and storage of states, and prints two tables. `--train` trains alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from benchmarks.arithmetic.figures import (
    PRECISIONS,
    SHORT_STEPS,
    measured,
    memories,
    storages,
)
from benchmarks.arithmetic.networks import Network, long_memory, other_activations, trained
from benchmarks.arithmetic.tasks import LONG_TASKS, LONGEST_STEPS, StreamTask, room
from edgernn.errors import DataUnavailable

CACHE: Final = Path("~/.cache/edgernn/benchmarks/arithmetic").expanduser()
COMMAND: Final = "python -m benchmarks.arithmetic.run --out docs/results/arithmetic.md"
LONG_SEEDS: Final = range(3)
ROOM_SEEDS: Final = range(5)
PARTS: Final = ("long", "activations")
#: network, its task, its trained files
Trial = tuple[Network, StreamTask, list[Path]]
#: figures of one network by seed, of one precision and storage
Row = tuple[Network, str, str, list[dict[str, Any]]]


def trials(part: str, cache: Path) -> Iterator[Trial]:
    """The networks of a part, trained."""
    if part == "long":
        for name, (make, longest_steps) in LONG_TASKS.items():
            task = make()
            for network in long_memory(name, longest_steps):
                yield network, task, [trained(network, task, s, cache) for s in LONG_SEEDS]
    else:
        task = room()
        for network in other_activations():
            yield network, task, [trained(network, task, s, cache) for s in ROOM_SEEDS]


def rows(network: Network, task: StreamTask, paths: Sequence[Path]) -> list[Row]:
    """All figures of a network; storages of states where memories are long."""
    choices: Mapping[str, Mapping[str, Any]] = {"": {}}
    if network.longest_steps is not None:
        choices = storages()
    return [
        (network, precision, storage, [measured(path, task, precision, o) for path in paths])
        for precision in PRECISIONS
        for storage, o in choices.items()
    ]


def long_table(found: Iterable[tuple[Trial, list[Row]]]) -> list[str]:
    """Noise on long streams, of every seed."""
    lines = [
        "| network | units remember, steps: median, longest | error, no network | float |"
        " precision | state | kept | dB, 20,000 steps | dB, 200,000 | dB, their end |"
        " largest error |",
        "|---" * 11 + "|",
    ]
    for (network, task, paths), its_rows in found:
        steps = [memories(path, task) for path in paths]
        units = " · ".join(f"{s['median']:,.0f}, {s['longest']:,.0f}" for s in steps)
        naive = _each(task.naive)
        for _, precision, storage, seeds in its_rows:
            ran = [figures for figures in seeds if "refused" not in figures]
            head = f"| {network.title} | {units} | {naive} |"
            if not ran:
                lines.append(f"{head} | {precision} | {storage} | {refused(seeds)} | | | | |")
                continue
            db = [_all(ran, name, ".1f") for name in ("short_db", "long_db", "last_db")]
            cells = [
                " · ".join(_each(figures["floats"]) for figures in ran),
                precision, storage + refused(seeds, of_all=True),
                _all(ran, "kept", ".1%"), *db, _all(ran, "peak", ".2%"),
            ]  # fmt: skip
            lines.append(f"{head} {' | '.join(cells)} |")
    return lines


def activation_table(found: Iterable[tuple[Trial, list[Row]]]) -> list[str]:
    """The metric in both precisions: mean over the seeds, the least that one of them keeps."""
    lines = [
        "| network | float | " + " | ".join(f"{p} | kept, mean, least" for p in PRECISIONS) + " |",
        "|---" * (2 + 2 * len(PRECISIONS)) + "|",
    ]
    for (network, _, _), its_rows in found:
        cells: list[str] = []
        floats = "–"
        for _, _, _, seeds in its_rows:
            ran = [figures for figures in seeds if "refused" not in figures]
            if not ran:
                cells += [refused(seeds), "–"]
                continue
            kept = [figures["kept"] for figures in ran]
            floats = f"{statistics.fmean(f['float'] for f in ran):.4f}"
            mean = statistics.fmean(figures["integer"] for figures in ran)
            share = f"{statistics.fmean(kept):.2%}, {min(kept):.2%}"
            cells += [f"{mean:.4f}", share + refused(seeds, of_all=True)]
        lines.append(f"| {network.title} | {floats} | {' | '.join(cells)} |")
    return lines


def refused(seeds: Sequence[Mapping[str, Any]], *, of_all: bool = False) -> str:
    """Why models were refused; ``of_all``: of how many networks, nothing where none was."""
    reasons = list(dict.fromkeys(f["refused"] for f in seeds if "refused" in f))
    if not of_all:
        return f"refused: {reasons[0]}"
    count = sum("refused" in figures for figures in seeds)
    return f" ({count} of {len(seeds)} refused: {reasons[0]})" if reasons else ""


def _all(seeds: Sequence[Mapping[str, Any]], name: str, form: str) -> str:
    return " · ".join(format(figures[name], form) for figures in seeds)


def _each(values: Iterable[float]) -> str:
    """Of every output."""
    return " / ".join(f"{value:.3f}" for value in values)


def document(tables: Mapping[str, list[str]]) -> str:
    """The Markdown of docs/results/arithmetic.md."""
    lines = [
        "# Long memories and other activations",
        "",
        f"Written by `{COMMAND}`; `EDGERNN_DATA` names the folder of data.",
        "",
        "All networks are trained for this, on the first part of the streams; integer models are",
        "calibrated on it and tried on what comes later. Errors are mean absolute errors, in",
        "standard deviations of what should be told. *Kept* is the float network's error over the",
        "integer model's; of several outputs, of the one that keeps the least.",
    ]
    if "long" in tables:
        lines += [
            "",
            "## Long memories",
            "",
            "Networks of 24 units with chrono initialisation. *soil*: 13 probes, how moisture",
            "changes within 24 h, memories of up to 1,000 h at first. *seasons*: an hourly series",
            "with day, year and weather (synthetic, seeded), its value in 24 h and its season in",
            "91 days, of up to 8,760 h. A unit remembers for 1 / median of the share of its state",
            "that it lets go at a step. dB: what varies in the float64 network's answers over the",
            f"noise, {SHORT_STEPS:,} steps and {LONGEST_STEPS:,} of one stream that is never",
            f"reset, and the noise of the last {SHORT_STEPS:,} of them; of two outputs the worse.",
            f"The largest error is a share of the output's range over {LONGEST_STEPS:,} steps.",
            f"Between the dots: seeds {', '.join(map(str, LONG_SEEDS))}.",
            "",
            *tables["long"],
        ]
    if "activations" in tables:
        lines += [
            "",
            "## Activations",
            "",
            "Networks of 12 units tell how the temperature of a heated room changes within six",
            "readings (synthetic, seeded); streams of 2,000 steps from the zero state, mean of",
            f"{len(ROOM_SEEDS)} trainings.",
            "",
            *tables["activations"],
        ]
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0, or 2 when the data is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of trained networks")
    parser.add_argument("--train", action="store_true", help="train what the cache lacks, no more")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--out", type=Path, help="also write the document here")
    args = parser.parse_args(argv)
    makers = {"long": long_table, "activations": activation_table}
    tables: dict[str, list[str]] = {}
    try:
        for part in args.part or PARTS:
            done = tqdm(trials(part, args.cache), desc=part, leave=False, disable=None)
            found = [(trial, [] if args.train else rows(*trial)) for trial in done]
            if args.train:
                continue
            tables[part] = makers[part](found)
    except DataUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    if args.train:
        return 0
    text = document(tables)
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
