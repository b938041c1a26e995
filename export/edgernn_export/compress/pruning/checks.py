"""Checks of what the user asks for; every refusal names the argument."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgernn.errors import PruningError
from edgernn_export.compress.pruning.masks import PATTERNS

#: Size of a block: mean of absolute values, or root of the mean square.
NORMS: Final = ("l1", "l2")
#: Matrices of a recurrent layer; a Dense layer has the first only.
MATRICES: Final = ("kernel", "recurrent_kernel")

Density = float | Mapping[str, float]


def whole_number(name: str, value: Any, *, least: int) -> None:
    """Refuse what is not an int of at least ``least``.

    Raises:
        PruningError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PruningError(
            f"{name}: expected a whole number of at least {least}, got {value!r}. "
            "Count in training batches."
        )


def choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse what is not among the allowed names.

    Raises:
        PruningError: it is not.
    """
    if value not in allowed:
        raise PruningError(
            f"{name}: expected one of {', '.join(allowed)}, got {value!r}. Choose one of these."
        )


def densities_asked(initial: Any, final: Density, pattern: str) -> dict[str, float]:
    """Check initial and final densities.

    Returns:
        The final densities by gate, or {"": density} where all gates share one.

    Raises:
        PruningError: a density is outside (0, 1], rises, or is not what the pattern gives.
    """
    asked = dict(final) if isinstance(final, Mapping) else {"": final}
    if not asked:
        raise PruningError(
            "final_density: expected a density per gate, got an empty dict. Name at least one gate."
        )
    _density("initial_density", initial)
    for gate, density in asked.items():
        owner = f"final_density[{gate!r}]" if gate else "final_density"
        _density(owner, density)
        if density > initial:
            raise PruningError(
                f"{owner}: expected at most the initial density {initial}, got {density}. "
                "Pruned weights never return; raise initial_density."
            )
        if PATTERNS[pattern].at_most is not None and density != 0.5:
            raise PruningError(
                f"{owner}: expected 0.5 with the pattern {pattern}, got {density}. "
                "This pattern keeps half; leave a gate out of the dict to keep it dense."
            )
    return asked


def _density(owner: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and value == 0:
        raise PruningError(
            f"{owner}: expected a density above 0 and at most 1, got 0. "
            "A matrix without weights computes nothing; remove the layer instead."
        )
    if not number or not math.isfinite(value) or not 0 < value <= 1:
        raise PruningError(
            f"{owner}: expected a density above 0 and at most 1, got {value!r}. "
            "Density is the share of weights that stay."
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
