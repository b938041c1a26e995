"""What a search needs of whoever trains: a protocol, so that the search knows no recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edgernn.model.integer_model import IntegerModel
from edgernn_export.search.space import Configuration


class Trainer(Protocol):
    """Builds, trains and scores configurations on one task.

    With several workers it is pickled and sent to each of them.
    """

    @property
    def identity(self) -> Mapping[str, Any]:
        """What makes scores comparable, as JSON values: the task, the seed, the training."""
        ...

    @property
    def metric(self) -> str:
        """Name of the score."""
        ...

    @property
    def rising(self) -> bool:
        """Whether more is better."""
        ...

    @property
    def labels(self) -> Mapping[str, Any]:
        """Names and units, as `edgernn_export.quantize` takes them."""
        ...

    def calibration(self) -> Any:
        """Representative streams, as `edgernn_export.quantize` takes them."""
        ...

    def network(self, configuration: Configuration) -> Any:
        """An untrained `keras.Model` (or `FloatModel`) of this configuration."""
        ...

    def train(self, configuration: Configuration, pattern: str) -> Any:
        """A trained one that can be saved; of a density below 1 it is pruned by this pattern."""
        ...

    def evaluate(self, model: IntegerModel, part: str) -> float:
        """The score of an integer model on the "validation" or "test" part."""
        ...
