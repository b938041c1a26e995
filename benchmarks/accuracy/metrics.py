"""How much of a float metric an integer model keeps."""

from __future__ import annotations

from edgernn_export.datasets.dataset import RISING


def kept(metric: str, float_value: float, integer_value: float) -> float:
    """Share of the float metric an integer model keeps; above 1 it is the better one."""
    if metric in RISING:
        return integer_value / float_value
    return float_value / integer_value
