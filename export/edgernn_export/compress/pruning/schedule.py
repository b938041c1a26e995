"""The polynomial schedule of Zhu & Gupta (2017), "To prune, or not to prune", equation 1."""

from __future__ import annotations

from dataclasses import dataclass

from edgernn_export.compress.pruning.checks import whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When masks are renewed, and how dense they are then. A step is one training batch.

    Attributes:
        begin_step: batches done when pruning begins; 0 prunes before the first batch.
        end_step: batches done when the final density is reached.
        frequency: batches between two renewals.
        power: exponent of the polynomial; 3 in the paper.

    Raises:
        PruningError: the steps are not whole numbers in order.
    """

    begin_step: int
    end_step: int
    frequency: int
    power: int

    def __post_init__(self) -> None:
        """Check the steps."""
        whole_number("begin_step", self.begin_step, least=0)
        whole_number("end_step", self.end_step, least=self.begin_step)
        whole_number("frequency", self.frequency, least=1)
        whole_number("power", self.power, least=1)

    def due(self, step: int) -> bool:
        """Whether masks are renewed once this many batches are done; always so at the end."""
        if not self.begin_step <= step <= self.end_step:
            return False
        return step == self.end_step or (step - self.begin_step) % self.frequency == 0

    def density(self, step: int, initial: float, final: float) -> float:
        """Share of weights to keep once this many batches are done."""
        if step < self.begin_step:
            return 1.0
        if step >= self.end_step:
            return final
        left = 1.0 - (step - self.begin_step) / (self.end_step - self.begin_step)
        return float(final + (initial - final) * left**self.power)
