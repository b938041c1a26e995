"""Whether a student can learn from a teacher: readings in, outputs out."""

from __future__ import annotations

from typing import Any

from edgernn.errors import DistillationError
from edgernn_export.keras_reader.findings import owner_of


def check_single(model: Any, whose: str) -> None:
    """Refuse models that are not built, or not of one input and output.

    Raises:
        DistillationError: it is such a model.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise DistillationError(
            f"{whose}: expected a keras.Model, got {type(model).__name__}. "
            "Load it with keras.saving.load_model."
        )
    if not model.built:
        raise DistillationError(
            f"{whose} {owner_of(model)}: expected a model with weights, got one that is not "
            "built. Begin the model with keras.Input((None, features))."
        )
    for side in ("inputs", "outputs"):
        count = len(getattr(model, side, None) or [None])
        if count != 1:
            raise DistillationError(
                f"{whose} {owner_of(model)}: expected one of {side}, got {count}. Distill a "
                "model with one input and one output, or train integers on the teacher's "
                "answers: qat_model(student, calibration, distil_from=teacher)."
            )


def check_pair(student: Any, teacher: Any) -> None:
    """Refuse models whose inputs or outputs do not fit each other.

    Args:
        student: a built keras.Model with one input and one output.
        teacher: the same, Sequential or Functional.

    Raises:
        DistillationError: shapes differ, weights are shared, or the teacher keeps states.
    """
    _check_teacher(teacher)
    theirs = tuple(teacher.inputs[0].shape)
    if getattr(student, "inputs", None):
        ours = tuple(student.inputs[0].shape)
        if not _agree(ours, theirs):
            raise DistillationError(
                f"student: expected input shape {theirs} like the teacher, got {ours}. Give "
                "both models the same inputs."
            )
    outputs, answers = tuple(student.compute_output_shape(theirs)), tuple(teacher.outputs[0].shape)
    if len(outputs) == 2 and len(answers) == 3:
        answers = (answers[0], answers[2])
    if not _agree(outputs, answers):
        raise DistillationError(
            f"student: expected output shape {answers} like the teacher, got {outputs}. Give "
            "both models the same number of outputs, per step or per stream."
        )
    ids = {id(variable) for variable in teacher.variables}
    shared = [variable.path for variable in student.trainable_variables if id(variable) in ids]
    if shared:
        raise DistillationError(
            f"student: expected separate weights, got {shared[0]!r} of the teacher. Build a "
            "new student."
        )


def _agree(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    """Same rank, and the same sizes where both are known."""
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _check_teacher(teacher: Any) -> None:
    import keras

    if not getattr(teacher, "outputs", None):
        raise DistillationError(
            f"teacher {owner_of(teacher)}: expected a Sequential or Functional model, got a model "
            "class. Wrap it: keras.Sequential([keras.Input((None, features)), teacher])."
        )
    for layer in teacher._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise DistillationError(
                f"teacher {owner_of(layer)}: expected a layer that starts every stream from "
                "zero, got stateful=True. Build it with stateful=False and copy the weights."
            )
