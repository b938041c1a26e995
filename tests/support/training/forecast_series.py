"""Small forecasting series and their parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn_export.datasets import splits as parts

ROWS = 400


def series(rng: np.random.Generator, rows: int = ROWS) -> Any:
    return np.cumsum(rng.normal(size=rows))


def splits_of(values: Any, **changes: Any) -> Any:
    """Half, a quarter and a quarter of the rows; three targets a step."""
    settings: dict[str, Any] = {
        "horizons": (1, 2, 3),
        "borders": (200, 300, 400),
        "warmup_steps": 20,
        "season_steps": 24,
        "input_names": ("change", "deviation"),
        "standardise": True,
    }
    return parts.forecast_splits(parts.level_free(values, 24), values, **{**settings, **changes})
