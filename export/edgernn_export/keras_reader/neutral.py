"""Layers that do nothing at inference."""

from __future__ import annotations

from typing import Any

from edgernn_export.keras_reader.config import check_config
from edgernn_export.keras_reader.parts import Context, Part

#: Arguments that matter in training only.
_FREE = ("rate", "stddev", "noise_shape", "l1", "l2", "data_format")


def read_neutral(layer: Any, context: Context) -> tuple[Part, ...]:
    """Check a layer that adds nothing to the float model."""
    check_config(layer, layer.get_config(), context, free=_FREE)
    return ()
