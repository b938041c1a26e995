"""Long memories and other activations in integers, on networks that were trained for it.

    python -m benchmarks.arithmetic.run [--cache DIR] [--train] [--part PART ...] [--out FILE]

Trains the networks that the cache lacks (about seven minutes of one core for all), quantizes every
network in every precision and storage of states, and prints two tables. `--train` only trains.
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
from benchmarks.pages.arithmetic import page, refused
from benchmarks.pages.markdown import Record, store
from edgernn.errors import DataUnavailable

CACHE: Final = Path("~/.cache/edgernn/benchmarks/arithmetic").expanduser()
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


def long_figures(found: Iterable[tuple[Trial, list[Row]]]) -> list[Record]:
    """Noise on long streams, for every seed."""
    return [
        {
            "network": network.title,
            "memories": [memories(path, task) for path in paths],
            "naive": [*task.naive],
            "rows": [
                {"precision": precision, "state": storage, "seeds": seeds}
                for _, precision, storage, seeds in its_rows
            ],
        }
        for (network, task, paths), its_rows in found
    ]


def activation_figures(found: Iterable[tuple[Trial, list[Row]]]) -> list[Record]:
    """The metric in both precisions: mean over the seeds, and the least that one seed keeps."""
    networks = []
    for (network, _, _), its_rows in found:
        record: Record = {"network": network.title, "float": None, "precisions": {}}
        for _, precision, _, seeds in its_rows:
            ran = [figures for figures in seeds if "refused" not in figures]
            cell: Record = {}
            if ran:
                kept = [figures["kept"] for figures in ran]
                record["float"] = statistics.fmean(f["float"] for f in ran)
                cell["integer"] = statistics.fmean(f["integer"] for f in ran)
                cell |= {"kept_mean": statistics.fmean(kept), "kept_least": min(kept)}
            if len(ran) < len(seeds):
                cell["refused"] = refused(seeds, of_all=bool(ran))
            record["precisions"][precision] = cell
        networks.append(record)
    return networks


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0, or 2 when the data is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of trained networks")
    parser.add_argument("--train", action="store_true", help="train what the cache lacks, no more")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    makers = {"long": long_figures, "activations": activation_figures}
    record: Record = {
        "steps": [SHORT_STEPS, LONGEST_STEPS],
        "seeds": {"long": [*LONG_SEEDS], "activations": [*ROOM_SEEDS]},
        **{part: [] for part in PARTS},
    }
    try:
        for part in args.part or PARTS:
            done = tqdm(trials(part, args.cache), desc=part, leave=False, disable=None)
            found = [(trial, [] if args.train else rows(*trial)) for trial in done]
            if args.train:
                continue
            record[part] = makers[part](found)
    except DataUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    if args.train:
        return 0
    if args.out:
        store(args.out, record)
    print(page(record), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
