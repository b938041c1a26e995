"""A picture of forecast prices, the truth and yesterday's close."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray

_TRUTH, _FLOAT, _INTEGER, _NAIVE = "#222222", "#1f77b4", "#e4572e", "#9a9a9a"
#: Days of the close view.
_CLOSE_DAYS: Final = 40


def draw_prices(
    truth: FloatArray, now: FloatArray, said: Mapping[str, FloatArray], path: Path, title: str
) -> Path:
    """Draw a test part: all of it, its last days, and the forecast changes next to the true ones.

    Args:
        truth: the closes, float64 [N].
        now: the closes of the days before, which are the forecasts of persistence.
        said: the forecasts of each model, the float network first and the written one last.
        path: of the .png file.
        title: above the picture.

    Returns:
        ``path``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), layout="constrained")
    whole, close, change = figure.subplots(3, 1, gridspec_kw={"height_ratios": [3, 3, 2]})
    day = np.arange(1, len(truth) + 1)
    first, *_, last = said
    looks: dict[str, tuple[FloatArray, dict[str, Any]]] = {
        "true close": (truth, {"color": _TRUTH, "lw": 1.2}),
        "persistence": (now, {"color": _NAIVE, "lw": 1.0, "ls": (0, (4, 2))}),
        f"forecast, {first}": (said[first], {"color": _FLOAT, "lw": 2.6, "alpha": 0.5}),
        f"forecast, {last}": (said[last], {"color": _INTEGER, "lw": 1.1}),
    }
    for axes, days in ((whole, slice(None)), (close, slice(-_CLOSE_DAYS, None))):
        for label, (values, look) in looks.items():
            axes.plot(day[days], values[days], label=label, **look)
        axes.set_ylabel("index points")
    change.bar(day, truth - now, width=0.8, color=_NAIVE, label="true change")
    change.plot(day, said[last] - now, color=_INTEGER, lw=1.2, label=f"forecast change, {last}")
    change.set_ylabel("change from the\nday before (points)")
    change.set_xlabel("trading day of the test part")
    change.legend(loc="lower left", frameon=False, ncols=2)
    whole.legend(loc="upper left", frameon=False, ncols=4)
    whole.set_ylim(top=whole.get_ylim()[1] + 0.12 * np.ptp(whole.get_ylim()))  # for the legend
    whole.set_title(title, loc="left", fontweight="bold")
    for axes in figure.axes:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path
