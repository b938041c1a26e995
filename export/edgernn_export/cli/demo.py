"""`edgernn demo`: everything once, on real readings."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Final

from edgernn.cli.style import say
from edgernn_export.demo.forecaster import EPOCHS

HELP: Final = """Train a GRU on the weekly CO2 record of Mauna Loa and stream it as integers.

The forecaster sees the weekly change of the CO2 level and forecasts the level 13 weeks ahead. It
is trained with Keras, quantized to w8a8 and w8a16, written as .edgernn, .tflite and .onnx, and
every reading is streamed through every installed backend. Tables go to stdout; the files, a
picture and all figures (results.json) go to the folder.
Exit code 1 if one value differs between backends, or no runtime is installed.
"""
EXAMPLES: Final = """examples:
  edgernn demo
  edgernn demo -o build/demo
  edgernn demo --epochs 5 --seed 1 -o build/quick
"""


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-o",
        "--output",
        default="build/demo",
        metavar="DIR",
        help="folder for all files (default: build/demo)",
    )
    parser.add_argument(
        "--epochs", type=_count, default=EPOCHS, help=f"of the training (default: {EPOCHS})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the training (default: 0)")


def main(args: argparse.Namespace) -> int:
    """Run the demo; 0 if all backends agree bit for bit."""
    # TensorFlow reads these once, when it is imported: fewer notes on stderr, and no oneDNN, whose
    # choice of kernels by processor would make training depend on the machine more than it must.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    from edgernn_export.demo.pipeline import run_demo
    from edgernn_export.demo.tables import passed, show, to_json

    start = time.perf_counter()
    out = Path(args.output)
    outcome = run_demo(out, args.epochs, args.seed)
    record = to_json(outcome)
    (out / "results.json").write_text(record, encoding="utf-8")
    if args.json:
        print(record, end="")
    else:
        show(outcome)
    say(f"Finished in {time.perf_counter() - start:.0f} s. Files, plot and results.json: {out}")
    return 0 if passed(outcome) else 1
