"""Which networks are trained: one record each, its name that of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: The recipes every table has.
RECIPES: Final = ("hapt", "etth1", "fsdd")
BINARY: Final = "hapt_binary"
SEEDS: Final = 5
#: Quantized after training and with it.
QUANTIZED: Final = ("GRU", 32)
#: Pruned in 8x4 blocks.
PRUNED: Final = ("GRU", 64)
PATTERN: Final = "8x4"
DENSITIES: Final = (0.5, 0.3, 0.1)
TEACHER: Final = ("LSTM", 64)
STUDENTS: Final = (("GRU", 16), ("GRU", 8), ("GRU", 4))
#: Hidden sizes of the accuracy-by-bytes curve.
CURVE_UNITS: Final = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training.

    Attributes:
        recipe: what is learnt.
        cell: of the one recurrent layer.
        units: its size.
        seed: of weights, order and noise.
        density: share of blocks that stay, 1 for all.
        distilled: whether the teacher of the same recipe and seed is listened to.
    """

    recipe: str
    cell: str
    units: int
    seed: int
    density: float = 1.0
    distilled: bool = False

    @property
    def name(self) -> str:
        """Stem of its files."""
        extra = f"_density{round(100 * self.density)}" if self.density < 1.0 else ""
        extra += "_distilled" if self.distilled else ""
        return f"{self.recipe}_{self.cell.lower()}{self.units}{extra}_{self.seed}"

    @property
    def teacher(self) -> Run:
        """Whose answers a distilled student learns from."""
        cell, units = TEACHER
        return Run(recipe=self.recipe, cell=cell, units=units, seed=self.seed)


def runs(recipes: Sequence[str], seeds: int) -> list[Run]:
    """All trainings of some recipes; teachers come before their students."""
    planned: list[Run] = []
    for recipe in recipes:
        for seed in range(seeds):
            planned += _curve(seed) if recipe == BINARY else _tables(recipe, seed)
    return sorted(planned, key=lambda run: run.distilled)


def _tables(recipe: str, seed: int) -> list[Run]:
    def run(size: tuple[str, int], density: float = 1.0, distilled: bool = False) -> Run:
        cell, units = size
        return Run(
            recipe=recipe, cell=cell, units=units, seed=seed, density=density, distilled=distilled
        )

    dense = [run(size) for size in (TEACHER, PRUNED, QUANTIZED, *STUDENTS)]
    taught = [run(size, distilled=True) for size in STUDENTS]
    return [*dense, *(run(PRUNED, d) for d in DENSITIES), *taught]


def _curve(seed: int) -> list[Run]:
    return [Run(recipe=BINARY, cell="GRU", units=units, seed=seed) for units in CURVE_UNITS]
