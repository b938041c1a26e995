"""Recipes: a task on a data set, the network that learns it, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from edgernn.errors import TrainingError
from edgernn_export.calibration.input_ranges import GivenRanges
from edgernn_export.compress.checks import is_whole
from edgernn_export.datasets import Dataset
from edgernn_export.training.networks import build_network

CELLS: Final = ("SimpleRNN", "LSTM", "GRU")
#: Which epoch's weights a training keeps.
KEEPS: Final = ("best", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The size of a network.

    Attributes:
        cell: "SimpleRNN", "LSTM" or "GRU".
        units: of every recurrent layer.
        layers: recurrent layers, one after the other.

    Raises:
        TrainingError: an unknown cell, or a size below 1.
    """

    cell: str = "GRU"
    units: int = 32
    layers: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.cell not in CELLS:
            raise TrainingError(
                f"network: expected a cell among {', '.join(CELLS)}, got {self.cell!r:.40}."
            )
        for owner, value in (("units", self.units), ("layers", self.layers)):
            check_count(f"network {owner}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a network is trained: AdamW, its learning rate falling to zero on a cosine.

    Attributes:
        epochs: passes over the examples.
        batch: examples per update.
        learning_rate: its start.
        weight_decay: of AdamW (Loshchilov & Hutter 2019).
        input_noise: standard deviation of the noise on standardised inputs, in training only.
        window_steps: length of the windows that forecasts are trained on, each from the zero state;
            None takes the train streams whole.
        stride_steps: steps between the starts of two windows.
        loss_from: first step of a window that counts.
        keep: "best": the epoch that is best by the validation part. "last": the last epoch; the
            validation part has nothing to choose then and is learnt like the train part.

    Raises:
        TrainingError: a number out of its range, or an unknown ``keep``.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 1e-3
    input_noise: float = 0.0
    window_steps: int | None = None
    stride_steps: int = 1
    loss_from: int = 0
    keep: str = "best"

    def __post_init__(self) -> None:
        """Refuse settings that no training has."""
        if self.keep not in KEEPS:
            raise TrainingError(
                f"training keep: expected one of {', '.join(KEEPS)}, got {self.keep!r:.40}."
            )
        check_count("training epochs", self.epochs)
        check_count("training batch", self.batch)
        check_count("training stride_steps", self.stride_steps)
        check_rate(self.learning_rate)
        if self.window_steps is not None and not 0 <= self.loss_from < self.window_steps:
            raise TrainingError(
                f"training loss_from: expected a step of the window 0..{self.window_steps - 1}, "
                f"got {self.loss_from}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One task and how to learn it.

    Attributes:
        name: of the recipe, of its files and of its models.
        title: what the network says.
        load: reads the data set.
        network: its size, where nothing else is asked.
        training: see `Training`.
        build: makes the untrained Keras model of a recipe, a network size and its data.
        input_range: known ranges of readings, as for `quantize`; None leaves them to calibration.
    """

    name: str
    title: str
    load: Callable[[], Dataset]
    network: Network
    training: Training
    build: Callable[[Recipe, Network, Dataset], Any] = field(default=build_network)
    input_range: GivenRanges | None = None


def check_count(owner: str, value: Any) -> None:
    """Refuse anything but a whole number of at least 1.

    Raises:
        TrainingError: the value is refused.
    """
    if not is_whole(value) or value < 1:
        raise TrainingError(f"{owner}: expected a whole number >= 1, got {value!r:.40}.")


def check_rate(value: float) -> None:
    """Refuse learning rates that cannot be one.

    Raises:
        TrainingError: the value is refused.
    """
    if not 0.0 < value <= 1.0:
        raise TrainingError(f"training learning_rate: expected a number in (0, 1], got {value!r}.")
