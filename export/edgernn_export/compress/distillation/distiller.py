"""A Keras 3 model that trains a student on a teacher's answers (Hinton et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np

from edgernn.errors import DistillationError
from edgernn_export.compress.distillation.compatibility import check_pair, check_single
from edgernn_export.compress.distillation.hidden_states import Side, same_steps, with_hidden
from edgernn_export.compress.distillation.losses import (
    LossSettings,
    soft_binary_targets,
    soft_targets,
    squared_distance,
    without_masked,
)
from edgernn_export.compress.distillation.output_heads import head_of, logits_of, task_of

_LOSSES: Final = {"classes": soft_targets, "binary": soft_binary_targets}
#: Reductions of a compiled loss that the teacher's terms can stand beside.
_MEANS: Final = ("sum_over_batch_size", "mean")
#: Streams the teacher sees at once where its answers are computed beforehand.
_BATCH: Final = 256
#: Parts of labels that have the teacher's answers beside them.
_TARGET: Final = "target"
_OUTPUTS: Final = "teacher_outputs"
_HIDDEN: Final = "teacher_hidden"


class Distillation:
    """All of `Distiller` but its base class, so that Keras loads on use only.

    A distiller is compiled and fitted like the student alone; ``student`` stays a plain Keras
    model. The teacher runs in inference mode and is not changed. The training loss is

        alpha * teacher's term + (1 - alpha) * compiled loss + hidden_weight * hidden states

    where the teacher's term of classes is T²·KL(teacher || student) at temperature T, and that of
    values is the compiled loss with the teacher's outputs in place of the targets. Hidden states of
    the student pass through a linear projection to the teacher's width, which is trained along and
    is no part of the student. Evaluation reports the compiled loss alone.

    Args:
        student: a built keras.Model, [B, T, I] to [B, K] or [B, T, K].
        teacher: a trained Sequential or Functional model with the same inputs and output width; of
            its outputs per step a student that answers once per stream takes the last.
        task: "classes", "binary" or "values"; None finds it where both models end in a softmax,
            or both in a sigmoid.
        temperature: T.
        alpha: share of the teacher, 0 to 1.
        hidden_weight: factor of the mean squared error of the hidden states; 0 leaves it out.
        student_layer: recurrent layer whose states are matched; None takes the last one.
        teacher_layer: the same of the teacher.
        student_head: activation at the student's output, if it is your own model class.
        teacher_head: the same of the teacher.
        precompute: ask the teacher once per `fit` instead of once per batch. For arrays; its
            answers take memory.

    Attributes:
        student: the model that is trained.
        task: what the outputs are.

    Raises:
        DistillationError: the models do not fit each other or the task, or a number is refused.
    """

    student: Any
    losses: list[Any]

    def __init__(
        self,
        student: Any,
        teacher: Any,
        *,
        task: str | None = None,
        temperature: float = 1.0,
        alpha: float = 0.7,
        hidden_weight: float = 0.0,
        student_layer: str | None = None,
        teacher_layer: str | None = None,
        student_head: str | None = None,
        teacher_head: str | None = None,
        precompute: bool = False,
    ) -> None:
        super().__init__()
        self.settings = LossSettings(
            temperature=temperature, alpha=alpha, hidden_weight=hidden_weight
        )
        for whose, model in (("teacher", teacher), ("student", student)):
            check_single(model, whose)
        check_pair(student, teacher)
        heads = {
            "teacher": teacher_head or head_of(teacher),
            "student": student_head or head_of(student),
        }
        self.task = task_of(task, heads)
        self.student = student
        self._teacher = _side(self, teacher, heads["teacher"], teacher_layer, "teacher")
        self._student = _side(self, student, heads["student"], student_layer, "student")
        self._states: Any = None
        self._precompute = precompute
        self._asks = bool(alpha or hidden_weight)
        self.projection = self._projection() if hidden_weight else None

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The student's outputs [B, K] or [B, T, K]; its hidden states are kept for the loss."""
        if training and self._student.units is not None:
            outputs, self._states = self._student.model(inputs, training=True)
            return outputs
        return self.student(inputs, training=training)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile as keras.Model does; ``loss`` compares the student with the labels.

        Raises:
            DistillationError: there is no loss, or it is not a mean over the batch.
        """
        parent: Any = super()
        parent.compile(*args, **kwargs)
        loss = getattr(self, "loss", None)
        if loss is None:
            raise DistillationError(
                "loss: expected the loss between student and labels, got none. Pass loss= to "
                "compile; with alpha=1 it is used only for evaluation."
            )
        reduction = getattr(loss, "reduction", _MEANS[0])
        if reduction not in _MEANS:
            raise DistillationError(
                f"loss: expected a mean over the batch, got reduction={reduction!r}. The teacher's "
                "term is a mean; build the loss with reduction='sum_over_batch_size'."
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The distillation loss of a training batch; the compiled loss of any other.

        Args:
            x: readings [B, T, I].
            y: labels, or labels together with the teacher's answers.
            y_pred: the student's outputs.
            sample_weight: None, or weights [B] or [B, T]; they weigh every term.
            training: False for evaluation.

        Raises:
            DistillationError: weights per step for outputs per stream.
        """
        parent: Any = super()
        states, self._states = self._states, None
        target, given = _split(y)
        settings = self.settings
        if not training or not self._asks:
            return parent.compute_loss(x, target, y_pred, sample_weight, training)
        guide = self._ask_teacher(x) if given is None else given
        loss = 0.0
        if settings.alpha < 1.0:
            hard = parent.compute_loss(x, target, y_pred, sample_weight, training)
            loss = (1.0 - settings.alpha) * hard
        if settings.alpha:
            loss += settings.alpha * self._taught(x, y_pred, guide, sample_weight)
        if settings.hidden_weight:
            steps = states if len(y_pred.shape) < len(states.shape) else y_pred
            weights = without_masked(sample_weight, steps)
            loss += settings.hidden_weight * self._distance(states, guide, weights)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Metrics of the student against the labels."""
        parent: Any = super()
        return parent.compute_metrics(x, _split(y)[0], y_pred, sample_weight=sample_weight)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Fit as keras.Model does.

        Raises:
            DistillationError: ``precompute`` without readings [N, T, I] and a label for each.
        """
        parent: Any = super()
        if self._precompute and self._asks:
            y = self._with_answers(x, y)
        return parent.fit(x, y, *args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the student, so that ModelCheckpoint writes the student."""
        self.student.save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Save the student's weights."""
        self.student.save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        """Load the student's weights."""
        self.student.load_weights(*args, **kwargs)

    def _with_answers(self, x: Any, y: Any) -> dict[str, Any]:
        """Labels together with the teacher's answers."""
        shape = np.shape(x) if isinstance(x, np.ndarray) else type(x).__name__
        if not isinstance(x, np.ndarray) or x.ndim != 3 or np.shape(y)[:1] != shape[:1]:
            raise DistillationError(
                "x: expected an array [N, T, I] and N labels with precompute=True, got "
                f"{shape} and {np.shape(y)}. Pass arrays, or omit precompute."
            )
        answers = self._teacher.model.predict(x, batch_size=_BATCH, verbose=0)
        if self._teacher.units is None:
            return {_TARGET: y, _OUTPUTS: answers}
        return {_TARGET: y, _OUTPUTS: answers[0], _HIDDEN: answers[1]}

    def _projection(self) -> Any:
        import keras

        layer = keras.layers.Dense(self._teacher.units, use_bias=False, name="projection")
        layer.build((None, self._student.units))
        return layer

    def _ask_teacher(self, x: Any) -> dict[str, Any]:
        from keras import ops

        answers = self._teacher.model(x, training=False)
        if self._teacher.units is None:
            return {_OUTPUTS: ops.stop_gradient(answers)}
        return {_OUTPUTS: ops.stop_gradient(answers[0]), _HIDDEN: ops.stop_gradient(answers[1])}

    def _taught(self, x: Any, y_pred: Any, guide: Mapping[str, Any], weights: Any) -> Any:
        """The teacher's term, and the model's regularisation that the other term has too."""
        outputs, answers = same_steps(y_pred, guide[_OUTPUTS])
        parent: Any = super()
        if self.task == "values":
            return parent.compute_loss(x, answers, outputs, weights, True)
        ours = logits_of(outputs, self._student.head)
        theirs = logits_of(answers, self._teacher.head)
        weights = without_masked(weights, outputs)
        term = _LOSSES[self.task](ours, theirs, self.settings.temperature, weights)
        return sum(self.losses, term)

    def _distance(self, states: Any, guide: Mapping[str, Any], weights: Any) -> Any:
        ours, theirs = same_steps(states, guide[_HIDDEN])
        projection: Any = self.projection
        return squared_distance(projection(ours), theirs, weights)


def _side(distiller: Distillation, model: Any, head: str, layer: str | None, whose: str) -> Side:
    if not distiller.settings.hidden_weight:
        if layer is not None:
            raise DistillationError(
                f"{whose}_layer: expected hidden_weight > 0 together with this layer, got 0. "
                "Set hidden_weight, or omit the layer."
            )
        return Side(model=model, head=head, units=None)
    both, units = with_hidden(model, layer, whose)
    return Side(model=both, head=head, units=units)


def _split(y: Any) -> tuple[Any, Mapping[str, Any] | None]:
    """Labels, and the teacher's answers if they are included."""
    if isinstance(y, Mapping) and _OUTPUTS in y:
        return y[_TARGET], y
    return y, None


@cache
def distiller_class() -> type[Distillation]:
    """`Distiller`: a `Distillation` that is a `keras.Model`."""
    import keras

    return type(
        "Distiller",
        (Distillation, keras.Model),
        {"__doc__": Distillation.__doc__, "__module__": __package__},
    )
