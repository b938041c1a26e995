"""Arguments that several commands share, and the types of list arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from edgernn.cli.arguments import add_network_arguments
from edgernn.errors import EdgeRnnError
from edgernn_export.calibration.ranges import RangeMethod
from edgernn_export.calibration.stream_kind import StreamKind
from edgernn_export.quantizer.states.storage import STORAGES, States

_LABELS: Final = ("input_names", "input_units", "output_names", "output_units")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the network and its calibration data."""
    parser.add_argument(
        "model", metavar="NETWORK", type=Path,
        help="trained network: ONNX, Keras 2 or 3 (.keras, HDF5, SavedModel, or JSON with "
        "--weights), or weights with --layout",
    )  # fmt: skip
    add_network_arguments(parser)
    parser.add_argument(
        "--calibration", required=True, type=Path, metavar="FILE", help="representative readings"
    )


def add_range_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how ranges are chosen."""
    parser.add_argument(
        "--range", choices=[m.value for m in RangeMethod], default=RangeMethod.MINMAX.value,
        dest="range_method", help="method that chooses ranges (default: minmax)",
    )  # fmt: skip
    parser.add_argument(
        "--input-range", type=channel_range, action="append", metavar="NAME=LOW:HIGH",
        help="range of a channel, of all channels of an input, or of all that are left ('*'), in "
        "physical units, for example from a data sheet; repeatable (default: the range of the "
        "calibration data, plus headroom)",
    )  # fmt: skip


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the model streams."""
    parser.add_argument(
        "--stream", choices=get_args(StreamKind), default="auto",
        help="windows, which start from the zero state as in predict, or one endless stream "
        "(default: auto, from the network's input shape)",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=int, metavar="T",
        help="readings in a window (default: from the network's input shape)",
    )  # fmt: skip
    parser.add_argument(
        "--hop", type=int, metavar="N",
        help="readings between two outputs of a window model (default: 1)",
    )  # fmt: skip


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the names of the model and of its channels."""
    parser.add_argument("--name", help="model name (default: output file name without suffix)")
    for side in ("input", "output"):
        for what in ("names", "units"):
            parser.add_argument(
                f"--{side}-{what}", type=comma_list, metavar="A,B,...",
                help=f"{what} of the {side} channels",
            )  # fmt: skip


def given_labels(args: argparse.Namespace) -> dict[str, Any]:
    """Names and units of the channels, as arguments of `read_keras`."""
    return {name: getattr(args, name) for name in _LABELS}


def comma_list(text: str) -> tuple[str, ...]:
    """The parts between commas, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


def channel_range(text: str) -> tuple[str, tuple[float, float]]:
    """A channel or an input and the range of its readings, as in ``temperature=-40:85``.

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    name, _, ends = text.rpartition("=")
    low, colon, high = ends.partition(":")
    try:
        if name and colon:
            return name, (float(low), float(high))
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"expected a name and its range, as in temperature=-40:85, got {text!r:.80}"
    )


def given_ranges(
    pairs: Sequence[tuple[str, tuple[float, float]]] | None,
) -> dict[str, tuple[float, float]] | None:
    """The ranges of repeated arguments, by name.

    Raises:
        EdgeRnnError: a name appears twice.
    """
    ranges = dict(pairs or ())
    if len(ranges) < len(pairs or ()):
        raise EdgeRnnError("--input-range: expected one range per name, got two. Remove one.")
    return ranges or None


def layer_states(text: str) -> States:
    """Storage of states, of all layers or by layer, as in ``32`` or ``lstm=32,gru=16``.

    Raises:
        argparse.ArgumentTypeError: the text has another form, or a layer appears twice.
    """
    if text in STORAGES:
        return cast("States", text)
    found: dict[str, Any] = {}
    for part in comma_list(text):
        name, equals, asked = part.partition("=")
        if not (name and equals and asked in STORAGES) or name in found:
            raise argparse.ArgumentTypeError(
                "expected auto, 16 or 32, or one of them per layer, as in lstm=32,gru=16, "
                f"got {text!r:.80}"
            )
        found[name] = asked
    return found


def add_state_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the number of bits of the states."""
    parser.add_argument(
        "--state", type=layer_states, default="auto", metavar="BITS|LAYER=BITS,...",
        help="bits of recurrent states: 16, 32 (31 used, for memory over thousands of steps), or "
        "auto, which uses 32 if the calibration data require it (default: auto)",
    )  # fmt: skip


def weight_bits(text: str) -> dict[str, int]:
    """Bits of weights by layer or matrix, as in ``gru.recurrent=4,dense=8``.

    Raises:
        argparse.ArgumentTypeError: the text has another form, or a name appears twice.
    """
    bits: dict[str, int] = {}
    for part in comma_list(text):
        name, equals, count = part.partition("=")
        if not (name and equals and count.isdecimal()) or name in bits:
            raise argparse.ArgumentTypeError(
                "expected layers or matrices, each once, with their bits, as in "
                f"gru.recurrent=4,dense=8, got {text!r:.80}"
            )
        bits[name] = int(count)
    return bits
