"""The two estimators: values for each reading, or classes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from edgernn.model.formats import FloatArray
from edgernn_export.sklearn_wrappers.stream_estimator import StreamEstimator
from edgernn_export.sklearn_wrappers.tables import can_name, check_names


class EdgeRNNRegressor(RegressorMixin, StreamEstimator):  # type: ignore[misc]
    """A recurrent network for values over time, which answers as the device will answer.

    `fit` trains a Keras network and quantizes it; `predict` and ``score`` run the integer model.
    The rows of X are readings of one stream in time order, and row t of a prediction depends on
    readings up to t alone. The network standardizes its inputs and outputs itself, so that the
    device takes and gives physical units.

        model = EdgeRNNRegressor(window=24, units=16, random_state=0)
        model.fit(X, y).score(X_test, y_test)
        model.export("build/")

    Args:
        cell: "GRU", "LSTM", "SimpleRNN", "FastGRNN", or another that recipes train, except "CfC".
        units: of every recurrent layer.
        layers: recurrent layers.
        window: readings that an answer depends on, each time from the zero state; None for an
            endless stream, whose state is kept from the first row to the last. "auto" is 16
            readings, or the length of the sequences.
        layout: axes of X. "TI": rows of one stream [T, I]. "BTI": sequences [B, T, I] with one
            answer each. "BIT": the same as sktime has them, [B, I, T].
        steps: readings that gradients go back along an endless stream.
        epochs: passes over the examples.
        batch: windows in an update; of an endless stream the pieces side by side.
        learning_rate: of Adam.
        clip_norm: largest norm of the gradient of each weight matrix; None does not clip.
        precision: of the integer model, see `edgernn_export.quantize`.
        input_range: known ranges of channels, see `edgernn_export.quantize`.
        channel_units: physical units, by channel or one for each; default those in
            ``attrs["units"]`` of a data frame.
        random_state: seed of weights and order; a number repeats a training bit for bit on one
            machine.
        verbose: of Keras; the training of an endless stream prints nothing.

    Attributes:
        model_: the `edgernn.IntegerModel`, which `predict` runs.
        network_: the float network, a `keras.Sequential`.
        loss_curve_: the training loss of every epoch, of standardized targets.
        n_outputs_: values in an answer.
        n_features_in_: channels I.
        feature_names_in_: names of the channels, where X is a data frame.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on readings and quantize.

        Args:
            X: readings in the axes of ``layout``; a data frame gives the channels their names. An
                index of times must ascend.
            y: for each row or sequence a value [N], or several [N, O].

        Returns:
            The estimator.

        Raises:
            ValueError: scikit-learn refuses X or y.
            ShapeError: rows that are not in time order.
            TrainingError: a parameter that cannot be one.
        """
        return self._fit(X, y, begin=True)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Train on with another stretch of readings, and quantize again.

        The stretch begins with the zero state. Calibration uses all stretches; standardization
        stays as the first one made it.

        Args:
            X: as for `fit`.
            y: as for `fit`.

        Raises:
            ValueError, ShapeError, TrainingError: as `fit`; also a network of another size.
        """
        return self._fit(X, y, begin=not hasattr(self, "model_"))

    def predict(self, X: Any) -> FloatArray:
        """Answer each row of a new stream, or each sequence, with the integer model.

        Before the first window is full, the first reading stands for the missing ones.

        Returns:
            float64 [N], or [N, O] where y was [N, O].
        """
        return self._shaped(self._outputs(X))

    def predict_float(self, X: Any) -> FloatArray:
        """Do what `predict` does with the float network, for comparison."""
        return self._shaped(self._float_outputs(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def _fit(self, table: Any, y: Any, *, begin: bool) -> Self:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        x = self._readings(table, reset=begin)
        target: FloatArray = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        check_consistent_length(x, target)
        columns = target[:, None] if target.ndim == 1 else target
        if begin:
            self.n_outputs_ = columns.shape[1]
            self._one_value = target.ndim == 1
            self._mean, deviation = columns.mean(axis=0), columns.std(axis=0)
            self._scale = np.where(deviation > 0, deviation, 1.0)
        elif columns.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y: expected {self.n_outputs_} values for each row, got {columns.shape[1]}."
            )
        standard = ((columns - self._mean) / self._scale).astype(np.float32)
        outputs = self.n_outputs_
        names = _target_names(y, outputs)
        return self._learn(table, x, standard, outputs=outputs, names=names, begin=begin)

    def _shaped(self, outputs: FloatArray) -> FloatArray:
        return outputs[:, 0] if self._one_value else outputs

    def _end(self, keras: Any) -> Any:
        return keras.layers.Rescaling(self._scale.tolist(), self._mean.tolist())

    def _loss_of(self, keras: Any) -> Any:  # noqa: ARG002 (by name)
        return "mse"


class EdgeRNNClassifier(ClassifierMixin, StreamEstimator):  # type: ignore[misc]
    """A recurrent network for classes over time, which answers as the device will answer.

    `fit` trains a Keras network and quantizes it; `predict`, `predict_proba` and ``score`` run the
    integer model. The rows of X are readings of one stream in time order, each with its class; or
    sequences with a class each.

    Args:
        cell, units, layers, window, layout, steps, epochs, batch, learning_rate, clip_norm: see
            `EdgeRNNRegressor`.
        precision, input_range, channel_units, random_state, verbose: see `EdgeRNNRegressor`.

    Attributes:
        classes_: the classes, ascending: the columns of `predict_proba`.
        model_, network_, loss_curve_: see `EdgeRNNRegressor`.
        n_features_in_, feature_names_in_: see `EdgeRNNRegressor`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on readings and quantize.

        Args:
            X: as for `EdgeRNNRegressor.fit`.
            y: the class of each row or sequence [N], numbers or text.

        Returns:
            The estimator.

        Raises:
            ValueError: scikit-learn refuses X or y, or y has one class only.
            ShapeError, TrainingError: as for `EdgeRNNRegressor.fit`.
        """
        return self._fit(X, y, None, begin=True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Train on with another stretch of readings, and quantize again.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            classes: all classes that later calls may have; default those of the first call.

        Raises:
            ValueError, ShapeError, TrainingError: as `fit`; also a class or a network size that the
                first call did not have.
        """
        return self._fit(X, y, classes, begin=not hasattr(self, "model_"))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each row of a new stream, or of each sequence.

        Returns:
            Classes [N]; the first one among equals.
        """
        places = self.predict_proba(X).argmax(axis=1)
        probable: npt.NDArray[Any] = self.classes_[places]
        return probable

    def predict_proba(self, X: Any) -> FloatArray:
        """The probabilities of the classes, from the logits of the integer model.

        Returns:
            float64 [N, K], in the order of ``classes_``.
        """
        return self._outputs(X, softmax=True)

    def predict_proba_float(self, X: Any) -> FloatArray:
        """Do what `predict_proba` does with the float network, for comparison."""
        return self._float_outputs(X)

    def _fit(self, table: Any, y: Any, classes: Any, *, begin: bool) -> Self:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        x = self._readings(table, reset=begin)
        target = column_or_1d(y, warn=True)
        check_consistent_length(x, target)
        check_classification_targets(target)
        if begin:
            self.classes_ = np.unique(target if classes is None else np.asarray(classes))
            if len(self.classes_) < 2:
                raise ValueError(
                    f"{type(self).__name__} expected at least two classes, got one class: "
                    f"{self.classes_[0]!r:.40}"
                )
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError("partial_fit: expected the classes of the first call, got others.")
        unknown = np.setdiff1d(target, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y: expected classes among {self.classes_!s:.60}, got {unknown[0]!r:.40}. Pass "
                "all classes in the first call of partial_fit."
            )
        codes = np.searchsorted(self.classes_, target)
        names = _class_names(self.classes_)
        return self._learn(table, x, codes, outputs=len(names), names=names, begin=begin)

    def _end(self, keras: Any) -> Any:
        return keras.layers.Activation("softmax")

    def _loss_of(self, keras: Any) -> Any:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _target_names(y: Any, outputs: int) -> tuple[str, ...] | None:
    """Names of the outputs from a frame or a series; None where they have none."""
    alone = [getattr(y, "name", None)] if outputs == 1 else []
    names: list[Any] = list(getattr(y, "columns", alone))
    if len(names) != outputs or not all(isinstance(name, str) and name for name in names):
        return None
    check_names("y", names)
    return tuple(names)


def _class_names(classes: npt.NDArray[Any]) -> tuple[str, ...]:
    names = [str(one) for one in classes]
    if len(set(names)) < len(names) or not all(map(can_name, names)):
        return tuple(f"class_{place}" for place in range(len(names)))
    return tuple(names)
