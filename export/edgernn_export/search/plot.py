"""A picture of a search: score over cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edgernn_export.search.pareto import Chosen
from edgernn_export.search.settings import Settings
from edgernn_export.search.trials import TRAINED, Row

_AXES: Final = {"flash": "flash of the model [bytes]", "ms": "estimated time of a step [ms]"}
_LIMITS: Final = {"flash": "flash_bytes", "ms": "step_ms"}


def draw(settings: Settings, rows: Sequence[Row], chosen: Sequence[Chosen], path: Path) -> None:
    """Write the picture.

    Args:
        settings: of the search.
        rows: finished trials; those that were trained are drawn.
        chosen: the front.
        path: of the .png file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    numbers = {model.row.number for model in chosen}
    trained = [row for row in rows if row.outcome == TRAINED and row.cost is not None]
    for label, marker, colour, group in (
        ("trained", "o", "0.7", [r for r in trained if r.number not in numbers and not r.reason]),
        ("over a limit once trained", "x", "tab:red", [r for r in trained if r.reason]),
    ):
        if group:
            axes.scatter(*_points(settings, group), marker=marker, color=colour, label=label)
    if chosen:
        _draw_front(settings, axes, [model.row for model in chosen])
    limit = getattr(settings.limits, _LIMITS[settings.objective])
    if limit is not None:
        axes.axvline(limit, color="tab:red", linestyle="--", label="limit")
    axes.set_xlabel(f"{_AXES[settings.objective]}, {settings.place.target}")
    axes.set_ylabel(f"validation {settings.trainer.metric}, integer model")
    axes.legend()
    # Without the library's version in the file, the same figures give the same picture.
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _draw_front(settings: Settings, axes: Any, best: Sequence[Row]) -> None:
    """Steps: below and right of them lies what they beat."""
    costs, scores = _points(settings, best)
    axes.plot(costs, scores, "o-", drawstyle="steps-post", color="tab:blue", label="Pareto front")
    for row, x, y in zip(best, costs, scores, strict=True):
        axes.annotate(
            row.configuration.label, (x, y), fontsize=7, textcoords="offset points",
            xytext=(4, -9),
        )  # fmt: skip


def _points(settings: Settings, rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    costs = [settings.price(row.cost) for row in rows if row.cost is not None]
    return costs, [row.score for row in rows if row.score is not None]
