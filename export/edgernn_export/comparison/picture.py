"""The picture of a comparison: accuracy over bytes, one labeled point per model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edgernn_export.comparison.compared_model import ComparedModel

#: Metrics for which more is better.
_SCORES: Final = ("accuracy", "f1", "r2")
_COLOR: Final = "tab:blue"


def draw(models: Sequence[ComparedModel], data: str, path: Path) -> Path:
    """Write the picture.

    Args:
        models: those of a comparison; if one has a score, those without are left out.
        data: name of the test data.
        path: of the .png file.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    scored = [model for model in models if model.score is not None]
    if len({model.metric for model in scored}) == 1:  # scores of one kind share an axis
        _draw_scores(axes, scored, data)
    else:
        _draw_bytes(axes, models)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the library's version in the file, the same figures give the same picture.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return path


def _draw_scores(axes: Any, scored: Sequence[ComparedModel], data: str) -> None:
    """A point per model, and a fainter one for its float network."""
    for rank, model in enumerate(sorted(scored, key=lambda model: model.file_bytes)):
        kilobytes = model.file_bytes / 1000
        if model.float_score is not None:
            axes.plot([kilobytes] * 2, [model.float_score, model.score], color="0.8", zorder=1)
            axes.plot(kilobytes, model.float_score, "o", markerfacecolor="white", color="0.5")
        axes.plot(kilobytes, model.score, "o", color=_COLOR)
        # Above and below by turns: labels of neighbors with similar sizes do not overlap.
        above = rank % 2 == 0
        axes.annotate(
            model.label, (kilobytes, model.score), xytext=(0, 9 if above else -9),
            textcoords="offset points", fontsize=9, ha="center", va="bottom" if above else "top",
        )  # fmt: skip
    axes.plot([], [], "o", color=_COLOR, label="integer model")
    if any(model.float_score is not None for model in scored):
        axes.plot([], [], "o", markerfacecolor="white", color="0.5", label="its float network")
    metric = scored[0].metric
    better = "higher" if metric in _SCORES else "lower"
    axes.set_ylabel(f"{metric} on {data} ({better} is better)")
    axes.set_xlabel(".edgernn file [kB]")
    axes.set_xlim(0, 1.25 * max(model.file_bytes for model in scored) / 1000)
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_bytes(axes: Any, models: Sequence[ComparedModel]) -> None:
    """A bar per model, the first one at the top."""
    bars = axes.barh(
        [model.label for model in reversed(models)],
        [model.file_bytes / 1000 for model in reversed(models)],
        color=_COLOR, height=0.5,
    )  # fmt: skip
    axes.bar_label(bars, fmt="%.1f kB", padding=4)
    axes.set_xlabel(".edgernn file [kB]")
    axes.margins(x=0.15)
