"""What is asked of a distillation; every refusal names the argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import DistillationError

#: What an output vector says: one class out of K, K independent yes or no, or K values.
TASKS: Final = ("classes", "binary", "values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Weights of the terms of the loss.

    Attributes:
        temperature: divides the logits of teacher and student; above 0.
        alpha: share of the teacher in the loss, 0 to 1; the labels have the rest.
        hidden_weight: factor of the hidden states' mean squared error; 0 leaves it out.

    Raises:
        DistillationError: a number is outside its range.
    """

    temperature: float
    alpha: float
    hidden_weight: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("temperature", self.temperature, above=0.0)
        number("alpha", self.alpha, least=0.0, most=1.0)
        number("hidden_weight", self.hidden_weight, least=0.0)


def number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Refuse what is not a finite number in a range.

    Raises:
        DistillationError: it is not.
    """
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if real and math.isfinite(value) and least <= value <= most and value > above:
        return
    low = f"above {above:g}" if math.isfinite(above) else f"at least {least:g}"
    high = f" and at most {most:g}" if math.isfinite(most) else ""
    raise DistillationError(f"{name}: expected a number {low}{high}, got {value!r}.")
