"""How many weights stay, and which matrix and which gate gets how many of them.

The schedule is the polynomial one of Zhu & Gupta (2017), "To prune, or not to prune", equation 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import PruningError
from edgernn_export.compress.checks import is_real, whole_number
from edgernn_export.compress.pruning.masks import PATTERNS, Pattern, kept_count
from edgernn_export.compress.pruning.matrices import Matrix

Density = float | Mapping[str, float]
#: Who competes for a density: the gates of a matrix; nobody; a gate's kernel and recurrent kernel
#: share by their sizes.
ALLOCATIONS: Final = ("matrix", "gate", "erdos-renyi")
#: No gate starves, and the smaller matrix is the denser one.
DEFAULT_ALLOCATION: Final = "erdos-renyi"
#: Final densities by matrix, then by gate; the empty name stands for all gates together.
Shares = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When masks are renewed, and how dense they are then. A step is one training batch.

    Attributes:
        begin_step: batches done when pruning begins; 0 prunes before the first batch.
        end_step: batches done when the final density is reached.
        frequency: batches between two renewals.
        power: exponent of the polynomial; 3 in the paper.

    Raises:
        PruningError: the steps are not whole numbers in order.
    """

    begin_step: int
    end_step: int
    frequency: int
    power: int

    def __post_init__(self) -> None:
        """Check the steps."""
        whole_number("begin_step", self.begin_step, least=0)
        whole_number("end_step", self.end_step, least=self.begin_step)
        whole_number("frequency", self.frequency, least=1)
        whole_number("power", self.power, least=1)

    def due(self, step: int) -> bool:
        """Whether masks are renewed once this many batches are done; always so at the end."""
        if not self.begin_step <= step <= self.end_step:
            return False
        return step == self.end_step or (step - self.begin_step) % self.frequency == 0

    def density(self, step: int, initial: float, final: float) -> float:
        """Share of weights to keep once this many batches are done."""
        if step < self.begin_step:
            return 1.0
        if step >= self.end_step:
            return final
        left = 1.0 - (step - self.begin_step) / (self.end_step - self.begin_step)
        return float(final + (initial - final) * left**self.power)


def allocate(
    matrices: Sequence[Matrix],
    asked: Mapping[str, float],
    *,
    allocation: str,
    pattern: str,
    initial: float,
) -> Shares:
    """Final densities of every matrix and gate.

    Args:
        matrices: the matrices of a model.
        asked: densities by gate, or one of all gates under the empty name.
        allocation: one of `ALLOCATIONS`.
        pattern: a name in `PATTERNS`.
        initial: density at the beginning; none is more dense at the end.
    """
    shares = {matrix.name: _gates(matrix, asked, allocation) for matrix in matrices}
    cut = PATTERNS[pattern]
    # Where n of m stay in every group there is nothing to share.
    if allocation == "erdos-renyi" and cut.at_most is None:
        for pair in _pairs(matrices):
            for gate, density in shares[pair[0].name].items():
                counts = _erdos_renyi([_groups(m, cut) for m in pair], density, initial)
                for matrix, (kept, groups) in zip(pair, counts, strict=True):
                    shares[matrix.name][gate] = kept / groups
    return shares


def _gates(matrix: Matrix, asked: Mapping[str, float], allocation: str) -> dict[str, float]:
    if "" in asked and allocation != "matrix":
        return dict.fromkeys(matrix.gates, asked[""])
    return dict(asked)


def _pairs(matrices: Iterable[Matrix]) -> list[list[Matrix]]:
    """Kernel and recurrent kernel of the same gates of each cell where both are pruned."""
    maps: dict[tuple[str, tuple[str, ...]], list[Matrix]] = {}
    for matrix in matrices:
        maps.setdefault((matrix.name.rpartition("/")[0], matrix.gates), []).append(matrix)
    return [pair for pair in maps.values() if len(pair) == 2]


def _groups(matrix: Matrix, pattern: Pattern) -> tuple[int, int]:
    """Groups of one gate, downwards and across."""
    rows, columns = matrix.shape
    return -(-(rows // len(matrix.gates)) // pattern.rows), -(-columns // pattern.columns)


def _erdos_renyi(
    sizes: Sequence[tuple[int, int]], density: float, initial: float
) -> list[tuple[int, int]]:
    """Groups that stay and groups, of a gate's kernel and of its recurrent kernel.

    Random graphs of the same mean degree: each matrix gets groups in proportion to the sum of its
    sides (Mocanu et al. 2018), so that the smaller one is the denser one.
    """
    kernel_sides, state_sides = [down + across for down, across in sizes]
    kernel, state = [down * across for down, across in sizes]
    total = max(2, kept_count(density, kernel + state))
    wanted = round(total * kernel_sides / (kernel_sides + state_sides))
    # Together the two bounds hold all that stays, as both are rounded up.
    least = max(1, total - kept_count(initial, state))
    kept = min(max(wanted, least), kept_count(initial, kernel), total - 1)
    return [(kept, kernel), (total - kept, state)]


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
                "Pruned weights stay zero: raise initial_density."
            )
        if PATTERNS[pattern].at_most is not None and density != 0.5:
            raise PruningError(
                f"{owner}: expected 0.5 with the pattern {pattern}, got {density}. This "
                "pattern keeps half of the weights; to keep a gate dense, remove it from the "
                "dict."
            )
    return asked


def _density(owner: str, value: Any) -> None:
    if is_real(value) and value == 0:
        raise PruningError(
            f"{owner}: expected a density above 0 and at most 1, got 0. To remove all weights, "
            "remove the layer instead."
        )
    if not is_real(value) or not 0 < value <= 1:
        raise PruningError(
            f"{owner}: expected a density above 0 and at most 1, got {value!r}. "
            "Density is the share of weights that stay."
        )
