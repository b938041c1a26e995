"""What the regressor and the classifier share: training, quantization, answers, files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

import edgernn
from edgernn.errors import TrainingError
from edgernn.model.formats import FloatArray, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn.session.session import Session
from edgernn_export.calibration.frames import column_names
from edgernn_export.calibration.input_ranges import GivenRanges
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import channel_names
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.sklearn_wrappers.fitting import (
    FitSettings,
    check_layout,
    fit_settings,
    make_network,
    repeatable_training,
    train_network,
)
from edgernn_export.sklearn_wrappers.tables import (
    check_names,
    read_rows,
    read_sequences,
    units_of,
)
from edgernn_export.training.streams.cut_windows import padded, windows
from edgernn_export.writers.exporter import export as write_files

#: Readings that are kept for the calibration of later calls of ``partial_fit``.
_MOST_READINGS: Final = 100_000
#: Windows of the float network that run at a time.
_BATCH: Final = 512


class StreamEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """All of the estimators but their targets; `EdgeRNNRegressor` documents the parameters."""

    model_: IntegerModel
    network_: Any
    loss_curve_: list[float]
    n_features_in_: int
    steps_in_: int

    def __init__(
        self,
        *,
        cell: str = "GRU",
        units: int = 16,
        layers: int = 1,
        window: int | str | None = "auto",
        layout: str = "TI",
        steps: int = 32,
        epochs: int = 30,
        batch: int = 32,
        learning_rate: float = 0.01,
        clip_norm: float | None = 1.0,
        precision: PrecisionName = "w8a8",
        input_range: GivenRanges | None = None,
        channel_units: Mapping[str, str] | Sequence[str] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.window = window
        self.layout = layout
        self.steps = steps
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.precision = precision
        self.input_range = input_range
        self.channel_units = channel_units
        self.random_state = random_state
        self.verbose = verbose

    def stream(self, **options: Any) -> Session:
        """Open a session of the integer model, in the zero state.

        Over the rows of a stream it gives what ``predict`` gives for them (of a classifier: the
        logits, or with ``softmax=True`` the probabilities), and then continues the stream.

        Args:
            options: of `edgernn.load`. By default a model of windows that was trained on one
                stream begins with ``warm_up="pad"``, as ``predict`` does.

        Raises:
            NotFittedError: the estimator is not fitted.
        """
        check_is_fitted(self, "model_")
        if self._rows and self.model_.window is not None:
            options = {"warm_up": "pad", **options}
        return edgernn.load(self.model_, **options)

    def export(
        self,
        folder: str | os.PathLike[str],
        formats: Sequence[str] = ("tflite", "onnx", "c"),
        *,
        name: str | None = None,
    ) -> dict[str, Path]:
        """Write the integer model as an .edgernn file and in other formats.

        Transformers before the estimator in a pipeline are not part of the files. For options of
        the C, pass ``model_`` to `edgernn_export.export`.

        Args:
            folder: made if it does not exist.
            formats: keys of `edgernn_export.writers.file_formats.WRITERS`; may be empty.
            name: file name without suffix; default "model".

        Returns:
            The path of each format's file or folder, "edgernn" first.

        Raises:
            NotFittedError: the estimator is not fitted.
            EdgeRnnError: an unknown format.
        """
        check_is_fitted(self, "model_")
        written = write_files(self.model_, folder, formats, name=name) if len(formats) else {}
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        own = self.model_.save(place / f"{name or self.model_.name}.edgernn")
        return {"edgernn": own, **written}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.layout == "TI"
        tags.input_tags.three_d_array = self.layout != "TI"
        return tags

    def _readings(self, table: Any, *, reset: bool = False) -> FloatArray:
        """X as [T, I], or as [B, T, I] of sequences."""
        check_layout(self.layout)
        rows = self.layout == "TI"
        if reset:
            self._rows = rows
        elif rows != self._rows:
            wanted = "'TI'" if self._rows else "'BTI' or 'BIT'"
            raise TrainingError(
                f"layout: expected {wanted} as in fit, got {self.layout!r}. Set it back, or call "
                "fit."
            )
        if rows:
            return read_rows(self, table, reset=reset)
        steps, channels = (None, None) if reset else (self.steps_in_, self.n_features_in_)
        known = None if reset else getattr(self, "feature_names_in_", None)
        x = read_sequences(table, self.layout, steps, channels, known)
        if reset:
            self.steps_in_, self.n_features_in_ = x.shape[1:]
            names = column_names(table) if isinstance(table, (list, tuple)) else None
            if names is not None:
                self.feature_names_in_ = np.array(names, dtype=object)
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        return x

    def _settings(self) -> FitSettings:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        steps = None if self.layout == "TI" else self.steps_in_
        return fit_settings(self.get_params(deep=False), seed, steps)

    def _learn(
        self,
        table: Any,
        x: FloatArray,
        y: npt.NDArray[Any],
        *,
        outputs: int,
        names: Sequence[str] | None,
        begin: bool,
    ) -> Self:
        """Train and quantize.

        Args:
            table: what the user passed, for its names and units.
            x: the readings of it.
            y: what the layer before the last has to answer.
            outputs: width of the last layer.
            names: of the outputs; None for default ones.
            begin: with a new network.
        """
        settings = self._settings()
        if begin:
            self._channels = self._channel_labels(table, x.shape[-1])
            self._calibration: list[FloatArray] = []
            self._made = settings.network, settings.window
            self._output_names = names
        elif self._made != (settings.network, settings.window):
            raise TrainingError(
                "partial_fit: expected the cell, units, layers and window that the network was "
                "made with, got other ones. Call fit for a new network."
            )
        examples = x
        if self.layout == "TI" and settings.window is not None:
            examples = windows(x, settings.window, pad=True).x
        with repeatable_training(settings.seed) as keras:
            if begin:
                self.network_ = make_network(settings, x, outputs, self._end(keras))
            losses = train_network(self.network_, settings, examples, y, self._loss_of(keras))
        self.loss_curve_ = [*([] if begin else self.loss_curve_), *losses]
        self._keep(x, settings.window)
        self.model_ = quantize(
            self.network_,
            self._calibration,
            self.precision,
            input_range=self.input_range,
            stream="endless" if settings.window is None else "window",
            input_names=self._channels[0],
            input_units=self._channels[1],
            output_names=self._output_names,
            name="model",
            seeds=[("training", settings.seed)],
            progress=False,
        )
        return self

    def _channel_labels(self, table: Any, width: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names and units of the channels."""
        names = tuple(getattr(self, "feature_names_in_", channel_names("x", width, ())))
        check_names("X", names)
        return names, units_of(table, self.channel_units, names)

    def _keep(self, x: FloatArray, window: int | None) -> None:
        """Remember readings for calibration; the oldest ones are forgotten."""
        if self.layout != "TI":
            self._calibration.extend(x)
        else:
            self._calibration.append(x if window is None else padded(x, window))
        total = 0
        for place in reversed(range(len(self._calibration))):
            total += len(self._calibration[place])
            if total > _MOST_READINGS and place < len(self._calibration) - 1:
                del self._calibration[: place + 1]
                return

    def _outputs(self, table: Any, *, softmax: bool = False) -> FloatArray:
        """What the integer model answers to each row or sequence, [N, O]."""
        check_is_fitted(self, "model_")
        x = self._readings(table)
        if self.layout != "TI":
            return edgernn.run_many(self.model_, list(x), last=True, softmax=softmax)
        with self.stream() as session:
            return session.run(x, softmax=softmax)

    def _float_outputs(self, table: Any) -> FloatArray:
        """What the float network answers, with probabilities of a classifier, [N, O]."""
        check_is_fitted(self, "model_")
        from edgernn_export.keras_reader.reader import read_keras

        x = self._readings(table)
        network = read_keras(self.network_)
        window = self.model_.window
        if window is None:
            return float_run.with_softmax(network, float_run.run(network, x[None])[0][0])
        views = x
        if self.layout == "TI":
            long = padded(x, window.steps)
            views = np.lib.stride_tricks.sliding_window_view(long, window.steps, axis=0)
            views = views.swapaxes(1, 2)
        found = [
            float_run.run(network, views[at : at + _BATCH])[0][:, -1]
            for at in range(0, len(views), _BATCH)
        ]
        return float_run.with_softmax(network, np.concatenate(found))

    @abstractmethod
    def _end(self, keras: Any) -> Any:
        """The last layer."""

    @abstractmethod
    def _loss_of(self, keras: Any) -> Any:
        """The loss of the layers before the last."""
