"""Arguments that several subcommands have, and arguments that are lists."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from edgernn.errors import EdgeRnnError
from edgernn_export.calibration.ranges import RangeMethod
from edgernn_export.calibration.stream_kind import StreamKind
from edgernn_export.quantizer.states.storage import STORAGES, States

_LABELS: Final = ("input_names", "input_units", "output_names", "output_units")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the network and its calibration data."""
    parser.add_argument(
        "model", metavar="MODEL.keras", type=Path,
        help="a model of Keras 2 or 3: .keras, HDF5, JSON beside its weights, SavedModel",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.h5", help="weights of an architecture in JSON"
    )
    parser.add_argument("--calibration", required=True, type=Path, metavar="FILE")


def add_range_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how ranges are chosen, or given."""
    parser.add_argument(
        "--range", choices=[m.value for m in RangeMethod], default=RangeMethod.MINMAX.value,
        dest="range_method", help="how ranges are chosen (default: minmax)",
    )  # fmt: skip
    parser.add_argument(
        "--input-range", type=channel_range, action="append", metavar="NAME=LOW:HIGH",
        help="range of the readings of a channel, or of all channels of an input, in physical "
        "units, as a data sheet gives it; may be repeated (default: what calibration saw, with "
        "headroom)",
    )  # fmt: skip


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


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the names of the model and of its channels."""
    parser.add_argument("--name", help="model name (default: stem of OUT)")
    for side in ("input", "output"):
        for what in ("names", "units"):
            parser.add_argument(f"--{side}-{what}", type=comma_list, metavar="A,B,...")


def given_labels(args: argparse.Namespace) -> dict[str, Any]:
    """Names and units of the channels, as `read_keras` takes them."""
    return {name: getattr(args, name) for name in _LABELS}


def comma_list(text: str) -> tuple[str, ...]:
    """The parts between commas, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


def channel_range(text: str) -> tuple[str, tuple[float, float]]:
    """A channel or an input and the range of its readings, as in ``temperature=-40:85``.

    Raises:
        argparse.ArgumentTypeError: another form.
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
        EdgeRnnError: a name is there twice.
    """
    ranges = dict(pairs or ())
    if len(ranges) < len(pairs or ()):
        raise EdgeRnnError("--input-range: expected one range for each name, got a name twice.")
    return ranges or None


def layer_states(text: str) -> States:
    """Storage of states, of all layers or by layer, as in ``32`` or ``lstm=32,gru=16``.

    Raises:
        argparse.ArgumentTypeError: another form, or a layer named twice.
    """
    if text in STORAGES:
        return cast("States", text)
    found: dict[str, Any] = {}
    for part in comma_list(text):
        name, equals, asked = part.partition("=")
        if not (name and equals and asked in STORAGES) or name in found:
            raise argparse.ArgumentTypeError(
                "expected auto, 16 or 32, or distinct layers with one of them, as in "
                f"lstm=32,gru=16, got {text!r:.80}"
            )
        found[name] = asked
    return found


def add_state_argument(parser: argparse.ArgumentParser) -> None:
    """Declare how many bits states have."""
    parser.add_argument(
        "--state", type=layer_states, default="auto", metavar="BITS|LAYER=BITS,...",
        help="bits of recurrent states: 16, 32 (31 in use, for memory of thousands of steps), or "
        "auto, which takes 32 where calibration asks for it (default: auto)",
    )  # fmt: skip


def weight_bits(text: str) -> dict[str, int]:
    """Bits of weights by layer or matrix, as in ``gru.recurrent=4,dense=8``.

    Raises:
        argparse.ArgumentTypeError: another form, or a name that is there twice.
    """
    bits: dict[str, int] = {}
    for part in comma_list(text):
        name, equals, count = part.partition("=")
        if not (name and equals and count.isdecimal()) or name in bits:
            raise argparse.ArgumentTypeError(
                "expected distinct layers or matrices with their bits, as in "
                f"gru.recurrent=4,dense=8, got {text!r:.80}"
            )
        bits[name] = int(count)
    return bits
