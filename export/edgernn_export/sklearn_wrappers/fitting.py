"""The networks of the estimators, and how they are trained on windows and on streams."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray
from edgernn.model.interface import MAX_WINDOW_STEPS
from edgernn_export.calibration.input_ranges import check_given
from edgernn_export.quantizer.weight_storage import parse_precision
from edgernn_export.sklearn_wrappers.tables import LAYOUTS
from edgernn_export.training.networks import clipping, recurrent_layers, repeatable_keras
from edgernn_export.training.recipe import Network, check_count, check_rate
from edgernn_export.training.streams.truncated import fit_stateful

#: Readings in a window of one stream where ``window`` is "auto".
AUTO_WINDOW: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """The parameters of an estimator, checked.

    Attributes:
        network: cell and size.
        window: readings in a window; None for an endless stream.
        steps: how far gradients go back along an endless stream.
        epochs: passes over the examples.
        batch: windows, or pieces of the stream, in an update.
        learning_rate: of Adam.
        clip_norm: see `clipping`.
        verbose: of Keras.
        seed: of weights and order.
    """

    network: Network
    window: int | None
    steps: int
    epochs: int
    batch: int
    learning_rate: float
    clip_norm: float | None
    verbose: int
    seed: int


def check_layout(layout: Any) -> None:
    """Refuse axes of X that are none.

    Raises:
        TrainingError: an unknown layout.
    """
    if layout not in LAYOUTS:
        raise TrainingError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r:.40}.")


def fit_settings(parameters: dict[str, Any], seed: int, sequence_steps: int | None) -> FitSettings:
    """Check the parameters of an estimator.

    Args:
        parameters: from ``get_params``; numbers may be those of NumPy.
        seed: drawn from ``random_state``.
        sequence_steps: T of sequences; None for rows of one stream.

    Raises:
        TrainingError: a parameter that cannot be one.
        QuantizationError: an unknown precision, or ranges that cannot be ones.
    """
    plain = {name: _plain(value) for name, value in parameters.items()}
    window = plain["window"]
    if window == "auto":
        window = sequence_steps or AUTO_WINDOW
    if window is not None:
        check_count("window", window)
    if sequence_steps not in (None, window):
        raise TrainingError(
            f"window: expected 'auto' or {sequence_steps}, the length of the sequences, got "
            f"{window}. Pass layout='TI' for rows of one stream."
        )
    if window is not None and window > MAX_WINDOW_STEPS:
        raise TrainingError(f"window: expected at most {MAX_WINDOW_STEPS} readings, got {window}.")
    for name in ("steps", "epochs", "batch"):
        check_count(name, plain[name])
    check_rate(plain["learning_rate"])
    clipping(plain["clip_norm"])
    parse_precision(plain["precision"])
    check_given(plain["input_range"])
    if plain["cell"] == "CfC":
        raise TrainingError(
            "cell: expected one that reads equally spaced readings, got 'CfC', which needs the "
            "elapsed time. Build a network with edgernn_export.cells.CfCCell instead."
        )
    return FitSettings(
        network=Network(cell=plain["cell"], units=plain["units"], layers=plain["layers"]),
        window=window,
        seed=seed,
        **{
            name: plain[name]
            for name in ("steps", "epochs", "batch", "learning_rate", "clip_norm", "verbose")
        },
    )


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    return value.item() if isinstance(value, np.number) else value


def make_network(settings: FitSettings, x: FloatArray, outputs: int, end: Any) -> Any:
    """An untrained network: standardization, recurrent layers, Dense, and the end.

    Args:
        settings: its size and window.
        x: readings [..., I], which give means and variances.
        outputs: of the Dense layer.
        end: the last layer, which is not trained: it gives the outputs their scale or makes
            probabilities of them.

    Returns:
        A built `keras.Sequential`.
    """
    import keras

    layers = keras.layers
    flat = x.reshape(-1, x.shape[-1])
    variance = flat.var(axis=0)
    chain = [
        keras.Input((settings.window, flat.shape[1])),
        # A channel that never changes has no scale; 1 keeps later changes in its own unit.
        layers.Normalization(mean=flat.mean(axis=0), variance=np.where(variance > 0, variance, 1)),
    ]
    for index in range(settings.network.layers):
        last = index == settings.network.layers - 1
        sequences = settings.window is None or not last
        name = f"{settings.network.cell.lower()}_{index + 1}"
        chain += recurrent_layers(
            settings.network.cell, settings.network.units, sequences=sequences, name=name
        )
    return keras.Sequential([*chain, layers.Dense(outputs, name="head"), end], name="model")


def train_network(
    network: Any, settings: FitSettings, x: FloatArray, y: npt.NDArray[Any], loss: Any
) -> Sequence[float]:
    """Train all layers but the last.

    Args:
        network: from `make_network`; trained in place.
        settings: how.
        x: windows [N, T, I], or one stream [T, I] for an endless network.
        y: what the layer before the last has to answer, one row for each window or reading.
        loss: of these.

    Returns:
        The mean loss of every epoch.

    Raises:
        TrainingError: the loss became infinite or not a number.
    """
    import keras

    learner = keras.Sequential([keras.Input(network.input_shape[1:]), *network.layers[:-1]])
    if settings.window is None:
        trained = fit_stateful(
            learner,
            [x],
            [y],
            loss=loss,
            steps=min(settings.steps, len(x)),
            lanes=settings.batch,
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            clip_norm=settings.clip_norm,
            seed=settings.seed,
        )
        return trained.losses
    optimizer = keras.optimizers.Adam(settings.learning_rate, **clipping(settings.clip_norm))
    learner.compile(optimizer, loss)
    fitted = learner.fit(
        x.astype(np.float32),
        y,
        batch_size=settings.batch,
        epochs=settings.epochs,
        verbose=settings.verbose,
    )
    losses = [float(loss) for loss in fitted.history["loss"]]
    if not np.isfinite(losses[-1]):
        raise TrainingError(
            f"epoch {len(losses)}: expected a finite loss, got {losses[-1]}. Lower the learning "
            "rate, or clip the gradients with clip_norm=1.0."
        )
    return losses


@contextmanager
def repeatable_training(seed: int) -> Iterator[Any]:
    """Keras, seeded; the random numbers of Python and NumPy go on afterwards as if nothing was.

    Args:
        seed: of weights and order.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 (Keras seeds it)
    try:
        yield repeatable_keras(seed)
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
