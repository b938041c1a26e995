"""What every decision is: a declaration with a name, and its part of one stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from edgernn.declared import Declaration

#: What is decided of one reading, by name.
Decided = dict[str, float | str | bool]


class DecisionPart(Protocol):
    """A decision's part of one stream."""

    def decide(
        self, time_s: float, x: Sequence[float] | None, y: Sequence[float], decided: Decided, /
    ) -> None:
        """Add what is decided of one reading.

        Args:
            time_s: seconds since 1970-01-01 UTC; NaN in a stream without times.
            x: values of the model's inputs [I]; None where they are not known.
            y: its outputs [O]; NaN where there is no answer.
            decided: by the decisions before; gets new entries.
        """
        ...

    def reset(self) -> None:
        """Forget all readings."""
        ...

    def state(self) -> list[float]:
        """What the part remembers."""
        ...

    def restore(self, values: list[float], /) -> None:
        """Remember what `state` gave."""
        ...


class DecisionDeclaration(Declaration):
    """Base of the decisions."""

    __slots__ = ()
    #: It compares the model's inputs.
    needs_inputs: ClassVar[bool] = False
    name: str

    def results(self) -> tuple[str, ...]:
        """Names of what is decided."""
        return (self.name,)

    def misfits(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], earlier: tuple[str, ...]
    ) -> list[str]:
        """What does not fit the model or the decisions before, one sentence each.

        Args:
            inputs: names of the model's input channels.
            outputs: names of its outputs.
            earlier: names of what the decisions before decide.
        """
        raise NotImplementedError

    def begin(self, inputs: tuple[str, ...], outputs: tuple[str, ...], /) -> DecisionPart:
        """The decision's part of a new stream.

        Args:
            inputs: names of the model's input channels.
            outputs: names of its outputs.
        """
        raise NotImplementedError

    def measured(self, channels: dict[str, Any]) -> DecisionDeclaration:
        """The decision with what it must know of the calibration data.

        Args:
            channels: calibration values of every input channel, float64 [N], by name.
        """
        del channels
        return self
