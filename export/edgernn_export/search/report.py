"""The results of a search, as text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edgernn.cli.style import bad, table
from edgernn_export.search.searcher import PICTURE, SUMMARY, Outcome
from edgernn_export.search.trials import FAILED, REFUSED, TRAINED


def show(outcome: Outcome, out: Path) -> None:
    """Print counts, the Pareto front and the verdicts on stdout.

    Args:
        outcome: of `search`.
        out: the folder with the models.
    """
    counts = Counter(row.outcome for row in outcome.rows)
    print(
        f"{counts[TRAINED]} configurations trained, {counts[REFUSED]} skipped before training, "
        f"{counts[FAILED]} failed, of {outcome.settings.space.size:,}"
    )
    if outcome.reclaimed:
        print(f"{outcome.reclaimed} unfinished trials of an earlier search repeated")
    for row in outcome.rows:
        if row.outcome == FAILED:
            print(f"{bad('failed:')} {row.configuration.label}: {row.reason}")
    if outcome.least:
        print("No configuration meets the limits. The nearest ones, with the fewest units:")
        for least in outcome.least:
            print(f"  {least.sentence()}")
    elif not outcome.chosen:
        print(_nothing_found(outcome))
    else:
        _show_front(outcome)
        print(f"Models, {SUMMARY} and {PICTURE}: {out}")


def _nothing_found(outcome: Outcome) -> str:
    """Why no model was found, although a configuration may meet the limits."""
    if not outcome.rows:
        return "No configuration was tried: no time was left."
    last = outcome.rows[-1]
    return (
        "No trained configuration meets the limits yet. Continue with more trials. "
        f"Last trial: {last.configuration.label}: {last.reason}"
    )


def _show_front(outcome: Outcome) -> None:
    settings = outcome.settings
    metric, place = settings.trainer.metric, settings.place
    titles = (
        "model", f"validation {metric}", f"test {metric}", "flash [B]", "RAM [B]", "instructions",
        "estimated ms",
    )  # fmt: skip
    rows = []
    for model in outcome.chosen:
        cost = model.cost
        rows.append(
            (
                model.row.configuration.label,
                f"{model.row.score:.4g}",
                f"{model.test_score:.4g}",
                f"{cost.flash_bytes:,}",
                f"{cost.ram_bytes:,}",
                "-" if cost.instructions is None else f"{cost.instructions:,}",
                "-" if cost.instructions is None else f"{cost.low_ms:.3g} to {cost.high_ms:.3g}",
            )
        )
    print(f"Pareto front: {metric} and {settings.objective}, {place.target}")
    print("\n".join(table(titles, rows, "<>>>>>>")))
    print(
        "Bytes and instructions are exact, from the linked firmware in the emulator. Milliseconds "
        f"are estimated at {place.clock_hz / 1e6:g} MHz ({place.clock_source}): "
        f"{place.costs.accuracy}"
    )
    for model in outcome.chosen:
        print(f"{model.row.configuration.label}: {model.verdict()}")
