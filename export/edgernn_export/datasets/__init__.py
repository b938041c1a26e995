"""Real data sets as tasks: read from the folder that EDGERNN_DATA names, split without leakage.

from edgernn_export.datasets import hapt

data = hapt()
data.train.x  # float64 [B, T, I]
"""

from __future__ import annotations

from edgernn_export.datasets.dataset import Dataset, class_part
from edgernn_export.datasets.etth1_forecast import etth1
from edgernn_export.datasets.fsdd_digits import fsdd
from edgernn_export.datasets.hapt_activities import hapt, hapt_binary
from edgernn_export.datasets.sources import VARIABLE, Source
from edgernn_export.datasets.splits import Part

__all__ = [
    "VARIABLE",
    "Dataset",
    "Part",
    "Source",
    "class_part",
    "etth1",
    "fsdd",
    "hapt",
    "hapt_binary",
]
