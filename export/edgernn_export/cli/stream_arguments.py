"""How a model is to stream, as arguments of the commands that quantize."""

from __future__ import annotations

import argparse
from typing import get_args

from edgernn_export.calibration.stream_kind import StreamKind


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the model is to stream."""
    parser.add_argument(
        "--stream", choices=get_args(StreamKind), default="auto",
        help="windows, each from the zero state as in predict, or one endless stream (default: "
        "auto, what the network was made for)",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=int, metavar="T",
        help="readings in a window (default: what the network's input takes)",
    )  # fmt: skip
    parser.add_argument(
        "--hop", type=int, metavar="N",
        help="readings between one answer of a window model and the next (default: 1)",
    )  # fmt: skip
