"""What a recipe's training needs for compression."""

from __future__ import annotations

from typing import Any

from edgernn.formats import FloatArray
from edgernn_export.datasets import Dataset
from edgernn_export.training.examples import updates
from edgernn_export.training.recipe import Recipe
from edgernn_export.training.setup import keras_on_cpu

#: Weights go between these shares of the training; the rest of it mends what is left.
_BEGIN_SHARE, _END_SHARE = 0.2, 0.6
#: Renewals of the masks between them.
_RENEWALS = 20


def calibration(data: Dataset) -> FloatArray:
    """Streams for the quantizer, float64 [B, T, I]: train streams, begun as they are in use."""
    return data.calibration()


def pruning_callback(
    recipe: Recipe,
    data: Dataset,
    density: float,
    pattern: str = "8x4",
    epochs: int | None = None,
) -> Any:
    """Magnitude pruning over the middle of a training, for the callbacks of `train`.

    Args:
        recipe: what is trained.
        data: its data set.
        density: share of the recurrent layers' weights that stay, in (0, 1].
        pattern: a name in `edgernn_export.pruning.patterns.PATTERNS`.
        epochs: of the training; default the recipe's.

    Returns:
        A `MagnitudePruning`.

    Raises:
        PruningError: the density or the pattern is refused.
    """
    keras_on_cpu()
    from edgernn_export.pruning import MagnitudePruning

    total = updates(recipe, data, epochs)
    begin, end = int(_BEGIN_SHARE * total), int(_END_SHARE * total)
    return MagnitudePruning(
        density,
        begin_step=begin,
        end_step=end,
        frequency=max(1, (end - begin) // _RENEWALS),
        pattern=pattern,
    )
