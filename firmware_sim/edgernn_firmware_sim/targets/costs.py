"""Cycle estimates: the cost of instructions on a core, as a range, from documented tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import TargetError

#: Instructions that a table may price: the kinds of `emulator.instructions`, and three more.
#: `instruction` prices all kinds that are not listed. `taken` is added for branches, calls and
#: returns that jump, `register` for each register of an instruction that moves several.
KINDS: Final = (
    "load", "paired_load", "load_many", "store", "store_many", "multiply", "mac", "long_multiply",
    "long_mac", "divide", "alu", "shift", "saturate", "branch", "call", "return", "return_many",
    "vector", "other",
)  # fmt: skip
_EXTRAS: Final = ("taken", "register")
#: A kind without a price has the price of this one, or else of `instruction`.
_LIKE: Final = {"paired_load": "load"}

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Cycles of one core, each from a low to a high figure, without wait states.

    Attributes:
        core: whose they are, for example ``cortex-m0plus``.
        error_percent: presumed error of an estimate made with them; 0 if it is unknown.
        accuracy: a sentence about that error.
        cycles: price list; `instruction` is always in it.
    """

    core: str
    error_percent: float
    accuracy: str
    cycles: Mapping[str, Range]

    def of(self, kind: str) -> Range:
        """Price of one instruction of a kind."""
        like = _LIKE.get(kind, kind)
        return self.cycles.get(kind) or self.cycles.get(like) or self.cycles["instruction"]

    def extra(self, name: str) -> Range:
        """Additional price: ``taken`` or ``register``."""
        return self.cycles.get(name, (0.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Estimated, not measured.

    Attributes:
        core: whose cycles.
        low_cycles: of one step: low figures, or the presumed error below the middle if that is
            less.
        high_cycles: high figures, or the presumed error above the middle if that is more.
        memory_factor: by which both were multiplied for slow memory.
        accuracy: a sentence about the error.
    """

    core: str
    low_cycles: float
    high_cycles: float
    memory_factor: float
    accuracy: str

    def ms(self, clock_hz: int) -> Range:
        """Milliseconds of one step at a clock."""
        return 1e3 * self.low_cycles / clock_hz, 1e3 * self.high_cycles / clock_hz


def estimate(
    costs: Costs,
    kinds: Mapping[str, float],
    *,
    taken: float,
    registers: float,
    memory_factor: float = 1.0,
) -> Estimate:
    """Price executed instructions.

    Args:
        costs: of the core.
        kinds: how often instructions of each kind were executed in one step.
        taken: how often the next instruction was not the following one in memory.
        registers: moved by instructions that move several.
        memory_factor: for flash with wait states, at least 1; 1.3 to 2 is usual for boards that
            run from flash with poor settings.

    Raises:
        TargetError: the factor is below 1.
    """
    if not 1.0 <= memory_factor < float("inf"):
        raise TargetError(
            f"memory factor: expected at least 1 (no wait states), got {memory_factor}."
        )
    low, high = (
        sum(costs.of(kind)[end] * count for kind, count in kinds.items())
        + costs.extra("taken")[end] * taken
        + costs.extra("register")[end] * registers
        for end in (0, 1)
    )
    middle, error = (low + high) / 2, costs.error_percent / 100
    return Estimate(
        core=costs.core,
        low_cycles=min(low, middle * (1 - error)) * memory_factor,
        high_cycles=max(high, middle * (1 + error)) * memory_factor,
        memory_factor=memory_factor,
        accuracy=costs.accuracy,
    )


def parse_costs(owner: str, table: object) -> dict[str, Costs]:
    """Make price lists of the ``[costs.<core>]`` tables of a core profile.

    Args:
        owner: name for error messages.
        table: the value of ``costs``.

    Raises:
        TargetError: names the wrong entry.
    """
    if not isinstance(table, dict) or not table:
        raise TargetError(f"{owner}: expected a table for each core, got {table!r:.60}.")
    return {core: _parse_one(f"{owner}.{core}", core, entry) for core, entry in table.items()}


def _parse_one(owner: str, core: str, entry: object) -> Costs:
    table: dict[str, Any] = dict(entry) if isinstance(entry, dict) else {}
    accuracy = table.pop("accuracy", None)
    if not isinstance(accuracy, str) or not accuracy:
        raise TargetError(f"{owner}.accuracy: expected a text, got {accuracy!r}.")
    allowed = ("instruction", *_EXTRAS, *KINDS)
    error = table.pop("error_percent", None)
    if type(error) not in (int, float) or not 0 <= error < 100:
        raise TargetError(f"{owner}.error_percent: expected a number in [0, 100), got {error!r}.")
    strange = [name for name in table if name not in allowed]
    if strange or "instruction" not in table:
        raise TargetError(
            f"{owner}: expected 'instruction' and any of {', '.join(allowed[1:])}, "
            f"got {', '.join(table) or 'none'}."
        )
    cycles = {name: _parse_range(f"{owner}.{name}", value) for name, value in table.items()}
    return Costs(core=core, error_percent=float(error), accuracy=accuracy, cycles=cycles)


def _parse_range(owner: str, value: object) -> Range:
    if isinstance(value, list) and len(value) == 2 and {type(v) for v in value} <= {int, float}:
        low, high = value
        if 0 <= low <= high < float("inf"):
            return float(low), float(high)
    raise TargetError(f"{owner}: expected [low, high] with 0 <= low <= high, got {value!r:.60}.")
