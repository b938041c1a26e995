"""Checks of what the user asks of a compression; every refusal names the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from edgernn.errors import PruningError

#: Matrices of a recurrent layer; a Dense layer has the first only.
MATRICES: Final = ("kernel", "recurrent_kernel")


def is_real(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number; True and False are none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def whole_number(
    name: str, value: Any, *, least: int, cure: str = "Count in training batches."
) -> None:
    """Refuse values that are not an int of at least ``least``.

    Raises:
        PruningError: it is not.
    """
    if not is_whole(value) or value < least:
        raise PruningError(
            f"{name}: expected a whole number of at least {least}, got {value!r}. {cure}"
        )


def choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse values that are not among the allowed names.

    Raises:
        PruningError: it is not.
    """
    if value not in allowed:
        raise PruningError(
            f"{name}: expected one of {', '.join(allowed)}, got {value!r}. Choose one of these."
        )


def one_of(**given: Any) -> None:
    """Refuse more than one of arguments that exclude each other.

    Raises:
        PruningError: two or more are not None.
    """
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise PruningError(
            f"{named[0]}: expected at most one of {', '.join(given)}, got "
            f"{' and '.join(named)}. Pass only one."
        )


def matrices_asked(names: Sequence[str]) -> tuple[str, ...]:
    """Check the matrices to prune.

    Raises:
        PruningError: none, or an unknown one.
    """
    if isinstance(names, str) or not names:
        raise PruningError(
            f"matrices: expected a list of {' and '.join(MATRICES)}, got {names!r}. "
            "Name at least one."
        )
    for name in names:
        choice("matrices", name, MATRICES)
    return tuple(names)


def nonnegative(owner: str, value: Any) -> float:
    """Check a number of at least 0.

    Raises:
        PruningError: it is none.
    """
    if not is_real(value) or value < 0:
        raise PruningError(f"{owner}: expected a number of at least 0, got {value!r}.")
    return float(value)


def fraction_asked(owner: str, value: Any) -> float:
    """Check a share in (0, 1].

    Raises:
        PruningError: it is none.
    """
    if not is_real(value) or not 0 < value <= 1:
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
    if not is_whole(value) or not 1 <= value <= units:
        raise PruningError(
            f"{owner}: expected from 1 to {units} units to keep, got {value!r}. "
            "At least one unit stays."
        )
    return value
