"""`edgernn evaluate`: measure the accuracy of an integer model on the user's data."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import (
    add_network_arguments,
    add_policy_argument,
    add_table_arguments,
    model_file,
    network_options,
    table_options,
)
from edgernn.cli.failures import fail
from edgernn.cli.style import bad, good, is_watched, say
from edgernn.container.disk import write_atomically
from edgernn.errors import EdgeRnnError
from edgernn_export.calibration.files import refuse_unreadable
from edgernn_export.cli.arguments import comma_list
from edgernn_export.evaluation.evaluator import ANSWERS, evaluate
from edgernn_export.evaluation.metrics import metric_names
from edgernn_export.evaluation.output_targets import TASKS

HELP: Final = """Compare an integer model with its float network, and both with targets.

Both models run the way the integer model runs: on windows, or on endless streams that start from
the zero state. The data file is a table (CSV or JSON lines, plain, .gz or .xz), a .npy array [T, I]
or [B, T, I], or an .npz file with such arrays or with "x" and "y". Use data that was not
used for training or calibration.

Prints the metrics of both models and the share of the metric that is kept, the difference over
time, clipped readings, saturation, and the largest differences. Exit code 1 if less is kept than
--min-kept.
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
    parser.add_argument(
        "model", metavar="MODEL.edgernn", type=model_file, help="integer model, or 'demo'"
    )
    parser.add_argument(
        "--float", type=Path, metavar="NETWORK", dest="float_model",
        help="the float network it was quantized from (default: score the integer model alone)",
    )  # fmt: skip
    add_network_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, metavar="FILE", help="test data")
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        "--target", type=comma_list, metavar="A,B,...",
        help="target columns of the table: the true outputs, or the class; for several outputs "
        "in order, one column per channel, or one column with the class of a softmax",
    )  # fmt: skip
    truth.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="targets in a separate .npy or .csv file: one per reading, or one per sequence",
    )  # fmt: skip
    parser.add_argument(
        "--horizon", type=int, default=0, metavar="N",
        help="use the target of N readings later, for example 1 if the model forecasts the next "
        "value of the column (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--group", metavar="COLUMN", help="column that separates streams, such as a device ID"
    )
    parser.add_argument("--time", metavar="COLUMN", help="column with timestamps")
    parser.add_argument("--task", choices=TASKS, default="auto", help="kind of the targets")
    parser.add_argument(
        "--answers", choices=ANSWERS, default="auto",
        help="compare every output, or the last output of each stream (default: the last one if "
        "there is one target per sequence)",
    )  # fmt: skip
    parser.add_argument(
        "--metric", choices=metric_names(),
        help="metric for the share kept (default: rmse, or accuracy)",
    )  # fmt: skip
    parser.add_argument(
        "--min-kept", type=float, metavar="PERCENT",
        help="exit with code 1 if the integer model keeps less of the metric",
    )  # fmt: skip
    parser.add_argument(
        "--worst",
        type=int,
        default=5,
        metavar="N",
        help="number of largest differences to print (default: 5)",
    )
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="plot outputs and errors")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT.json", help="write all figures as JSON"
    )
    add_policy_argument(parser)
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run both, compare, judge."""
    _check(args)
    target: Any = args.target if args.labels is None else args.labels
    found = evaluate(
        args.model,
        args.data,
        target,
        float_model=args.float_model,
        **network_options(args),
        metric=args.metric,
        task=args.task,
        horizon=args.horizon,
        answers=args.answers,
        group=args.group,
        time=args.time,
        on_missing=args.on_bad_reading,
        table=table_options(args),
        worst=args.worst,
        progress=is_watched(),
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
        error = EdgeRnnError(
            f"--min-kept: expected {found.metric} of both models, got none. "
            "Pass data on which both models produce outputs."
        )
        return fail("evaluate", error, 1, as_json=False)  # stdout has its document
    enough = 100 * found.kept >= args.min_kept
    verdict = good("ok") if enough else bad("failed")
    say(f"{100 * found.kept:.2f} % of {found.metric} kept, limit {args.min_kept:g} %: {verdict}")
    return 0 if enough else 1


def _check(args: argparse.Namespace) -> None:
    """Reject invalid arguments before any file is read."""
    if args.min_kept is not None:
        if not math.isfinite(args.min_kept) or args.min_kept <= 0:
            raise EdgeRnnError(f"--min-kept: expected a percentage above 0, got {args.min_kept}.")
        targets = args.target or args.labels or args.data.suffix.lower() == ".npz"
        if args.float_model is None or not targets:
            raise EdgeRnnError(
                "--min-kept: expected --float and targets as well, got "
                f"{'no targets' if args.float_model else 'no --float'}. Pass the network with "
                "--float and the targets with --target or --labels."
            )
    for option, path, suffix in (("--plot", args.plot, ".png"), ("--output", args.output, ".json")):
        if path is not None and path.suffix.lower() != suffix:
            raise EdgeRnnError(f"{option}: expected a name ending in {suffix}, got '{path}'.")
    table_options(args)
    given = (args.model, args.float_model, args.weights, args.layout, args.data, args.labels)
    refuse_unreadable(*(path for path in given if path is not None))
