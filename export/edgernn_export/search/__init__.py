"""Search configurations for the best models that keep the limits of a device.

    from edgernn_export.search import Limits, Settings, Space, find_hardware, search
    from edgernn_export.search.recipe_trainer import RecipeTrainer

    settings = Settings(
        trainer=RecipeTrainer(source="hapt"),
        space=Space(units=(8, 32, 8)),
        limits=Limits(flash_bytes=16_000, ram_bytes=2_000),
        place=find_hardware("cortex-m0"),
        study=Path("s.db"),
    )
    outcome = search(settings, Path("found"))

Importing this package does not load TensorFlow or Optuna; they are imported on use.
"""

from __future__ import annotations

from edgernn_export.search.hardware_cost import (
    Cost,
    Hardware,
    Limits,
    find_hardware,
    measure,
    parse_bytes,
)
from edgernn_export.search.pareto import Chosen, Least
from edgernn_export.search.searcher import Outcome, search
from edgernn_export.search.settings import Settings, Trainer
from edgernn_export.search.space import Configuration, Space
from edgernn_export.search.trials import Row

__all__ = [
    "Chosen",
    "Configuration",
    "Cost",
    "Hardware",
    "Least",
    "Limits",
    "Outcome",
    "Row",
    "Settings",
    "Space",
    "Trainer",
    "find_hardware",
    "measure",
    "parse_bytes",
    "search",
]
