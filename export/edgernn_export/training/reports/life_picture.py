"""Report of the recipe turbofan: what the models say at every cycle of a few engines, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.datasets import Part
from edgernn_export.training.evaluation import outputs
from edgernn_export.training.pipeline import Produced, Report

#: Drawn are engines at these ranks of the test part, ordered by the last model's error.
_RANKS: Final = (0.1, 0.5, 0.9)
#: Of those whose record is at least as long as this share of the longest.
_LONG: Final = 0.5
_TRUTH, _FLOAT, _INTEGER = "#222222", "#1f77b4", "#e4572e"


def life_report(produced: Produced) -> Report:
    """Draw three validation engines, which ran to failure, and three test engines.

    Of each part: an engine that the last model judges well, a usual one and a bad one.

    Args:
        produced: of `edgernn_export.datasets.turbofan`.
    """
    data = produced.data
    said = {
        part: {
            name: outputs(model, streams.x, streams.lengths)[..., 0]
            for name, model in produced.models.items()
        }
        for part, streams in (("validation", data.validation), ("test", data.test))
    }
    chosen = {
        part: _ranked(streams, list(said[part].values())[-1])
        for part, streams in (("validation", data.validation), ("test", data.test))
    }
    path = produced.order.out / f"{produced.recipe.name}.png"
    _draw({"validation": data.validation, "test": data.test}, said, chosen, path)
    last = list(produced.models)[-1]
    rows = {part: [int(stream) + 1 for stream in streams] for part, streams in chosen.items()}
    return Report(
        text=(
            f"{path.name} shows what the float network and the {last} model say at every cycle of "
            "six engines: of each part one that is judged well, a usual one and a bad one."
        ),
        record={"drawn": rows},
        files={"picture": path},
    )


def _ranked(part: Part, said: FloatArray) -> list[int]:
    """Streams at `_RANKS`, best first, by the root of the mean squared error where it counts."""
    square = np.where(part.counted, (said - part.target[..., 0]) ** 2, 0.0)
    error = square.sum(axis=1) / part.counted.sum(axis=1)
    long = np.flatnonzero(part.steps >= _LONG * part.steps.max())
    order = long[np.argsort(error[long])]
    return [int(order[round(rank * (len(order) - 1))]) for rank in _RANKS]


def _draw(
    parts: Mapping[str, Part],
    said: Mapping[str, Mapping[str, FloatArray]],
    chosen: Mapping[str, Sequence[int]],
    path: Path,
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.subplots(len(parts), len(_RANKS), sharey=True)
    for row, (name, part) in zip(grid, parts.items(), strict=True):
        for axes, stream in zip(row, chosen[name], strict=True):
            end = part.steps[stream]
            cycle = np.arange(1, end + 1)
            axes.plot(cycle, part.target[stream, :end, 0], color=_TRUTH, lw=1.4, label="truth")
            first, *_, last = said[name]
            for model, color, width in ((first, _FLOAT, 2.6), (last, _INTEGER, 1.1)):
                answer = said[name][model][stream, :end]
                axes.plot(
                    cycle, answer, color=color, lw=width, label=model,
                    alpha=0.5 if model == first else 1.0,
                )  # fmt: skip
            ending = "ran to failure" if name == "validation" else "cut off"
            axes.set_title(f"{name} engine {stream + 1}, {ending}", fontsize=10, loc="left")
            axes.grid(alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(x=0.01)
    for axes in grid[-1]:
        axes.set_xlabel("cycle")
    for axes in grid[:, 0]:
        axes.set_ylabel("remaining life (cycles)")
    grid[0, 0].legend(loc="lower left", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
