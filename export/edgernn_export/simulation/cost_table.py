"""Costs of a model on several targets as one table of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgernn.cli.style import bad, good, table
from edgernn_export.simulation.board_cost import BoardCost
from edgernn_firmware_sim.cli.simulation_report import ENERGY_SOURCE

#: Printed for a figure that does not exist.
MISSING: Final = "–"
_HEADINGS: Final = (
    "target", "core", "instructions", "ms", "flash [B]", "RAM [B]", "stack [B]", "µJ", "fits",
    "exact",
)  # fmt: skip
_SIDES: Final = "<<>>>>>>>>"


def cost_table(
    costs: Sequence[BoardCost], unit: str = "step", labels: Sequence[str] | None = None
) -> list[str]:
    """The lines of a table with one row per target, and of the notes below it.

    Args:
        costs: of `board_costs`.
        unit: what one call of the step function is: a step, or a reading.
        labels: names of the rows, if not those of the targets.
    """
    rows = [list(_row(cost)) for cost in costs]
    headings = list(_HEADINGS)
    if labels is not None:
        headings[0] = "model"
        rows = [[label, *row[1:]] for label, row in zip(labels, rows, strict=True)]
    lines = table(headings, rows, _SIDES)
    if any(cost.instructions_per_step is not None for cost in costs):
        lines.append(f"Instructions, ms and µJ are per {unit}; instructions and bytes are exact.")
        lines.append("ms: estimated cycles at the clock of the board.")
    if any(cost.low_uj is not None for cost in costs):
        lines.append(f"µJ: {ENERGY_SOURCE}, of the chip alone.")
    notes = [f"{cost.target}: {cost.note}." for cost in costs if cost.note]
    return [*lines, *dict.fromkeys(notes)]


def _row(cost: BoardCost) -> tuple[str, ...]:
    least = "" if cost.measured else "≥ "
    return (
        cost.target,
        cost.core,
        _number(cost.instructions_per_step),
        _range(cost.low_ms, cost.high_ms),
        f"{least}{cost.flash_bytes:,}",
        f"{least}{cost.ram_bytes:,}",
        _number(cost.stack_bytes),
        _range(cost.low_uj, cost.high_uj),
        _verdict(cost.fits),
        _verdict(cost.exact),
    )


def _number(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return MISSING
    return _figure(low) if low == high else f"{_figure(low)} to {_figure(high)}"


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _verdict(value: bool | None) -> str:
    return MISSING if value is None else good("yes") if value else bad("no")
