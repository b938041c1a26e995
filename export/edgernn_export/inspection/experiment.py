"""The result of a learning experiment: variants of a training, several seeds of each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.cli.style import table
from edgernn.model.formats import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """One way of training.

    Attributes:
        name: what distinguishes it.
        errors: error after training by seed [S]: mean squared error on new data over the variance
            of the target. 1 is what a constant gives; infinite where the training diverged.
        curves: the same on the training batches, during training [S, N].
        largest_gradients: largest norm of the gradient of a batch by seed [S].
    """

    name: str
    errors: FloatArray
    curves: FloatArray
    largest_gradients: FloatArray

    @property
    def diverged(self) -> int:
        """Seeds whose training diverged."""
        return int((~np.isfinite(self.errors)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Variants side by side.

    Attributes:
        name: of the experiment.
        task: what the networks learn.
        variants: in the order of the table.
        seeds: of initial weights and data.
    """

    name: str
    task: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]

    def __getitem__(self, name: str) -> Variant:
        """The variant of this name."""
        return {variant.name: variant for variant in self.variants}[name]

    def record(self) -> dict[str, Any]:
        """As a JSON value; null stands for an error that is not finite."""
        return {
            "name": self.name,
            "task": self.task,
            "seeds": list(self.seeds),
            "variants": [
                {
                    "name": variant.name,
                    "errors": _finite(variant.errors),
                    "largest_gradients": _finite(variant.largest_gradients),
                    "diverged": variant.diverged,
                }
                for variant in self.variants
            ],
        }

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(self.record(), allow_nan=False)

    def table(self) -> str:
        """For people: one line for each variant."""
        rows = []
        for variant in self.variants:
            errors = variant.errors[np.isfinite(variant.errors)]
            figures = (f"{errors.mean():.3f}", f"{errors.min():.3f}", f"{errors.max():.3f}")
            rows.append(
                (
                    variant.name, *(figures if len(errors) else ("–",) * 3),
                    f"{variant.diverged} of {len(self.seeds)}",
                    f"{np.median(variant.largest_gradients):.3g}",
                )
            )  # fmt: skip
        heads = ("variant", "error", "least", "most", "diverged", "largest gradient")
        title = f"{self.name}: {self.task}"
        return "\n".join([title, *table(heads, rows, "<>>>>>")])

    def plot(self, path: str | Path) -> Path:
        """Draw the learning curves, mean and range over the seeds; needs Matplotlib."""
        from edgernn_export.inspection.pictures import draw_curves

        curves = {variant.name: variant.curves for variant in self.variants}
        return draw_curves(curves, self.name, "error, 1 is a constant", Path(path))


def _finite(values: FloatArray) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
