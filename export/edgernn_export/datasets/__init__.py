"""Real data sets as tasks: read from the folder that EDGERNN_DATA names, split without leakage.

from edgernn_export.datasets import hapt

data = hapt()
data.train.x  # float64 [B, T, I]
"""

from __future__ import annotations

import warnings
from typing import Any

from edgernn_export.datasets.activity.hapt_activities import hapt, hapt_binary
from edgernn_export.datasets.audio.captioned_digits import captions
from edgernn_export.datasets.audio.fsdd_digits import fsdd
from edgernn_export.datasets.audio.spoken_words import spoken_digit
from edgernn_export.datasets.audio.voice_activity import vad
from edgernn_export.datasets.dataset import VOCABULARY, Dataset, class_part
from edgernn_export.datasets.machines.cmapss_life import turbofan
from edgernn_export.datasets.machines.nab_forecast import anomaly
from edgernn_export.datasets.payments.card_fraud import fraud
from edgernn_export.datasets.series.etth1_channels import ett
from edgernn_export.datasets.series.etth1_forecast import etth1
from edgernn_export.datasets.series.price_forecast import index_prices, price_windows
from edgernn_export.datasets.series.soil_probes import soil_moisture
from edgernn_export.datasets.sources import VARIABLE, DataSource
from edgernn_export.datasets.splits import Part, sequence_part
from edgernn_export.datasets.text.characters import char_text
from edgernn_export.datasets.text.dakshina import transliteration
from edgernn_export.datasets.text.sentiment import sst2
from edgernn_export.datasets.text.tagged_names import name_tags

__all__ = [
    "VARIABLE",
    "VOCABULARY",
    "DataSource",
    "Dataset",
    "Part",
    "anomaly",
    "captions",
    "char_text",
    "class_part",
    "ett",
    "etth1",
    "fraud",
    "fsdd",
    "hapt",
    "hapt_binary",
    "index_prices",
    "name_tags",
    "price_windows",
    "sequence_part",
    "soil_moisture",
    "spoken_digit",
    "sst2",
    "transliteration",
    "turbofan",
    "vad",
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
