"""Real data sets as tasks: read from the folder that EDGERNN_DATA names, split without leakage.

from edgernn_export.datasets import hapt

data = hapt()
data.train.x  # float64 [B, T, I]
"""

from __future__ import annotations

import warnings
from typing import Any

from edgernn_export.datasets.dataset import Dataset, class_part
from edgernn_export.datasets.etth1_forecast import etth1
from edgernn_export.datasets.fsdd_digits import fsdd
from edgernn_export.datasets.hapt_activities import hapt, hapt_binary
from edgernn_export.datasets.sources import VARIABLE, DataSource
from edgernn_export.datasets.splits import Part

__all__ = [
    "VARIABLE",
    "DataSource",
    "Dataset",
    "Part",
    "class_part",
    "etth1",
    "fsdd",
    "hapt",
    "hapt_binary",
]


def __getattr__(name: str) -> Any:
    """The former name of `DataSource`, for one version more."""
    if name == "Source":
        warnings.warn(
            "edgernn_export.datasets.Source is now DataSource; the old name will be removed in "
            "the next version.",
            DeprecationWarning,
            stacklevel=2,
        )
        return DataSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
