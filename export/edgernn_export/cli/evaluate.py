"""`edgernn evaluate`: is the integer model as good as the network, on the user's data?"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import add_policy_argument, add_table_arguments, table_options
from edgernn.container.disk import write_atomically
from edgernn.errors import EdgeRnnError
from edgernn_export.calibration.files import refuse_unreadable
from edgernn_export.cli.arguments import comma_list
from edgernn_export.evaluation.evaluator import ANSWERS, evaluate
from edgernn_export.evaluation.metrics import metric_names
from edgernn_export.evaluation.output_targets import TASKS

HELP: Final = """Compare an integer model with its float network, and both with the truth.

Both run in the way the model runs: on windows, or on endless streams from the zero state.
DATA is a table, CSV or JSON lines, plain, .gz or .xz; a .npy array [T, I] or [B, T, I]; or an .npz
file of such arrays, or of "x" and "y". It should be data that neither training nor calibration has
seen. Prints metrics of both and the share kept, their difference over time, clipped readings,
saturation inside and the largest differences. Exit code 1 if less is kept than --min-kept asks.
"""
EXAMPLES: Final = """examples:
  edgernn evaluate model.edgernn --float model.keras --data test.csv --target demand --horizon 1
  edgernn evaluate model.edgernn --float model.keras --data test.npy --labels labels.npy \\
      --metric f1 --min-kept 99
  edgernn evaluate model.edgernn --float model.keras --data test.csv --target state \\
      --group device --time timestamp --plot test.png -o test.json
  edgernn evaluate model.edgernn --float model.keras --data test.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL.edgernn", type=Path)
    parser.add_argument(
        "--float", type=Path, metavar="MODEL.keras", dest="float_model",
        help="the network it was quantized from (default: the integer model is scored alone)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.h5", help="weights of an architecture in JSON"
    )
    parser.add_argument("--data", required=True, type=Path, metavar="FILE", help="readings")
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        "--target", type=comma_list, metavar="A,B,...",
        help="columns of the table: what the outputs should be, or the class; of several outputs "
        "in their order, one per channel, or one with the class of a softmax",
    )  # fmt: skip
    truth.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="targets in a file of their own, .npy or .csv: one per reading, or one per sequence",
    )  # fmt: skip
    parser.add_argument(
        "--horizon", type=int, default=0, metavar="N",
        help="the target of a reading is that of N readings later; 1 where a forecaster answers "
        "the column's next value (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--group", metavar="COLUMN", help="each value of the column is a stream of its own"
    )
    parser.add_argument("--time", metavar="COLUMN", help="says when a reading was taken")
    parser.add_argument("--task", choices=TASKS, default="auto", help="what targets are")
    parser.add_argument(
        "--answers", choices=ANSWERS, default="auto",
        help="compare each answer, or the last of every stream (default: the last one where there "
        "is one target per sequence)",
    )  # fmt: skip
    parser.add_argument(
        "--metric", choices=metric_names(),
        help="which one decides what is kept (default: rmse, or accuracy)",
    )  # fmt: skip
    parser.add_argument(
        "--min-kept", type=float, metavar="PERCENT",
        help="exit code 1 where the integer model keeps less of the metric",
    )  # fmt: skip
    parser.add_argument(
        "--worst", type=int, default=5, metavar="N", help="largest differences (default: 5)"
    )
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw answers and errors")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.json", help="save all figures")
    add_policy_argument(parser)
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run both, compare, judge."""
    _check(args)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    target: Any = args.target if args.labels is None else args.labels
    found = evaluate(
        args.model,
        args.data,
        target,
        float_model=args.float_model,
        weights=args.weights,
        metric=args.metric,
        task=args.task,
        horizon=args.horizon,
        answers=args.answers,
        group=args.group,
        time=args.time,
        on_missing=args.on_bad_reading,
        table=table_options(args),
        worst=args.worst,
        progress=sys.stderr.isatty(),
    )
    if args.output is not None:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.output, (found.to_json() + "\n").encode())
    if args.plot is not None:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        found.plot(args.plot)
    print(found.to_json() if args.json else found.table())
    if args.min_kept is None:
        return 0
    if found.kept is None:
        print(
            f"--min-kept: expected {found.metric} of both models, got none that can be compared.",
            file=sys.stderr,
        )
        return 1
    enough = 100 * found.kept >= args.min_kept
    print(
        f"kept: {100 * found.kept:.2f} % of {found.metric}, "
        f"{'at least' if enough else 'less than'} {args.min_kept:g} %",
        file=sys.stderr,
    )
    return 0 if enough else 1


def _check(args: argparse.Namespace) -> None:
    """Refuse what can be refused before anything is read."""
    if args.min_kept is not None:
        if not math.isfinite(args.min_kept) or args.min_kept <= 0:
            raise EdgeRnnError(f"--min-kept: expected percent above 0, got {args.min_kept}.")
        targets = args.target or args.labels or args.data.suffix.lower() == ".npz"
        if args.float_model is None or not targets:
            raise EdgeRnnError(
                "--min-kept: expected --float and targets beside it, got "
                f"{'no targets' if args.float_model else 'no --float'}. Name the column with "
                "--target, or a file with --labels, and the network with --float."
            )
    for option, path, suffix in (("--plot", args.plot, ".png"), ("--output", args.output, ".json")):
        if path is not None and path.suffix.lower() != suffix:
            raise EdgeRnnError(f"{option}: expected a name ending in {suffix}, got '{path}'.")
    table_options(args)
    given = (args.model, args.float_model, args.weights, args.data, args.labels)
    refuse_unreadable(*(path for path in given if path is not None))
