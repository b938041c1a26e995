"""Distillation of PyTorch modules: terms of a loss that a training loop adds up (Hinton 2015)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from edgernn.errors import DistillationError
from edgernn_export.compress.distillation.hidden_states import same_steps
from edgernn_export.compress.distillation.losses import (
    LossSettings,
    soft_binary_targets,
    soft_targets,
    squared_distance,
)
from edgernn_export.compress.distillation.output_heads import logits_of, task_of
from edgernn_export.compress.pytorch.layers import AffineLayer

_LOSSES: Final = {"classes": soft_targets, "binary": soft_binary_targets}
Loss = Callable[[Tensor, Tensor], Tensor]


class DistillationLoss(nn.Module):
    """The loss of a student that learns from a teacher's outputs, and from labels.

        alpha * teacher's term + (1 - alpha) * loss(outputs, labels)

    The teacher's term of classes is T²·KL(teacher || student) at temperature T, that of binary
    outputs the same for each of them, and that of values is ``loss`` with the teacher's outputs in
    place of the labels. Without labels it is the whole loss.

    Args:
        task: "classes", "binary" or "values".
        loss: compares outputs with labels, such as torch.nn.functional.mse_loss; a mean over the
            batch. None compares values by their mean squared error, and takes no labels otherwise.
        temperature: T.
        alpha: share of the teacher, 0 to 1.
        student_head: what ends the student, "linear" (logits), "softmax" or "sigmoid".
        teacher_head: the same of the teacher.

    Raises:
        DistillationError: the heads do not fit the task, or a number is refused.
    """

    def __init__(
        self,
        task: str,
        loss: Loss | None = None,
        *,
        temperature: float = 1.0,
        alpha: float = 0.7,
        student_head: str = "linear",
        teacher_head: str = "linear",
    ) -> None:
        super().__init__()
        self.settings = LossSettings(temperature=temperature, alpha=alpha, hidden_weight=0.0)
        self.task = task_of(task, {"teacher": teacher_head, "student": student_head})
        self._heads = student_head, teacher_head
        self._loss: Loss | None = loss
        if loss is None and task == "values":
            self._loss = nn.functional.mse_loss

    def forward(
        self,
        outputs: Tensor,
        answers: Tensor,
        labels: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            outputs: of the student, [B, K] or [B, T, K].
            answers: of the teacher, whose gradient is cut; of answers per step a student that
                answers once takes the last.
            labels: as the loss takes them, or None.
            weights: of the teacher's term of classes and binary outputs, [B] or [B, T], or None.

        Raises:
            DistillationError: labels are given that there is no loss for.
        """
        ours, theirs = same_steps(outputs, answers.detach())
        if labels is None:
            return self._taught(ours, theirs, weights)
        if self._loss is None:
            raise DistillationError(
                "loss: expected a loss for the labels, got none. Pass one to DistillationLoss, "
                "such as torch.nn.functional.cross_entropy, or omit the labels."
            )
        alpha = self.settings.alpha
        hard = self._loss(outputs, labels)
        return alpha * self._taught(ours, theirs, weights) + (1.0 - alpha) * hard

    def _taught(self, ours: Tensor, theirs: Tensor, weights: Tensor | None) -> Tensor:
        if self.task == "values":
            assert self._loss is not None  # values have one
            return self._loss(ours, theirs)
        student_head, teacher_head = self._heads
        term: Tensor = _LOSSES[self.task](
            logits_of(ours, student_head),
            logits_of(theirs, teacher_head),
            self.settings.temperature,
            weights,
        )
        return term


class HiddenStates(nn.Module):
    """The mean squared error between hidden states of a student and of a teacher.

    It watches one recurrent layer of each. The student's states pass through a linear projection
    to the teacher's width, a parameter of this module: give it to the optimizer, too. Call both
    modules on the same streams, then this one.

    Args:
        student: a module with nn.LSTM, nn.GRU or nn.RNN, or one of `qat_module`.
        teacher: the same.
        student_layer: path of the recurrent layer; None takes the last one.
        teacher_layer: the same of the teacher.

    Raises:
        DistillationError: there is no such layer.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        student_layer: str | None = None,
        teacher_layer: str | None = None,
    ) -> None:
        super().__init__()
        self._seen: dict[str, Tensor] = {}
        widths, self._hooks = [], []
        for whose, module, path in (
            ("student", student, student_layer),
            ("teacher", teacher, teacher_layer),
        ):
            layer = _recurrent(module, path, whose)
            widths.append(_width(layer))
            self._hooks.append(layer.register_forward_hook(self._watch(whose)))
        self.projection = nn.Linear(widths[0], widths[1], bias=False)

    def forward(self, weights: Tensor | None = None) -> Tensor:
        """The error of the last batch that both have read.

        Args:
            weights: of the streams [B], or of their steps [B, T]; or None.

        Raises:
            DistillationError: one of them has read nothing since the last call.
        """
        missing = [whose for whose in ("student", "teacher") if whose not in self._seen]
        if missing:
            raise DistillationError(
                f"{missing[0]}: expected a batch that it has read, got none since the last call. "
                "Call student and teacher on the batch first."
            )
        ours, theirs = same_steps(self._seen.pop("student"), self._seen.pop("teacher").detach())
        distance: Tensor = squared_distance(self.projection(ours), theirs, weights)
        return distance

    def remove(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()

    def _watch(self, whose: str) -> Callable[[nn.Module, Any, Any], None]:
        def seen(layer: nn.Module, given: Any, made: Any) -> None:  # noqa: ARG001  # PyTorch passes it
            self._seen[whose] = _states(layer, made[0])

        return seen


def _recurrent(module: nn.Module, path: str | None, whose: str) -> nn.Module:
    found: dict[str, nn.Module] = {}
    for name, child in module.named_modules():
        if isinstance(child, nn.RNNBase):
            found[name or type(child).__name__] = child
        elif isinstance(child, AffineLayer) and child.record.states:
            found[child.name] = child
    if not found or path not in (None, *found):
        raise DistillationError(
            f"{whose}_layer: expected a recurrent layer of the {whose}, got "
            f"{'none' if path is None else repr(path)}. It has "
            f"{', '.join(map(repr, found)) or 'none'}. Name one of these."
        )
    return found[path] if path is not None else list(found.values())[-1]


def _width(layer: nn.Module) -> int:
    if isinstance(layer, nn.RNNBase):
        return (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)
    assert isinstance(layer, AffineLayer)  # the others of `_recurrent`
    return int(layer.record.units)


def _states(layer: nn.Module, made: Tensor) -> Tensor:
    """The hidden states [B, T, H] of what a layer made of a batch."""
    if isinstance(layer, nn.RNNBase):
        return made if layer.batch_first or made.dim() == 2 else made.transpose(0, 1)
    assert isinstance(layer, AffineLayer)  # as above
    return made * torch.as_tensor(layer.record.output_scale, dtype=made.dtype)
