"""The trainer of recipes: what `edgernn train` trains, at every size of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from edgernn.errors import TrainingError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.datasets import Dataset
from edgernn_export.search.space import Configuration
from edgernn_export.training import (
    Network,
    Recipe,
    calibration,
    evaluate,
    find_recipe,
    pruning_callback,
    train,
)
from edgernn_export.training.networks import repeatable_keras


@cache
def _task(source: str) -> tuple[Recipe, Dataset]:
    """A recipe and its data, read once in a process; the validation part is never learnt."""
    recipe = find_recipe(source)
    if recipe.method is not None:
        raise TrainingError(
            f"search: expected a recipe of one stream, got {recipe.name}, whose model is several "
            f"programs. Train it at the sizes you want: edgernn train {source} --units 64"
        )
    return replace(recipe, training=replace(recipe.training, keep="best")), recipe.load()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeTrainer:
    """Trains a recipe; a `Trainer`.

    Attributes:
        source: name of a recipe, or the path of a file with one.
        seed: of every training.
        epochs: of every training; None takes the recipe's.
    """

    source: str
    seed: int = 0
    epochs: int | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Recipe, settings of its training, sizes of its data, seed.

        Raises:
            DataUnavailable: the data set is missing or damaged.
            TrainingError: there is no such recipe.
        """
        recipe, data = _task(self.source)
        sizes = {
            part: list(getattr(data, part).x.shape) for part in ("train", "validation", "test")
        }
        training = asdict(recipe.training) | ({"epochs": self.epochs} if self.epochs else {})
        return {"recipe": recipe.name, "training": training, "data": sizes, "seed": self.seed}

    @property
    def metric(self) -> str:
        """The primary metric of the data set."""
        return _task(self.source)[1].metric

    @property
    def rising(self) -> bool:
        """Whether more of it is better."""
        return _task(self.source)[1].rising

    @property
    def labels(self) -> Mapping[str, Any]:
        """Names and units of the data set."""
        return _task(self.source)[1].labels()

    def calibration(self) -> Any:
        """Streams of the train part."""
        return calibration(_task(self.source)[1])

    def network(self, configuration: Configuration) -> Any:
        """The recipe's network of this size, untrained, of the same weights every time."""
        recipe, data = _task(self.source)
        # Keras keeps what a process has built; a search builds without end.
        repeatable_keras(self.seed).backend.clear_session()
        return recipe.build(recipe, _network(configuration), data)

    def train(self, configuration: Configuration, pattern: str) -> Any:
        """Train it, and prune it on the way where the density is below 1.

        Raises:
            TrainingError: a setting is refused, or no epoch may be kept.
        """
        recipe, data = _task(self.source)
        callbacks: tuple[Any, ...] = ()
        if configuration.density < 1.0:
            pruning = pruning_callback(
                recipe, data, density=configuration.density, pattern=pattern, epochs=self.epochs
            )
            callbacks = (pruning,)
        model, _ = train(
            recipe,
            self.seed,
            data=data,
            network=_network(configuration),
            epochs=self.epochs,
            learning_rate=configuration.learning_rate,
            callbacks=callbacks,
            progress=False,
        )
        return model

    def evaluate(self, model: IntegerModel, part: str) -> float:
        """The primary metric of an integer model."""
        recipe, data = _task(self.source)
        return evaluate(model, recipe, part=part, data=data)[data.metric]


def _network(configuration: Configuration) -> Network:
    return Network(cell=configuration.cell, units=configuration.units, layers=configuration.layers)
