"""A model under training that learns from the float network's answers, with or without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Final

import keras
from keras import ops

from edgernn.errors import DistillationError
from edgernn_export.compress.distillation.hidden_states import Side, same_steps
from edgernn_export.compress.distillation.losses import (
    LossSettings,
    soft_binary_targets,
    soft_targets,
    weighted_mean,
    without_masked,
)
from edgernn_export.compress.distillation.output_heads import head_of, logits_of
from edgernn_export.keras_reader.findings import owner_of

#: What compares the logits of an output with the teacher's, by the activation at its end.
_LOSSES: Final = {"softmax": soft_targets, "sigmoid": soft_binary_targets}
#: Reductions of a loss that the teacher's terms can stand beside.
_MEANS: Final = ("sum_over_batch_size", "mean")


class DistilledModel(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Trains on a teacher's answers and the labels, or on the answers only.

    The loss of a training batch is

        weight * teacher's terms + (1 - weight) * compiled loss

    and the teacher's terms alone where no labels are given. The term of a softmax is
    T²·KL(teacher || student) at temperature T, that of a sigmoid the same for each of its numbers;
    of any other output it is the compiled loss with the teacher's answer in place of the label, the
    mean squared error where there is none. Evaluation with labels is that of the compiled loss.

    Args:
        inputs: as of `keras.Model`.
        outputs: as of `keras.Model`.
        teacher: a Keras model with the same inputs and outputs; it is not changed.
        settings: temperature, and the share of the teacher.
        **options: of `keras.Model`.

    Raises:
        DistillationError: the teacher does not fit.
    """

    def __init__(
        self, inputs: Any, outputs: Any, *, teacher: Any, settings: LossSettings, **options: Any
    ) -> None:
        super().__init__(inputs, outputs, **options)
        _check(teacher, self)
        self.settings = settings
        # Kept from Keras's search for weights and layers of this model.
        self._teachers = tuple(
            Side(model=teacher, head=head_of(teacher, index), units=None)
            for index in range(len(self.outputs))
        )
        self._terms: list[tuple[Any, float]] = []
        self._labelled: bool | None = None

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, **options: Any
    ) -> None:
        """Compile as keras.Model does; ``loss`` may be left out where ``fit`` gets no labels.

        Raises:
            DistillationError: a loss is not a mean over the batch.
        """
        super().compile(optimizer, loss=loss, loss_weights=loss_weights, **options)
        names = list(self.output_names)
        losses = [_loss(each) for each in _by_output(loss, names, None)]
        weights = [1.0 if w is None else float(w) for w in _by_output(loss_weights, names, 1.0)]
        self._terms = list(zip(losses, weights, strict=True))

    def fit(self, x: Any = None, y: Any = None, *args: Any, **options: Any) -> Any:
        """Fit as keras.Model does; arrays need no labels."""
        self._given(y)
        return super().fit(x, y, *args, **options)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **options: Any) -> Any:
        """Evaluate as keras.Model does; without labels, by the teacher's terms."""
        self._given(y)
        return super().evaluate(x, y, *args, **options)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a training batch, or of any other.

        Raises:
            DistillationError: labels are given that no loss was compiled for.
        """
        weight = self.settings.alpha
        parts = []
        if y is not None and (not training or weight < 1.0):
            if all(loss is None for loss, _ in self._terms):
                raise DistillationError(
                    f"{owner_of(self)}: expected a loss for the labels, got none. Pass loss= "
                    "to compile, or omit the labels."
                )
            hard = super().compute_loss(x, y, y_pred, sample_weight, training)
            if not training:
                return hard
            parts.append((1.0 - weight) * hard)
        if y is None:
            weight = 1.0
        if weight:
            parts.append(weight * self._taught(x, y_pred, sample_weight))
        return sum(parts)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Metrics against the labels; the loss alone where there are none."""
        if y is None:
            return self._of_loss()
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def get_metrics_result(self) -> Any:
        """The results of all metrics; of the loss alone before the first labels."""
        built = all(getattr(metric, "built", True) for metric in self.metrics)
        return super().get_metrics_result() if built else self._of_loss()

    def _given(self, y: Any) -> None:
        """Compile again if labels are added or removed, since metrics keep variables."""
        labelled = y is not None
        if self._labelled not in (None, labelled):
            self.train_function = self.test_function = None
        self._labelled = labelled

    def _of_loss(self) -> dict[str, Any]:
        loss = next(metric for metric in self.metrics if metric.name == "loss")
        return {loss.name: loss.result()}

    def _taught(self, x: Any, y_pred: Any, sample_weight: Any) -> Any:
        """The teacher's terms of all outputs."""
        ours = keras.tree.flatten(y_pred)
        answers = keras.tree.flatten(self._teachers[0].model(x, training=False))
        weights = keras.tree.flatten(sample_weight) if sample_weight is not None else [None]
        if len(weights) < len(ours):
            weights = weights * len(ours)
        total: Any = 0.0
        for one, answer, side, (loss, share), given in zip(
            ours, answers, self._teachers, self._terms, weights, strict=True
        ):
            outputs, guide = same_steps(one, ops.stop_gradient(answer))
            total += share * self._term(outputs, guide, side.head, loss, given)
        return total

    def _term(self, outputs: Any, guide: Any, head: str, loss: Any, weights: Any) -> Any:
        compare = _LOSSES.get(_answers(head, loss))
        if compare is None and isinstance(loss, keras.losses.Loss):
            return loss(guide, outputs, sample_weight=weights)
        weights = without_masked(weights, outputs)
        if compare is not None:
            logits = logits_of(outputs, head), logits_of(guide, head)
            return compare(*logits, self.settings.temperature, weights)
        function = keras.losses.mean_squared_error if loss is None else loss
        return weighted_mean(function(guide, outputs), weights)


def teacher_of(source: Any, distil_from: Any) -> Any:
    """The Keras model to learn from.

    Args:
        source: the float network, or its path.
        distil_from: True for the float network itself; or a model, or a path Keras can load.
    """
    teacher = source if distil_from is True else distil_from
    if isinstance(teacher, (str, PathLike)):
        return keras.saving.load_model(teacher, compile=False)
    return teacher


def _answers(head: str, loss: Any) -> str:
    """What an output's numbers are: its head, or of linear ones what its loss takes them for."""
    name = str(getattr(loss, "name", None) or getattr(loss, "__name__", ""))
    if head in _LOSSES or "crossentropy" not in name:
        return head
    return "sigmoid" if "binary" in name else "softmax"


def _by_output(given: Any, names: Sequence[str], default: Any) -> list[Any]:
    """What `compile` was given for each output."""
    if isinstance(given, Mapping):
        return [given.get(name, default) for name in names]
    if isinstance(given, (list, tuple)):
        return list(given)
    return [given] * len(names)


def _loss(given: Any) -> Any:
    loss = keras.losses.get(given)
    reduction = getattr(loss, "reduction", _MEANS[0])
    if reduction not in _MEANS:
        raise DistillationError(
            f"loss: expected a mean over the batch, got reduction={reduction!r}. The teacher's "
            "term is a mean; build the loss with reduction='sum_over_batch_size'."
        )
    return loss


def _check(teacher: Any, student: Any) -> None:
    """Refuse a teacher whose inputs or outputs are not the student's, or that keeps states.

    Raises:
        DistillationError: it is such a model.
    """
    if not isinstance(teacher, keras.Model) or not getattr(teacher, "outputs", None):
        raise DistillationError(
            f"distil_from: expected True, a Sequential or Functional model or a path, got "
            f"{type(teacher).__name__}. Pass the float network."
        )
    for layer in teacher._flatten_layers():
        if getattr(layer, "stateful", False):
            raise DistillationError(
                f"distil_from {owner_of(layer)}: expected a network that starts every stream "
                "from zero, got stateful=True. Build it with stateful=False, copy the weights, "
                "and train on whole streams."
            )
    for side in ("inputs", "outputs"):
        ours, theirs = (
            [tuple(tensor.shape)[-1] for tensor in getattr(model, side)]
            for model in (student, teacher)
        )
        if ours != theirs:
            raise DistillationError(
                f"distil_from {owner_of(teacher)}: expected {side} of widths {ours} like the "
                f"network, got {theirs}. Pass the float network, or one with the same {side}."
            )
