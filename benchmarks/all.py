"""Run the benchmarks, store their figures in benchmarks/results/ and rebuild docs/results/.

A benchmark that fails does not stop the others. Those that need the data sets are left out unless
EDGERNN_DATA names their folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.pages.markdown import RESULTS

ROOT: Final = RESULTS.parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark.

    Attributes:
        module: what `python -m` runs.
        page: of docs/results/, which shows its figures.
        minutes: about how long it takes on two cores; a plan, no limit.
        arguments: of the module, `--out` aside.
        data: needs EDGERNN_DATA.
        environment: variables it runs with.
    """

    module: str
    page: str
    minutes: float
    arguments: tuple[str, ...] = ()
    data: bool = False
    environment: dict[str, str] = field(default_factory=dict)


#: Name of the file of figures -> benchmark, the most useful first.
BENCHMARKS: Final = {
    "instructions": Benchmark(module="benchmarks.instructions", page="instructions", minutes=2.5),
    "device_layers": Benchmark(
        module="benchmarks.device_layers", page="device_layers", minutes=1.5
    ),
    "native_step": Benchmark(module="benchmarks.native_step", page="speed", minutes=1.5),
    "demo_accuracy": Benchmark(module="benchmarks.demo_accuracy", page="demo", minutes=1.5),
    "tflite_step": Benchmark(module="benchmarks.tflite_step", page="speed", minutes=0.5),
    "onnx_step": Benchmark(module="benchmarks.onnx_step", page="speed", minutes=0.5),
    "sparse": Benchmark(module="benchmarks.sparse", page="sparse", minutes=1),
    "int4": Benchmark(module="benchmarks.int4", page="int4", minutes=0.5),
    "heavy_tails": Benchmark(module="benchmarks.heavy_tails", page="heavy_tails", minutes=1),
    "session_inputs": Benchmark(
        module="benchmarks.session_inputs", page="speed", minutes=0.5, arguments=("--rounds", "40")
    ),
    "native_layout": Benchmark(module="benchmarks.native_layout", page="speed", minutes=0.5),
    "many_sequences": Benchmark(module="benchmarks.many_sequences", page="speed", minutes=1.5),
    "reference_speed": Benchmark(
        module="benchmarks.reference_speed", page="speed", minutes=0.5, arguments=("--rounds", "1")
    ),
    "keys": Benchmark(module="benchmarks.keys", page="keys", minutes=1.5),
    "quantize_speed": Benchmark(
        module="benchmarks.quantize_speed",
        page="speed",
        minutes=0.5,
        arguments=("--rounds", "1"),
        environment={"OPENBLAS_NUM_THREADS": "1"},
    ),
    "mqtt": Benchmark(module="benchmarks.mqtt", page="mqtt", minutes=3),
    "adaptation": Benchmark(
        module="benchmarks.adaptation.run", page="adaptation", minutes=6, data=True
    ),
    "fraud": Benchmark(module="benchmarks.fraud", page="fraud", minutes=3),
    "learning": Benchmark(module="benchmarks.learning", page="learning", minutes=3),
    "arithmetic": Benchmark(
        module="benchmarks.arithmetic.run", page="arithmetic", minutes=15, data=True
    ),
    "accuracy": Benchmark(module="benchmarks.accuracy.run", page="accuracy", minutes=20, data=True),
    "drift": Benchmark(module="benchmarks.drift", page="accuracy", minutes=5, data=True),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0, or 1 if a benchmark or a page failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="run this benchmark, or those of this page; repeatable, or a list with commas",
    )
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    args = parser.parse_args(argv)
    if args.list:
        print("\n".join(_listed()))
        return 0
    wanted = [name for names in args.only or () for name in names.split(",")]
    known = {*BENCHMARKS, *(b.page for b in BENCHMARKS.values())}
    if unknown := [name for name in wanted if name not in known]:
        parser.error(
            f"--only: expected benchmarks or pages, got {', '.join(unknown)}. "
            "Run: python -m benchmarks.all --list"
        )
    chosen = {n: b for n, b in BENCHMARKS.items() if not wanted or {n, b.page} & {*wanted}}
    return run(chosen, has_data=bool(os.environ.get("EDGERNN_DATA")))


def run(
    chosen: dict[str, Benchmark],
    *,
    has_data: bool,
    call: Callable[[Sequence[str], dict[str, str]], int] | None = None,
) -> int:
    """Run benchmarks one after the other, then rebuild their pages.

    Args:
        chosen: name -> benchmark.
        has_data: the data sets are available.
        call: runs `python -m` with these arguments and variables; returns the exit code.

    Returns:
        0, or 1 if one failed.
    """
    call = call or _call
    missing = [name for name, b in chosen.items() if b.data and not has_data]
    ready = {name: b for name, b in chosen.items() if name not in missing}
    failed, begin = [], time.monotonic()
    for number, (name, benchmark) in enumerate(ready.items(), 1):
        _say(f"{number}/{len(ready)} {name} (about {benchmark.minutes:g} min)")
        start = time.monotonic()
        out = ("--out", str(RESULTS / f"{name}.json"))
        code = call((benchmark.module, *benchmark.arguments, *out), benchmark.environment)
        minutes = (time.monotonic() - start) / 60
        if code:
            failed.append(f"{name} (exit code {code})")
        _say(f"    {'failed' if code else 'done'} after {minutes:.1f} min")
    pages = dict.fromkeys([*(b.page for b in ready.values()), *(["summary"] if ready else [])])
    if pages and call(("benchmarks.pages", *pages), {}):
        failed.append("benchmarks.pages")
    if missing:
        _say(f"Not run, because EDGERNN_DATA is not set: {', '.join(missing)}")
    _say(f"Ran {len(ready)} benchmarks in {(time.monotonic() - begin) / 60:.1f} min.")
    if failed:
        _say(f"Failed: {', '.join(failed)}")
    return int(bool(failed))


def _listed() -> list[str]:
    lines = ["name             page           minutes"]
    for name, b in BENCHMARKS.items():
        needs = "  needs EDGERNN_DATA" if b.data else ""
        lines.append(f"{name:16} {b.page:14} {b.minutes:7g}{needs}")
    total = sum(b.minutes for b in BENCHMARKS.values() if not b.data)
    return [*lines, f"{'all without data':31} {total:7g}"]


def _call(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run a module without its tables, which the pages show."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=quiet | os.environ | environment,
        stdout=subprocess.DEVNULL,
        check=False,
    ).returncode


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
