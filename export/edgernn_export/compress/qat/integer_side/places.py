"""Where a layer with weights stands in a network under training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.qat.maps.columns import Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlace:
    """Where a layer with weights stands.

    Attributes:
        model: the integer model training starts from.
        index: of the layer.
        columns: what it reads.
        weights: those of a layer that has the same ones, by name; None where they are its own.
    """

    model: IntegerModel
    index: int
    columns: Columns
    weights: Mapping[str, Any] | None
