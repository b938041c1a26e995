"""Checks of what the user asks for; every refusal names the argument."""

from __future__ import annotations

import math
from typing import Any

from edgernn.errors import PruningError


def one_of(**given: Any) -> None:
    """Refuse more than one of arguments that exclude each other.

    Raises:
        PruningError: two or more are not None.
    """
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise PruningError(
            f"{named[0]}: expected at most one of {', '.join(given)}, got {' and '.join(named)}. "
            "Choose one."
        )


def real(value: Any) -> bool:
    """Whether it is a finite number; True and False are none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def nonnegative(owner: str, value: Any) -> float:
    """Check a number of at least 0.

    Raises:
        PruningError: it is none.
    """
    if not real(value) or value < 0:
        raise PruningError(f"{owner}: expected a number of at least 0, got {value!r}.")
    return float(value)


def fraction_asked(owner: str, value: Any) -> float:
    """Check a share in (0, 1].

    Raises:
        PruningError: it is none.
    """
    if not real(value) or not 0 < value <= 1:
        raise PruningError(
            f"{owner}: expected a share above 0 and at most 1, got {value!r}. "
            "It is the share that stays."
        )
    return float(value)


def units_asked(owner: str, value: Any, units: int) -> int:
    """Check how many of a layer's units stay.

    Raises:
        PruningError: not a whole number from 1 to all of them.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= units:
        raise PruningError(
            f"{owner}: expected from 1 to {units} units to keep, got {value!r}. "
            "At least one unit stays."
        )
    return value
