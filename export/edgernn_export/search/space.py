"""What a search may choose: configurations of a network and its compression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from typing import Any, Final

from edgernn.errors import SearchError
from edgernn.model.formats import PrecisionName
from edgernn_export.compress.pruning.masks import PATTERNS

CELLS: Final = ("SimpleRNN", "LSTM", "GRU")
PRECISIONS: Final = ("w8a8", "w8a16", "w4a8", "w4a16")
_MAX_LAYERS: Final = 2
_MAX_UNITS: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One point of a space.

    Attributes:
        cell: "SimpleRNN", "LSTM" or "GRU".
        units: of each recurrent layer.
        layers: recurrent layers.
        precision: of the integer model, for example "w8a8".
        density: share of recurrent weights that stay; 1.0 is not pruned.
        learning_rate: of the training; None takes the recipe's.
    """

    cell: str
    units: int
    layers: int
    precision: PrecisionName
    density: float
    learning_rate: float | None

    @property
    def label(self) -> str:
        """For tables and file names: ``gru16-w8a8``, ``lstm24x2-w8a16-d0.3``."""
        layers = "" if self.layers == 1 else f"x{self.layers}"
        density = "" if self.density == 1.0 else f"-d{self.density:g}"
        rate = "" if self.learning_rate is None else f"-lr{self.learning_rate:g}"
        return f"{self.cell.lower()}{self.units}{layers}-{self.precision}{density}{rate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All configurations a search may try; finite.

    Attributes:
        cells: among `CELLS`.
        units: fewest, most and step of the units of a layer.
        layers: numbers of recurrent layers, each 1 or 2.
        precisions: among `PRECISIONS`.
        densities: in (0, 1]; below 1 weights are pruned in blocks while the network trains.
        pattern: of the blocks, a key of `edgernn_export.compress.pruning.masks.PATTERNS`.
        learning_rates: above 0; none takes the recipe's.
    """

    cells: tuple[str, ...] = ("GRU", "LSTM")
    units: tuple[int, int, int] = (8, 48, 4)
    layers: tuple[int, ...] = (1, 2)
    precisions: tuple[str, ...] = ("w8a8", "w8a16", "w4a8")
    densities: tuple[float, ...] = (1.0, 0.5)
    pattern: str = "8x4"
    learning_rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no space."""
        _check_choices("cells", self.cells, CELLS)
        _check_choices("precisions", self.precisions, PRECISIONS)
        _check_choices("layers", self.layers, tuple(range(1, _MAX_LAYERS + 1)))
        _check_choices("pattern", (self.pattern,), tuple(PATTERNS))
        low, high, step = self.units
        if not (1 <= low <= high <= _MAX_UNITS and step >= 1) or (high - low) % step:
            raise SearchError(
                f"search units: expected LOW:HIGH:STEP with 1 <= LOW <= HIGH <= {_MAX_UNITS} "
                f"and HIGH - LOW a multiple of STEP, got {low}:{high}:{step}."
            )
        _check_numbers("densities", self.densities, 1.0)
        if self.learning_rates:
            _check_numbers("learning rates", self.learning_rates, 10.0)

    @property
    def _axes(self) -> dict[str, tuple[Any, ...]]:
        """Choices by the names of a configuration's fields."""
        low, high, step = self.units
        return {
            "cell": self.cells,
            "units": tuple(range(low, high + 1, step)),
            "layers": self.layers,
            "precision": self.precisions,
            "density": self.densities,
            "learning_rate": self.learning_rates or (None,),
        }

    @property
    def size(self) -> int:
        """Number of configurations."""
        return prod(len(choices) for choices in self._axes.values())

    def configurations(self) -> Iterator[Configuration]:
        """All of them, in a fixed order."""
        axes = self._axes
        for values in product(*axes.values()):
            yield Configuration(**dict(zip(axes, values, strict=True)))

    def smallest(self) -> Iterator[Configuration]:
        """Those of the fewest units: no other of their kind needs less."""
        fewest, rates = self.units[0], self._axes["learning_rate"]
        for configuration in self.configurations():
            if configuration.units == fewest and configuration.learning_rate == rates[0]:
                yield configuration

    def distributions(self) -> dict[str, Any]:
        """The axes with a choice as Optuna wants them; units keep their order."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        low, high, step = self.units
        return {
            name: IntDistribution(low, high, step=step)
            if name == "units"
            else CategoricalDistribution(list(choices))
            for name, choices in self._axes.items()
            if len(choices) > 1
        }

    def configuration(self, parameters: Mapping[str, Any]) -> Configuration:
        """The one with these parameters of an Optuna trial, and where there is no choice the rest.

        Args:
            parameters: by the names of `distributions`.
        """
        only = {name: choices[0] for name, choices in self._axes.items() if len(choices) == 1}
        return Configuration(**only, **parameters)

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check_choices(owner: str, given: tuple[Any, ...], allowed: tuple[Any, ...]) -> None:
    wrong = [value for value in given if value not in allowed]
    if not given or wrong or len(set(given)) != len(given):
        got = ", ".join(map(str, given)) or "none"
        raise SearchError(
            f"search {owner}: expected one or more of {', '.join(map(str, allowed))}, each "
            f"once, got {got}."
        )


def _check_numbers(owner: str, given: tuple[float, ...], most: float) -> None:
    wrong = [value for value in given if not 0 < value <= most]
    if not given or wrong or len(set(given)) != len(given):
        raise SearchError(
            f"search {owner}: expected numbers above 0 and at most {most:g}, each once, "
            f"got {', '.join(f'{value:g}' for value in given) or 'none'}."
        )
