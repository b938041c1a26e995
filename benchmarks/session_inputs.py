"""What types of readings, gaps, clipped readings and new streams cost a session.

    python -m benchmarks.session_inputs                       print the table
    python -m benchmarks.session_inputs --against FOLDER      compare with another, built checkout
    python -m benchmarks.session_inputs --out FILE            also write the figures, as JSON

A GRU-32 with 8 inputs in `w8a8` on the native back-end. Rounds are interleaved: in each, every case
takes one turn on the same core. With --against, both checkouts take turns, each in its own process.
Ratios are medians of the ratios within one round. Bytes are of resident memory, of 20,000
streams.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

ROUNDS: Final = 60
#: Calls, or steps of a chunk, of one turn.
CALLS: Final = 1000
STREAMS: Final = 20_000
FILE: Final = Path(__file__).resolve()
#: Group of cases -> number of calls or steps in a turn.
GROUPS: Final = {"step": CALLS, "run": CALLS, "stream": 100}
Turn = Callable[[], object]


def main(argv: Sequence[str] | None = None) -> int:
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of a case (%(default)s)")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures, as JSON")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        return work()
    if args.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {args.rounds}.")
    folders = {"here": FILE.parents[1]}
    if args.against is not None:
        if not (args.against / "edgernn" / "__init__.py").is_file():
            parser.error(f"--against: expected a checkout of edgernn, got '{args.against}'.")
        folders["before"] = args.against.resolve()
    # A worker of an older checkout, which may lack these, imports this module too.
    from benchmarks.pages.markdown import store
    from benchmarks.pages.speed import inputs_section

    turns = measure(folders, args.rounds)
    record = summary(turns)
    if args.out:
        store(args.out, record)
    print(json.dumps(turns, indent=1) if args.json else inputs_section(record), end="")
    return 0


def measure(folders: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Microseconds of every case of every checkout, one value per round, and bytes of a stream."""
    workers = {name: Worker(folder) for name, folder in folders.items()}
    try:
        cases = workers["here"].cases
        us: dict[str, dict[str, list[float]]] = {
            name: {case: [] for case in worker.cases} for name, worker in workers.items()
        }
        for turn in range(rounds):
            order = list(workers) if turn % 2 else [*reversed(workers)]
            for case in cases:
                for name in (name for name in order if case in us[name]):
                    us[name][case].append(float(workers[name].ask(case)))
        stream_bytes = {name: int(worker.ask("bytes")) for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    return {"rounds": rounds, "microseconds": us, "stream_bytes": stream_bytes}


class Worker:
    """A process that takes turns with one checkout."""

    def __init__(self, folder: Path) -> None:
        roots = [folder, folder / "export", folder / "firmware_sim"]
        self._process = subprocess.Popen(
            [sys.executable, str(FILE), "--worker"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, roots))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cases: list[str] = json.loads(self.ask("cases"))

    def ask(self, line: str) -> str:
        """What the process answers to one line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def work() -> int:
    """Answer lines: the cases, the microseconds of one, or the bytes of a stream."""
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):  # all workers on one core
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    session, turns = all_turns()
    for line in sys.stdin:
        name = line.strip()
        if name == "cases":
            answer = json.dumps(list(turns))
        elif name == "bytes":
            answer = str(bytes_per_stream(session))
        else:
            turns[name]()
            begin = time.perf_counter()
            turns[name]()
            answer = repr((time.perf_counter() - begin) / GROUPS[name.split()[0]] * 1e6)
        print(answer, flush=True)
    return 0


def all_turns() -> tuple[Any, dict[str, Turn]]:
    """A session, and what takes one turn of each case; the first of a group is its measure."""
    import edgernn

    try:
        from edgernn.model.formats import Precision
        from tests.support.models.integer import random_model
    except ModuleNotFoundError:  # A checkout from before there were rooms.
        from edgernn.formats import Precision  # type: ignore[no-redef]
        from tests.integer_models import random_model  # type: ignore[no-redef]

    model = random_model("gru_after", Precision.W8A8, inputs=8, units=32, outputs=4)
    session = edgernn.load(model, backend="native")
    codes = np.random.default_rng(0).integers(-100, 101, (CALLS, 8))
    xs = model.input.offset + model.input.scale * codes
    outside = xs.copy()
    outside[CALLS // 2, 3] = 1e6
    clipping, holding, skipping = (
        edgernn.load(model, "native", policy) for policy in ("raise", "hold", "skip")
    )
    clipping.run(outside)
    gap = xs.copy()
    gap[CALLS // 2, 3] = np.nan
    gap_row, list_of_ints = gap[CALLS // 2], [0, 1, -1, 0, 1, -1, 0, 1]
    names = model.input.names
    x = xs[0]
    steps = {
        "float64 array": x,
        "float32 array": x.astype(np.float32),
        "float16 array": x.astype(np.float16),
        "int16 array": x.astype(np.int16),
        "int64 array": x.astype(np.int64),
        "strided float64 array": np.repeat(x, 2)[::2],
        "array.array of float32": array.array("f", x),
        "list of float": x.tolist(),
        "list of int": list_of_ints,
        "list of int and float": [*x[:4].tolist(), *list_of_ints[:4]],
        "list of NumPy float32": [*x.astype(np.float32)],
        "float64 array, beyond the range": outside[CALLS // 2],
    }
    chunks = {
        "float64 array": (session, xs),
        "float32 array": (session, xs.astype(np.float32)),
        "int16 array": (session, xs.astype(np.int16)),
        "Fortran-ordered array": (session, np.asfortranarray(xs)),
        "list of arrays": (session, [*xs]),
        "list of lists of float": (session, xs.tolist()),
        "float64 array, one value beyond the range": (clipping, outside),
        "float64 array, one NaN, hold": (holding, gap),
        "float64 array, one NaN, skip": (skipping, gap),
    }
    turns: dict[str, Turn] = {f"step {kind}": stepping(session, x) for kind, x in steps.items()}
    holding.step(x)
    turns["step one NaN, hold"] = stepping(holding, gap_row)
    if hasattr(session, "clipped_readings"):
        turns["step dictionary"] = stepping(session, dict(zip(names, x.tolist(), strict=True)))
    turns |= {f"run {kind}": running(*given) for kind, given in chunks.items()}
    turns["stream new_stream and close"] = opening(session)
    turns["stream copy and close"] = copying(session)
    return session, turns


def stepping(session: Any, x: Any) -> Turn:
    """Calls of `step`."""

    def turn() -> None:
        step = session.step
        for _ in range(CALLS):
            step(x)

    return turn


def running(session: Any, xs: Any) -> Turn:
    """One call of `run`."""
    return lambda: session.run(xs)


def opening(session: Any) -> Turn:
    """New streams, each closed at once."""

    def turn() -> None:
        for _ in range(GROUPS["stream"]):
            session.new_stream().close()

    return turn


def copying(session: Any) -> Turn:
    """Copies, each closed at once."""

    def turn() -> None:
        for _ in range(GROUPS["stream"]):
            session.copy().close()

    return turn


def bytes_per_stream(session: Any) -> int:
    """Resident memory that an open stream takes."""
    kept = [session.new_stream() for _ in range(STREAMS // 10)]
    before = resident_bytes()
    kept += [session.new_stream() for _ in range(STREAMS)]
    return round((resident_bytes() - before) / STREAMS)


def resident_bytes() -> int:
    """Memory of this process."""
    return 4096 * int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def summary(turns: dict[str, Any]) -> dict[str, Any]:
    """Medians of every case, and ratios to the first case of its group within one round."""
    us, sizes = turns["microseconds"], turns["stream_bytes"]
    before = us.get("before")
    cases = []
    first: dict[str, str] = {}
    for case in us["here"]:
        group, _, kind = case.partition(" ")
        reference = first.setdefault(group, case)
        found: dict[str, Any] = {"group": group, "kind": kind}
        found["us"], found["ratio"] = _medians(us["here"], case, reference)
        if before:
            both = _medians(before, case, reference) if case in before else (None, None)
            found["before_us"], found["before_ratio"] = both
        cases.append(found)
    record: dict[str, Any] = {
        "rounds": turns["rounds"],
        "cases": cases,
        "stream_bytes": sizes["here"],
    }
    return record | ({"before_stream_bytes": sizes["before"]} if before else {})


def _medians(times: dict[str, list[float]], case: str, reference: str) -> tuple[float, float]:
    ratios = np.array(times[case]) / np.array(times[reference])
    return float(np.median(times[case])), float(np.median(ratios))


if __name__ == "__main__":
    sys.exit(main())
