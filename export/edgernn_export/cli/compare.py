"""`edgernn compare`: models side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import (
    add_policy_argument,
    add_table_arguments,
    model_file,
    table_options,
)
from edgernn.cli.progress import progress
from edgernn.errors import EdgeRnnError
from edgernn_export.calibration.files import refuse_unreadable
from edgernn_export.cli.arguments import comma_list
from edgernn_export.comparison import compare
from edgernn_export.evaluation.metrics import metric_names

HELP: Final = """Compare models: layers, size, accuracy, time per step and boards.

The table has one column per model: layers, precision, multiply-accumulates, memory of a stream,
bytes of the .edgernn, .tflite and .onnx files (also after gzip), and the time of a step in the
native back-end on this machine.

With --data and --truth, all models are scored on the same test data. With --float, the share of the
float network's accuracy that each model keeps is added. With --target, the firmware of each model
runs in an emulator; instructions and bytes are exact, time and energy are estimates.

Exit code 1 if the firmware of a model gives other values than the reference.
"""
EXAMPLES: Final = """examples:
  edgernn compare small.edgernn large.edgernn
  edgernn compare w8a8.edgernn w8a16.edgernn --float model.keras --data test.csv --truth demand \\
      --horizon 1 -o compare.png
  edgernn compare a.edgernn b.edgernn --float a.keras,b.keras --data test.npz --metric f1
  edgernn compare small.edgernn large.edgernn --target nucleo-f446,pico --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "models",
        metavar="MODEL.edgernn",
        type=model_file,
        nargs="+",
        help="at least two integer models; 'demo' is the packaged one",
    )
    data = parser.add_argument_group("accuracy")
    data.add_argument(
        "--data", type=Path, metavar="FILE", help="test data: CSV, JSON lines, .npy or .npz"
    )
    data.add_argument(
        "--truth", type=comma_list, metavar="A,B,...",
        help="columns of the data that the outputs should be, or the class",
    )  # fmt: skip
    data.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="the truth in a separate file, .npy or .csv: one per reading, or one per sequence",
    )  # fmt: skip
    data.add_argument(
        "--float", type=comma_list, default=(), metavar="A.keras,...", dest="float_models",
        help="the float networks: one for all models, or one for each in the same order",
    )  # fmt: skip
    data.add_argument(
        "--horizon", type=int, default=0, metavar="N",
        help="the truth of a reading is that of N readings later (default: 0)",
    )  # fmt: skip
    data.add_argument(
        "--group", metavar="COLUMN", help="column whose values separate the streams of the data"
    )
    data.add_argument(
        "--metric", choices=metric_names(), help="metric to compare (default: rmse, or accuracy)"
    )
    costs = parser.add_argument_group("costs")
    costs.add_argument(
        "--target", type=comma_list, action="extend", default=[], metavar="A,B,...",
        help="boards or cores to emulate (list them with: edgernn targets); may be repeated",
    )  # fmt: skip
    costs.add_argument(
        "--board", type=Path, action="append", default=[], metavar="FILE.toml",
        help="profile of another board; may be repeated",
    )  # fmt: skip
    costs.add_argument(
        "--no-time", action="store_true", help="do not measure the time of a step on this machine"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT.png", help="draw accuracy over bytes"
    )
    add_policy_argument(parser)
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Measure all models and report; 1 if firmware differs from the reference."""
    if args.output is not None and args.output.suffix.lower() != ".png":
        raise EdgeRnnError(f"--output: expected a name ending in .png, got '{args.output}'.")
    if args.truth is not None and args.labels is not None:
        raise EdgeRnnError("--truth: expected it or --labels, got both. Leave one of them out.")
    if args.data is None and (args.metric or args.group or args.horizon):
        raise EdgeRnnError(
            "--data: expected it together with --metric, --group and --horizon, got none. Pass "
            "test data with --data."
        )
    given = (*args.models, args.data, args.labels, *map(Path, args.float_models))
    refuse_unreadable(*(path for path in given if path is not None))
    truth: Any = args.truth if args.labels is None else args.labels
    scoring: dict[str, Any] = {}
    if args.data is not None:
        scoring = {
            "horizon": args.horizon,
            "group": args.group,
            "metric": args.metric,
            "on_missing": args.on_bad_reading,
            "table": table_options(args),
        }
    with progress("compare") as tell:
        result = compare(
            args.models,
            float_models=args.float_models,
            data=args.data,
            target=truth,
            boards=[*dict.fromkeys(args.target), *args.board],
            timed=not args.no_time,
            progress=tell,
            **scoring,
        )
    print(result.to_json() if args.json else result.table())
    if args.output is not None:
        result.plot(args.output)
    return 0 if result.exact else 1
