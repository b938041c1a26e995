"""Arguments that are lists."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edgernn.errors import EdgeRnnError


def comma_list(text: str) -> tuple[str, ...]:
    """The parts between commas, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


def channel_range(text: str) -> tuple[str, tuple[float, float]]:
    """A channel and the range of its readings, as in ``temperature=-40:85``.

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
        f"expected a channel and its range, as in temperature=-40:85, got {text!r:.80}"
    )


def given_ranges(
    pairs: Sequence[tuple[str, tuple[float, float]]] | None,
) -> dict[str, tuple[float, float]] | None:
    """The ranges of repeated arguments, by channel.

    Raises:
        EdgeRnnError: a channel is named twice.
    """
    ranges = dict(pairs or ())
    if len(ranges) < len(pairs or ()):
        raise EdgeRnnError("--input-range: expected one range per channel, got a channel twice.")
    return ranges or None


def layer_bits(text: str) -> dict[str, int]:
    """Bits of weights by layer, as in ``gru=4,dense=8``.

    Raises:
        argparse.ArgumentTypeError: another form, or a layer named twice.
    """
    bits: dict[str, int] = {}
    for part in comma_list(text):
        name, equals, count = part.partition("=")
        if not (name and equals and count.isdecimal()) or name in bits:
            raise argparse.ArgumentTypeError(
                f"expected distinct layers with their bits, as in gru=4,dense=8, got {text!r:.80}"
            )
        bits[name] = int(count)
    return bits
