"""Arguments that are lists."""

from __future__ import annotations

import argparse


def comma_list(text: str) -> tuple[str, ...]:
    """The parts between commas, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


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
