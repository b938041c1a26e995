"""Collect every reason why a model cannot be read, then refuse once; and what readers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgernn.errors import UnsupportedModelError
from edgernn_export.keras_reader.wording import KERAS, Wording


def class_of(layer: Any) -> str:
    """Name of the class of a Keras layer or operation, alive or stored in a file."""
    return str(getattr(layer, "stored_class", None) or type(layer).__name__)


def owner_of(layer: Any) -> str:
    """How a reason names a layer or operation: 'name' (Type), or as its format has it."""
    origin = getattr(layer, "origin", "") if hasattr(layer, "stored_class") else ""
    return str(origin) or f"{getattr(layer, 'name', '?')!r} ({class_of(layer)})"


@dataclass(slots=True, kw_only=True)
class Findings:
    """Reasons found so far, in the order of the layers.

    Attributes:
        reasons: one sentence each; no sentence twice.
        wording: what helps, in the words of the format that is read.
    """

    reasons: list[str] = field(default_factory=list)
    wording: Wording = KERAS

    def add(self, owner: str, wanted: str, got: str, cure: str) -> None:
        """Note one reason: what was wanted, what was found, what helps."""
        reason = f"{owner}: expected {wanted}, got {got}. {cure}"
        if reason not in self.reasons:
            self.reasons.append(reason)

    def refuse(self) -> None:
        """Raise all reasons at once.

        Raises:
            UnsupportedModelError: at least one reason was found.
        """
        if self.reasons:
            raise UnsupportedModelError(self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the layer readers share.

    Attributes:
        findings: where reasons are noted.
        keras2: the file was written by Keras 2, whose hard_sigmoid is clip(0.2 x + 0.5, 0, 1).
        directed: the order in which a layer takes its steps is known, and need not be checked.
        rank: axes of what the layer is given, the batch among them; None where it is unknown.
    """

    findings: Findings
    keras2: bool
    directed: bool = False
    rank: int | None = None

    @property
    def last_axis(self) -> tuple[Any, ...]:
        """How a configuration names the last axis; Keras 2 counts it from the batch, in a list."""
        axes = (-1, 1, 2) if self.rank is None else (-1, self.rank - 1)
        return (*axes, *((axis,) for axis in axes))
