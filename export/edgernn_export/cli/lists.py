"""Arguments that are lists."""

from __future__ import annotations


def comma_list(text: str) -> tuple[str, ...]:
    """The parts between commas, without the space around them."""
    return tuple(part.strip() for part in text.split(","))
