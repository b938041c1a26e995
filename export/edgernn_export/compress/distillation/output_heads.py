"""What the last layer of a Keras model answers, and how to turn it back into logits."""

from __future__ import annotations

from typing import Any, Final

from edgernn.errors import DistillationError
from edgernn.model.layers import Dense
from edgernn_export.compress.distillation.losses import TASKS
from edgernn_export.compress.tensors.back_ends import ops
from edgernn_export.keras_reader.layers.config import activation_name

#: Activations of a last layer whose logits are known. Linear outputs are logits themselves.
HEADS: Final = ("linear", "softmax", "sigmoid")
_TASK_OF: Final = {"softmax": "classes", "sigmoid": "binary"}
_HEADS_OF: Final = {"classes": ("linear", "softmax"), "binary": ("linear", "sigmoid")}
#: Probabilities below this are taken as this: float32 softmax falls to 0, the logarithm must not.
_SMALLEST: Final = 1e-30
#: The same for sigmoids, where 1 - p must not fall to 0 either.
_NEAREST: Final = 1e-7


def head_of(model: Any, index: int = 0) -> str:
    """Name of the activation at an output of a Sequential or Functional model.

    Args:
        model: a keras.Model.
        index: of the output.

    Returns:
        A Keras activation's name; "unknown" for a model class of the user's own or a last layer
        without an activation.
    """
    import keras

    outputs = getattr(model, "outputs", None)
    if not outputs:
        return "unknown"
    history = outputs[index]._keras_history
    last = history.operation
    if isinstance(last, keras.Model):
        return head_of(last, history.tensor_index)
    if isinstance(last, keras.layers.TimeDistributed):
        last = last.layer
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    if type(last).__name__ == "DequantizeOutput":
        return _integer_head(last)
    function = getattr(last, "activation", None)
    return "unknown" if function is None else activation_name(function)


def _integer_head(dequantize: Any) -> str:
    """The activation of the integer layer before the end of a `qat_model`."""
    layer = dequantize.input._keras_history.operation
    record = getattr(getattr(layer, "integers", None), "record", None)
    return record.activation.value if isinstance(record, Dense) else "unknown"


def task_of(task: str | None, heads: dict[str, str]) -> str:
    """The given task, or the one that follows from the heads of teacher and student.

    Args:
        task: one of `TASKS`, or None.
        heads: activation at the output by owner, teacher and student.

    Raises:
        DistillationError: the heads leave it open, or do not fit the task.
    """
    if task is None:
        shown = {_TASK_OF.get(head) for head in heads.values()}
        (found,) = shown if len(shown) == 1 else (None,)
        if found is None:
            got = " and ".join(f"{head} from the {whose}" for whose, head in heads.items())
            raise DistillationError(
                f"task: expected softmax or sigmoid outputs from both models, got {got}. Pass "
                "task='classes' or 'binary' if linear outputs are logits, or task='values'."
            )
        return found
    if task not in TASKS:
        raise DistillationError(f"task: expected one of {', '.join(TASKS)}, got {task!r}.")
    for whose, head in heads.items():
        _check_head(whose, head, task)
    return task


def _check_head(whose: str, head: str, task: str) -> None:
    if task == "values":
        if head in _TASK_OF:
            raise DistillationError(
                f"{whose}: expected outputs that are values, got {head} (task='values'). Pass "
                f"task='{_TASK_OF[head]}', or a model that forecasts values."
            )
    elif head not in _HEADS_OF[task]:
        raise DistillationError(
            f"{whose}: expected outputs that are {' or '.join(_HEADS_OF[task])}, got {head} "
            f"(task='{task}'). Pass the activation as {whose}_head=, or change the last layer."
        )


def logits_of(outputs: Any, head: str) -> Any:
    """Logits of outputs [..., K], float32; of a softmax up to a constant per vector.

    Args:
        outputs: tensor, what the model answers.
        head: one of `HEADS`.
    """
    values = ops.cast(outputs, "float32")
    if head == "softmax":
        return ops.log(ops.maximum(values, _SMALLEST))
    if head == "sigmoid":
        inside = ops.clip(values, _NEAREST, 1.0 - _NEAREST)
        return ops.log(inside) - ops.log(1.0 - inside)
    return values
