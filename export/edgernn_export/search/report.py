"""What a search found, as tables for people."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgernn_export.search.searcher import PICTURE, SUMMARY, Outcome
from edgernn_export.search.trials import FAILED, REFUSED, TRAINED

if TYPE_CHECKING:
    from rich.console import Console

#: Columns where nobody watches: tables in files are not cut.
_FILE_WIDTH: Final = 160


def show(outcome: Outcome, out: Path) -> None:
    """Print counts, the Pareto front and the verdicts on stdout.

    Args:
        outcome: of `search`.
        out: the folder it was written to.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else _FILE_WIDTH
    console = Console(highlight=False, markup=False, soft_wrap=True, width=width)
    counts = Counter(row.outcome for row in outcome.rows)
    console.print(
        f"{counts[TRAINED]} configurations trained, {counts[REFUSED]} refused before training, "
        f"{counts[FAILED]} failed, of {outcome.settings.space.size:,}"
    )
    if outcome.reclaimed:
        console.print(f"{outcome.reclaimed} that an earlier search left in the middle done again")
    for row in outcome.rows:
        if row.outcome == FAILED:
            console.print(f"failed: {row.configuration.label}: {row.reason}")
    if outcome.least:
        console.print("no configuration meets the limits; of the fewest units, the nearest:")
        for least in outcome.least:
            console.print(f"  {least.sentence()}")
    elif not outcome.chosen:
        console.print(_nothing_found(outcome))
    else:
        _show_front(console, outcome)
        console.print(f"models, {SUMMARY} and {PICTURE} are in {out}")


def _nothing_found(outcome: Outcome) -> str:
    """Why there is no front though some configuration may meet the limits."""
    if not outcome.rows:
        return "nothing was tried: no time was left"
    last = outcome.rows[-1]
    return (
        "no trained configuration meets the limits yet: search on with more trials. "
        f"The last: {last.configuration.label}: {last.reason}"
    )


def _show_front(console: Console, outcome: Outcome) -> None:
    from rich.table import Table

    settings = outcome.settings
    metric, place = settings.trainer.metric, settings.place
    title = f"Pareto front: {metric} and {settings.objective}, {place.target}"
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for heading in (
        f"validation {metric}", f"test {metric}", "flash [B]", "RAM [B]", "instructions",
        "estimated ms",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for model in outcome.chosen:
        cost = model.cost
        table.add_row(
            model.row.configuration.label,
            f"{model.row.score:.4g}",
            f"{model.test_score:.4g}",
            f"{cost.flash_bytes:,}",
            f"{cost.ram_bytes:,}",
            "-" if cost.instructions is None else f"{cost.instructions:,}",
            "-" if cost.instructions is None else f"{cost.low_ms:.3g} to {cost.high_ms:.3g}",
        )
    console.print(table)
    console.print(
        "bytes and instructions are exact, of the linked firmware in the emulator; milliseconds "
        f"are estimated at {place.clock_hz / 1e6:g} MHz ({place.clock_source}): "
        f"{place.costs.accuracy}"
    )
    for model in outcome.chosen:
        console.print(f"{model.row.configuration.label}: {model.verdict()}")
