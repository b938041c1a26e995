"""Pictures of an inspection: heat maps, histograms, gradients, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.inspection.gate_values import GATE, ValueTrace

#: Columns of a heat map; of more steps, neighbors are averaged.
_COLUMNS: Final = 1500
_COLORS: Final = ("#1f77b4", "#e4572e", "#2a9d5c", "#8e6bbf", "#9a9a9a")


def draw_traces(traces: Sequence[ValueTrace], model: str, path: Path) -> Path:
    """A heat map for each trace: units from top to bottom, time from left to right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.6 + 1.15 * len(traces)), layout="constrained")
    all_axes = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for axes, trace in zip(all_axes, traces, strict=True):
        rows, ends = _columns(trace.values)
        limit = float(np.abs(trace.values).max()) or 1.0
        gate = trace.kind == GATE
        shown = axes.imshow(
            rows.T, aspect="auto", interpolation="nearest", origin="upper",
            extent=(0, ends, trace.values.shape[1] - 0.5, -0.5),
            cmap="viridis" if gate else "RdBu_r", vmin=0.0 if gate else -limit,
            vmax=1.0 if gate else limit,
        )  # fmt: skip
        figure.colorbar(shown, ax=axes, pad=0.01)
        axes.set_ylabel(trace.name, rotation=0, ha="right", va="center")
        axes.set_yticks([])
    all_axes[-1].set_xlabel("step")
    figure.suptitle(f"{model}: gates and states, one row per unit", x=0.01, ha="left")
    return _saved(figure, path)


def _columns(values: FloatArray) -> tuple[FloatArray, int]:
    """Means of neighboring steps, at most `_COLUMNS` of them, and the steps that they span."""
    share = -(-len(values) // _COLUMNS)
    if share == 1:
        return values, len(values)
    whole = len(values) // share * share
    return values[:whole].reshape(-1, share, values.shape[1]).mean(axis=1), whole


def draw_half_lives(
    states: Sequence[tuple[str, FloatArray]], longest: int, model: str, path: Path
) -> Path:
    """A histogram for each state, with a bar for units beyond the longest distance."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.8 + 2.0 * len(states)), layout="constrained")
    all_axes = figure.subplots(len(states), 1, sharex=True, squeeze=False)[:, 0]
    least = min((float(steps.min()) for _, steps in states), default=1.0)
    edges = np.geomspace(max(min(least, 1.0), 0.05), longest, 25)
    for axes, (name, steps), color in zip(all_axes, states, _cycled(len(states)), strict=True):
        axes.hist(np.clip(steps[np.isfinite(steps)], edges[0], longest), bins=edges, color=color)
        beyond = int(np.isinf(steps).sum())
        if beyond:
            axes.bar(longest * 1.25, beyond, width=0.3 * longest, color="0.6")
            axes.annotate(
                f"beyond {longest}", (longest * 1.25, beyond), ha="center", va="bottom", fontsize=8
            )
        axes.set_xscale("log")
        axes.set_ylabel(f"{name}\nunits")
        axes.margins(y=0.2)
    all_axes[-1].set_xlabel("half-life [steps]")
    figure.suptitle(f"{model}: memory of units", x=0.01, ha="left")
    return _saved(figure, path)


def draw_gradients(lines: Sequence[tuple[str, FloatArray]], path: Path) -> Path:
    """Norms against distance, both of each network."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for (name, norms), color in zip(lines, _cycled(len(lines)), strict=True):
        positive = np.where(norms > 0.0, norms, np.nan)
        axes.plot(np.arange(len(norms)), positive, color=color, label=name, linewidth=1.6)
    axes.set_yscale("log")
    axes.set_xlabel("distance of the reading from the last output [steps]")
    axes.set_ylabel("norm of the gradient")
    axes.grid(alpha=0.3)
    axes.legend()
    return _saved(figure, path)


def draw_curves(curves: Mapping[str, FloatArray], title: str, measure: str, path: Path) -> Path:
    """Learning curves [S, N] of each variant: the mean over seeds, and their range.

    Args:
        curves: by variant.
        title: of the picture.
        measure: what the curves show.
        path: of the .png file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), color in zip(curves.items(), _cycled(len(curves)), strict=True):
        shown = np.where(np.isfinite(values), values, np.nan)
        shares = np.linspace(0, 100, values.shape[1] + 1)[1:]
        with np.errstate(all="ignore"):
            middle = np.array([np.nanmean(c) if np.isfinite(c).any() else np.nan for c in shown.T])
        finite = np.where(np.isfinite(shown), shown, middle)
        axes.fill_between(shares, finite.min(axis=0), finite.max(axis=0), color=color, alpha=0.15)
        axes.plot(shares, middle, color=color, label=name, linewidth=1.6)
    axes.set_xlabel("training done [%]")
    axes.set_ylabel(measure)
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.legend()
    return _saved(figure, path)


def _cycled(count: int) -> list[str]:
    return [_COLORS[index % len(_COLORS)] for index in range(count)]


def _saved(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the library's version in the file, the same figures give the same picture.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path
