"""What a recipe's training needs for compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from edgernn.model.formats import FloatArray
from edgernn_export.datasets import Dataset
from edgernn_export.training.fit_arrays import updates
from edgernn_export.training.keras_setup import keras_on_cpu
from edgernn_export.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningPlan:
    """When weights go in a training, and which: the same for all recipes.

    Attributes:
        begin_share: of the updates, before which none goes.
        end_share: of the updates, after which none goes; the rest of them mends what is left.
        renewals: of the masks between the two.
        allocation: who shares the density, one of `compress.pruning.allocation.ALLOCATIONS`.
    """

    begin_share: float = 0.1
    end_share: float = 0.4
    renewals: int = 20
    allocation: str = "erdos-renyi"


PRUNING: Final = PruningPlan()


def calibration(data: Dataset) -> FloatArray:
    """Streams for the quantizer, float64 [B, T, I]: train streams, begun as they are in use."""
    return data.calibration()


def pruning_callback(
    recipe: Recipe,
    data: Dataset,
    density: float,
    pattern: str = "8x4",
    epochs: int | None = None,
    plan: PruningPlan = PRUNING,
) -> Any:
    """Magnitude pruning over the middle of a training, for the callbacks of `train`.

    Args:
        recipe: what is trained.
        data: its data set.
        density: share of the recurrent layers' weights that stay, in (0, 1].
        pattern: a name in `edgernn_export.compress.pruning.patterns.PATTERNS`.
        epochs: of the training; default the recipe's.
        plan: when and which.

    Returns:
        A `MagnitudePruning`.

    Raises:
        PruningError: a setting is refused.
    """
    keras_on_cpu()
    from edgernn_export.compress.pruning import MagnitudePruning

    total = updates(recipe, data, epochs)
    begin, end = int(plan.begin_share * total), int(plan.end_share * total)
    return MagnitudePruning(
        density,
        begin_step=begin,
        end_step=end,
        frequency=max(1, (end - begin) // plan.renewals),
        pattern=pattern,
        allocation=plan.allocation,
    )
