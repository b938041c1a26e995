"""`edgernn demo`: all steps from training to streaming, on real readings."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Final

from edgernn.cli.style import say
from edgernn_export.demo.forecaster import EPOCHS

HELP: Final = """Train a GRU on the weekly CO2 record of Mauna Loa and stream it as integers.

The network reads the weekly change of the CO2 level and forecasts the level 13 weeks ahead. It is
trained with Keras, quantized to w8a8 and w8a16, and written as .edgernn, .tflite and .onnx. Every
reading is then streamed through every installed back-end. The command prints tables and writes the
models, a plot and all figures (results.json) to the output folder.

Exit code 1 if a value differs between back-ends, or if no runtime is installed.
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
        help="folder to write to (default: build/demo)",
    )
    parser.add_argument(
        "--epochs", type=_count, default=EPOCHS, help=f"epochs of the training (default: {EPOCHS})"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")


def main(args: argparse.Namespace) -> int:
    """Run the demo; 0 if all back-ends agree bit for bit."""
    # TensorFlow reads this when it is imported. Without oneDNN, which chooses kernels by processor,
    # training depends less on the machine.
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
