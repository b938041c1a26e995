"""`edgernn bench`: benchmark a model on every installed back-end."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgernn.bench.measurement import ROUNDS, benchmark
from edgernn.bench.programs import OWN
from edgernn.bench.result import Benchmark
from edgernn.bench.timings import BenchProgress
from edgernn.bench.verdict import BenchLimits
from edgernn.cli.arguments import (
    add_model_argument,
    add_network_arguments,
    add_program_argument,
    add_table_arguments,
    model_path,
    network_options,
    table_options,
)
from edgernn.cli.bench_text import benchmark_text
from edgernn.cli.progress import show_line
from edgernn.cli.style import is_watched, say
from edgernn.container.file import load_program
from edgernn.errors import EdgeRnnError

HELP: Final = """Measure time per step, memory and size of a model on every installed back-end.

First, all back-ends run the same readings, and their outputs are compared with the reference bit
for bit. If one differs, no figure is printed and the exit code is 1. Then all of them take turns in
interleaved rounds, each in a separate process, on one core with one thread.

With --float and --peers, the float network and the stock INT8 conversions of it are timed as well,
each in the fastest form known to us. Their outputs are compared with the float network, and the
difference is printed.

With --target, boards are added: instructions are counted in an emulator; time and energy are
estimates. With --max-ms, --max-kb or --min-kept, the exit code is 1 if a limit is broken. A limit
on time is compared with the 99th percentile of the back-end that edgernn.load chooses, or of the
slowest one that --backends names.

Anything that is not installed or not possible is listed under "left out" with the reason.
"""
EXAMPLES: Final = """examples:
  edgernn bench model.edgernn
  edgernn bench --model demo --streams 32 --json
  edgernn bench model.edgernn --float model.keras --peers -o bench.png
  edgernn bench model.edgernn --data readings.csv --files model.tflite,model.onnx
  edgernn bench model.edgernn --target nucleo-f446,pico2
  edgernn bench model.edgernn --backends native,tflite-runtime --max-ms 10 --max-kb 1000
  edgernn bench model.edgernn --float model.keras --data test.csv --truth demand --horizon 1 \\
      --min-kept 95
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model_argument(parser, ".edgernn file")
    add_program_argument(parser, "one program of a file that contains several")
    compared = parser.add_argument_group("contenders")
    compared.add_argument(
        "--backends", type=_names, metavar="A,B,...", help=f"{', '.join(OWN)} (default: all)"
    )
    compared.add_argument(
        "--float", metavar="NETWORK", dest="float_model",
        help="the network that the model was quantized from",
    )  # fmt: skip
    add_network_arguments(compared)
    compared.add_argument(
        "--peers", action="store_true",
        help="also time the float network in Keras, TFLite and ONNX Runtime, and their INT8 "
        "conversions; requires --float",
    )  # fmt: skip
    compared.add_argument(
        "--files", type=_names, default=(), metavar="A,B,...",
        help=".tflite and .onnx files of the model (default: exported to a temporary folder, or "
        "the files next to the model)",
    )  # fmt: skip
    compared.add_argument(
        "--target", type=_names, action="extend", default=[], metavar="A,B,...",
        help="boards or cores to add, see edgernn targets; or a board profile, FILE.toml",
    )  # fmt: skip
    compared.add_argument(
        "--streams", type=int, default=8, metavar="N",
        help="time 1 to N streams over the same weights (default: 8)",
    )  # fmt: skip
    compared.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N",
        help=f"interleaved rounds; more of them give steadier figures (default: {ROUNDS})",
    )  # fmt: skip
    data = parser.add_argument_group("readings")
    data.add_argument(
        "--data", metavar="FILE", help="readings, CSV, JSON lines or .npy (default: random ones)"
    )
    data.add_argument(
        "--truth", type=_names, metavar="A,B,...",
        help="columns of the data with the true outputs, to measure the accuracy kept (in edgernn "
        "evaluate: --target)",
    )  # fmt: skip
    data.add_argument(
        "--horizon", type=int, metavar="N",
        help="the true output of a reading is in the row N readings later (default: 0)",
    )  # fmt: skip
    data.add_argument(
        "--group", metavar="COLUMN",
        help="for the accuracy kept: each value of the column is a separate stream",
    )  # fmt: skip
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-ms", type=float, metavar="MS", help="milliseconds of a step")
    limits.add_argument(
        "--max-kb", type=float, metavar="KB", help="kilobytes (1000 bytes) of the .edgernn file"
    )
    limits.add_argument(
        "--min-kept", type=float, metavar="PERCENT",
        help="accuracy of the float network that the model keeps; requires --float, --data and "
        "--truth",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.png", help="draw a picture")
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Measure and report; 1 if a limit is broken."""
    if args.output is not None and args.output.suffix.lower() != ".png":
        raise EdgeRnnError(f"--output: expected a name ending in .png, got '{args.output}'.")
    limits = BenchLimits(max_ms=args.max_ms, max_kb=args.max_kb, min_kept=args.min_kept)
    path = model_path(args)
    if path.suffix in (".tflite", ".onnx", ".keras"):
        raise EdgeRnnError(
            f"bench: expected an .edgernn file, got '{path.name}'. Pass exported files of the "
            "model with --files, and its float network with --float."
        )
    options = table_options(args)
    with _progress() as tell:
        result = benchmark(
            load_program(path, args.program) if args.program else path,
            float_model=args.float_model,
            **network_options(args),
            peers=args.peers,
            backends=args.backends,
            files=args.files,
            data=args.data,
            table=options,
            boards=[Path(t) if t.endswith(".toml") else t for t in args.target],
            streams=args.streams,
            rounds=args.rounds,
            limits=limits,
            evaluate=_evaluation(args, asdict(options)),
            progress=tell,
        )
    print(result.to_json() if args.json else "\n".join(benchmark_text(result)))
    if args.output is not None:
        _draw(result, args.output)
    return 0 if result.passed else 1


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _evaluation(args: argparse.Namespace, table: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments of `evaluate`, if there is something to compare answers with."""
    if args.truth is None:
        for option, value in (("--horizon", args.horizon), ("--group", args.group)):
            if value is not None:
                raise EdgeRnnError(
                    f"{option}: expected --truth as well, got none. Name the column of the data "
                    "that the outputs should be."
                )
        return None
    if args.data is None:
        raise EdgeRnnError(
            "--truth: expected --data as well, got none. Pass a table that contains the column."
        )
    return {
        "data": args.data,
        "target": list(args.truth),
        "horizon": args.horizon or 0,
        "group": args.group,
        "table": table,
    }


def _draw(result: Benchmark, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    result.plot(path)
    say(f"picture: {path}")


@contextmanager
def _progress() -> Iterator[BenchProgress]:
    """A line on stderr that is overwritten, for a person who watches."""
    if not is_watched():
        yield lambda *_: None
        return

    def tell(stage: str, done: int, total: int) -> None:
        bar = ("#" * (24 * done // total)).ljust(24)
        show_line(f"bench [{bar}] {done}/{total}  {stage}")

    try:
        yield tell
    finally:
        show_line("")
