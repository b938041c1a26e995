"""The picture of a benchmark: time per step by program, and bytes by format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edgernn.bench.file_sizes import FileSize
from edgernn.bench.result import Benchmark
from edgernn.bench.timings import Timing
from edgernn.errors import EdgeRnnError

_OURS: Final = "#e4572e"
_PEER: Final = "#1f77b4"
_TAIL: Final = "#444444"
_FAINT: Final = 0.4
#: Inches of a bar, and of everything around the bars.
_BAR: Final = 0.3
_AROUND: Final = 2.3


def draw(found: Benchmark, path: Path) -> Path:
    """Write the picture.

    Args:
        found: the figures.
        path: of the .png file.

    Returns:
        The path.

    Raises:
        EdgeRnnError: nothing was timed.
    """
    if not found.timings:
        raise EdgeRnnError(
            "bench picture: expected at least one back-end that was timed, got none. "
            "The report lists under 'left out' how to install one."
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    programs = list(dict.fromkeys(timing.program for timing in found.timings))
    # Rows of one runtime stand together: they are to be compared.
    times = sorted(found.timings, key=lambda timing: programs.index(timing.program))
    sizes = list(found.sizes)
    height = _AROUND + _BAR * (len(times) + len(sizes))
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(
        2, 1, gridspec_kw={"height_ratios": [len(times) + 2, len(sizes) + 1.5]}
    )
    _draw_times(upper, found, times)
    _draw_sizes(lower, sizes)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
    # Without the library's version in the file, the same figures give the same picture.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return path


def _draw_times(axes: Any, found: Benchmark, times: Sequence[Timing]) -> None:
    """Bars to the median, whiskers to the 99th percentile; a logarithmic axis shows all."""
    places = range(len(times))
    medians = [timing.median_us for timing in times]
    tails = [max(0.0, timing.p99_us - timing.median_us) for timing in times]
    colors = [_OURS if timing.exact else _PEER for timing in times]
    axes.barh(places, medians, color=colors, height=0.62)
    axes.errorbar(
        medians, places, xerr=[[0.0] * len(times), tails], fmt="none", ecolor=_TAIL,
        elinewidth=1.0, capsize=2.5,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    low, high = min(medians), max(timing.p99_us for timing in times)
    axes.set_xlim(low / 3, high * 6)
    for place, timing in zip(places, times, strict=True):
        axes.annotate(
            _microseconds(timing.median_us), (max(timing.p99_us, timing.median_us), place),
            xytext=(6, 0), textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(places, [_label(timing) for timing in times], fontsize=8.5)
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("µs per step, single calls (bar: median, whisker: 99th percentile)")
    axes.set_title(f"{found.model}, {found.precision}", loc="left", fontweight="bold")
    axes.set_title(str(found.machine["processor"]), loc="right", fontsize=9)
    if any(not timing.exact for timing in times):
        _legend(axes)


def _legend(axes: Any) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=_OURS, label="edgernn, integer, same bits everywhere"),
        Patch(color=_PEER, label="float network and stock conversions"),
    ]
    axes.legend(handles=handles, loc="upper right", frameon=False, fontsize=8.5)


def _label(timing: Timing) -> str:
    way = "" if timing.way == "step" else f", {timing.way}"
    return f"{timing.name}{way}  {timing.form}"


def _microseconds(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _draw_sizes(axes: Any, sizes: Sequence[FileSize]) -> None:
    """Bars of bytes; the darker part is the size after gzip."""
    places = range(len(sizes))
    for place, size in zip(places, sizes, strict=True):
        color = _OURS if size.ours else _PEER
        axes.barh(place, size.bytes, color=color, alpha=_FAINT, height=0.62)
        if size.ours or size.gzip_bytes is not None:
            axes.barh(place, size.gzip_bytes or size.bytes, color=color, height=0.62)
        axes.annotate(
            f"{size.bytes:,}", (size.bytes, place), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(places, [size.name for size in sizes], fontsize=8.5)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(0, 1.14 * max(size.bytes for size in sizes))
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("bytes (dark: after gzip)")
