"""Recipes: a task on a data set, the network that learns it, and how."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from edgernn.errors import TrainingError
from edgernn_export.calibration.input_ranges import GivenRanges
from edgernn_export.compress.checks import is_real, is_whole
from edgernn_export.datasets import Dataset
from edgernn_export.training.networks import CELLS, build_network, clipping

if TYPE_CHECKING:
    from edgernn.model.formats import PrecisionName
    from edgernn_export.calibration.stream_kind import StreamKind
    from edgernn_export.datasets import Part
    from edgernn_export.training.loop import TrainingResult
    from edgernn_export.training.pipeline import Produced, Report

#: Which epoch's weights a training keeps.
KEEPS: Final = ("best", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The size of a network.

    Attributes:
        cell: one of `networks.CELLS`: "SimpleRNN", "LSTM", "GRU", "FastRNN", "FastGRNN", "CfC" (for
            data sets with the elapsed time), or a registered cell such as "linear_recurrence".
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
        loss_from: first step of a window, or of a whole stream, that counts in a forecast.
        equal_lengths: a batch holds streams of one length only, without padding: for networks that
            read their streams backward, too, or answer once for each stream. Without it, streams
            of unequal length are padded at the end, and padded steps do not count.
        linear_from: of forecasts: errors beyond this many standard deviations of the target count
            linearly (Huber loss). A small number forecasts the median, a large one the mean.
        carry_state: windows of a stream follow one another: each begins with the state that the one
            before left (truncated BPTT). The train streams are cut into ``batch`` rows, and
            ``stride_steps`` has no effect. With a ``learner``, as in distillation, each window
            begins with the zero state.
        keep: "best": the epoch that is best by the validation part. "last": the last epoch; the
            validation part has nothing to choose then and is learnt like the train part.
        clip_norm: largest norm of the gradient of each weight matrix; None does not clip.
        clip_value: largest value of each element of a gradient, instead of ``clip_norm``.

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
    equal_lengths: bool = False
    linear_from: float = 2.0
    carry_state: bool = False
    keep: str = "best"
    clip_norm: float | None = 1.0
    clip_value: float | None = None

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
        clipping(self.clip_norm, self.clip_value)
        if not is_real(self.linear_from) or self.linear_from <= 0.0:
            raise TrainingError(
                f"training linear_from: expected a number above 0, got {self.linear_from!r:.40}."
            )
        if self.carry_state and self.window_steps is None:
            raise TrainingError(
                "training window_steps: expected a number with carry_state, got None."
            )
        if self.window_steps is not None and not 0 <= self.loss_from < self.window_steps:
            raise TrainingError(
                f"training loss_from: expected a step of the window 0..{self.window_steps - 1}, "
                f"got {self.loss_from}."
            )


class Method(Protocol):
    """How recipes learn whose model is no single stream: `training.programs` has one."""

    def train(
        self,
        recipe: Recipe,
        seed: int,
        *,
        data: Dataset,
        network: Network,
        progress: bool | None,
    ) -> tuple[Any, TrainingResult]:
        """Train the network of a recipe, as `edgernn_export.training.train` does."""

    def quantized(
        self, recipe: Recipe, network: Any, data: Dataset, precision: PrecisionName, seed: int
    ) -> Any:
        """The integer model or the programs of a trained network."""

    def evaluate(self, model: Any, data: Dataset, part: Part) -> dict[str, float]:
        """Metrics of a float or integer model, or of its file, over a part."""

    def naive(self, data: Dataset) -> dict[str, dict[str, float]]:
        """Metrics of rules without a model over the test part, by their names."""


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
        input_range: known ranges of readings, as for `quantize`, or a function of the data set that
            gives them; None leaves them to calibration.
        options: what ``load`` takes, by name: what it says, for `edgernn train --set`.
        precision: of the integer model, where nothing else is asked.
        stream: how the network is quantized: "endless", or "window" where it answers windows of
            readings and the streams of its data are such windows.
        report: makes what `edgernn train` shows and writes in addition, after the scores; None for
            nothing.
        method: how it is trained, quantized and scored; None where the model is one stream.
    """

    name: str
    title: str
    load: Callable[..., Dataset]
    network: Network
    training: Training
    build: Callable[[Recipe, Network, Dataset], Any] = field(default=build_network)
    input_range: GivenRanges | Callable[[Dataset], GivenRanges] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    precision: PrecisionName = "w8a8"
    stream: StreamKind = "endless"
    report: Callable[[Produced], Report] | None = None
    method: Method | None = None

    def configured(self, values: Mapping[str, str]) -> Recipe:
        """The recipe with options of its data set.

        Args:
            values: texts by the names of `options`.

        Raises:
            TrainingError: the recipe has no such option.
        """
        for name in values:
            if name not in self.options:
                known = ", ".join(self.options) or "no options"
                raise TrainingError(
                    f"recipe {self.name}: expected options among {known}, got {name!r:.40}."
                )
        if not values:
            return self
        return replace(self, load=functools.partial(self.load, **values))


def check_count(owner: str, value: Any) -> None:
    """Refuse anything but a whole number of at least 1.

    Raises:
        TrainingError: the value is refused.
    """
    if not is_whole(value) or value < 1:
        raise TrainingError(f"{owner}: expected a whole number >= 1, got {value!r:.40}.")


def check_rate(value: Any) -> None:
    """Refuse learning rates that cannot be one.

    Raises:
        TrainingError: the value is refused.
    """
    if not is_real(value) or not 0.0 < value <= 1.0:
        raise TrainingError(
            f"training learning_rate: expected a number in (0, 1], got {value!r:.40}."
        )
