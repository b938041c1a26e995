"""The settings of one search, and the interface of the trainer that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import edgernn
from edgernn.errors import SearchError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.search.hardware_cost import Cost, Hardware, Limits
from edgernn_export.search.space import Configuration, Space

#: What is minimized beside the score -> field of `Cost`.
OBJECTIVES: Final = {"flash": "flash_bytes", "ms": "high_ms"}
SAMPLERS: Final = ("tpe", "nsga2")
_VERSION: Final = 1
Direction = Literal["minimize", "maximize"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A search.

    Attributes:
        trainer: builds, trains and scores.
        space: what may be chosen.
        limits: what a model may take.
        place: the target.
        study: the SQLite file; a search of an existing study continues with it.
        objective: key of `OBJECTIVES`, the cost that is minimized together with the score.
        trials: configurations that are trained in all; refused ones do not count.
        minutes: no trial begins later than this after the start; None is no limit.
        workers: processes that train at the same time.
        sampler: among `SAMPLERS`.
        seed: of the sampler; that of the training is the trainer's.
    """

    trainer: Trainer
    space: Space
    limits: Limits
    place: Hardware
    study: Path
    objective: str = "flash"
    trials: int = 40
    minutes: float | None = None
    workers: int = 1
    sampler: str = "tpe"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be searched."""
        for owner, value, allowed in (
            ("objective", self.objective, tuple(OBJECTIVES)),
            ("sampler", self.sampler, SAMPLERS),
        ):
            if value not in allowed:
                raise SearchError(
                    f"search {owner}: expected one of {', '.join(allowed)}, got '{value}'."
                )
        for owner, number in (("trials", self.trials), ("workers", self.workers)):
            if number < 1:
                raise SearchError(f"search {owner}: expected at least 1, got {number}.")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise SearchError(f"search minutes: expected a number above 0, got {self.minutes}.")
        if self.seed < 0:
            raise SearchError(f"search seed: expected at least 0, got {self.seed}.")

    @property
    def models(self) -> Path:
        """Folder next to the study for the models of all its trials."""
        return self.study.with_name(f"{self.study.name}.models")

    @property
    def directions(self) -> list[Direction]:
        """Optuna's directions of score and cost."""
        return ["maximize" if self.trainer.rising else "minimize", "minimize"]

    def price(self, cost: Cost) -> float:
        """The cost that is minimized."""
        return float(getattr(cost, OBJECTIVES[self.objective]))

    def identity(self) -> dict[str, Any]:
        """What must be the same for trials to belong to one study, as JSON values."""
        return {
            "version": _VERSION,
            "edgernn": edgernn.__version__,
            "task": dict(self.trainer.identity),
            "metric": self.trainer.metric,
            "space": self.space.record(),
            "limits": asdict(self.limits),
            "target": self.place.target,
            "clock_hz": self.place.clock_hz,
            "objective": self.objective,
        }
