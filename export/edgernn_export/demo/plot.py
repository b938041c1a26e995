"""The demo's picture: forecasts over the test part, their errors, and what INT8 changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.demo.data import HORIZON_WEEKS, Co2Record

_TRUTH, _FLOAT, _INT8, _NAIVE = "#222222", "#1f77b4", "#e4572e", "#b5b5b5"


def write_plot(record: Co2Record, forecasts: Mapping[str, FloatArray], path: Path) -> Path:
    """Draw the test part.

    Args:
        record: the whole record.
        forecasts: forecast change [T] in ppm under "float", "w8a8" and "seasonal naive".
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    level, error, difference = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2, 1.2]}
    )
    due = record.week[record.test] + np.timedelta64(7 * HORIZON_WEEKS, "D")
    _draw_levels(level, record, forecasts, due)
    _draw_errors(error, record, forecasts, due)
    _draw_difference(difference, record, forecasts, due)
    for axes in (level, error, difference):
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    figure.align_ylabels()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def _draw_levels(
    axes: Any, record: Co2Record, forecasts: Mapping[str, FloatArray], due: Any
) -> None:
    at = record.level[record.test]
    axes.plot(due, at + record.target[record.test], color=_TRUTH, lw=1.1, label="measured")
    axes.plot(due, at + forecasts["float"][record.test], color=_FLOAT, lw=2.6, alpha=0.55,
              label="forecast, float")  # fmt: skip
    axes.plot(due, at + forecasts["w8a8"][record.test], color=_INT8, lw=1.1, ls=(0, (4, 2)),
              label="forecast, INT8 (w8a8)")  # fmt: skip
    axes.set_ylabel("CO₂ (ppm)")
    axes.set_title(
        f"Atmospheric CO₂ at Mauna Loa, forecast {HORIZON_WEEKS} weeks ahead, week by week",
        loc="left",
        fontweight="bold",
    )
    axes.legend(loc="upper left", frameon=False)


def _draw_errors(
    axes: Any, record: Co2Record, forecasts: Mapping[str, FloatArray], due: Any
) -> None:
    styles = {
        "seasonal naive": {"color": _NAIVE, "lw": 1.0, "label": "seasonal naive rule"},
        "float": {"color": _FLOAT, "lw": 2.6, "alpha": 0.55, "label": "float"},
        "w8a8": {"color": _INT8, "lw": 1.1, "ls": (0, (4, 2)), "label": "INT8 (w8a8)"},
    }
    for name, style in styles.items():
        axes.plot(due, (forecasts[name] - record.target)[record.test], **style)
    axes.axhline(0.0, color=_TRUTH, lw=0.7)
    axes.set_ylabel("forecast − measured\n(ppm)")
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", frameon=False, ncols=3)


def _draw_difference(
    axes: Any, record: Co2Record, forecasts: Mapping[str, FloatArray], due: Any
) -> None:
    lost = (forecasts["w8a8"] - forecasts["float"])[record.test]
    axes.fill_between(due, lost, color=_INT8, alpha=0.35, lw=0)
    axes.plot(due, lost, color=_INT8, lw=0.8)
    axes.axhline(0.0, color=_TRUTH, lw=0.7)
    axes.set_ylabel("INT8 − float\n(ppm)")
    axes.set_xlabel("week the forecast is for")
