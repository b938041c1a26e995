"""What every step of a preparation is: a declaration, and its part of one stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple, Protocol

from edgernn.declared import Declaration, one_of

#: What a stream counts, in the order in which its state holds them.
COUNTED: Final = ("readings", "late", "repeated", "set_back", "gaps", "filled", "resets", "clipped")
#: By name of `COUNTED`.
Counts = dict[str, int]


class Prepared(NamedTuple):
    """One reading for the model.

    Attributes:
        time_s: seconds since 1970-01-01 UTC; NaN in a stream without times.
        x: values of the model's input channels [I]; NaN where one is missing.
        reset: the stream starts again with this reading: reset the model's stream first.
    """

    time_s: float
    x: list[float]
    reset: bool


class RowPart(Protocol):
    """A step's part of one stream: it changes or extends every row of values."""

    def apply(self, time_s: float, row: list[float], /) -> None:
        """Change values of the row in place and append new ones."""
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


class StepDeclaration(Declaration):
    """Base of the steps: they read and write channels by name."""

    __slots__ = ()
    #: The step needs the time of every reading.
    timed: ClassVar[bool] = False

    def reads(self) -> tuple[str, ...]:
        """Names of the channels that the step reads."""
        return ()

    def adds(self) -> tuple[str, ...]:
        """Names of the channels that the step adds."""
        return ()

    def begin(self, names: tuple[str, ...], counts: Counts, /) -> RowPart:
        """The step's part of a new stream.

        Args:
            names: of the values in a row, before the step.
            counts: of the stream.
        """
        raise NotImplementedError

    def misfits(self, names: tuple[str, ...]) -> Iterator[str]:
        """What does not fit the channels before the step, one sentence each."""
        for name in self.reads():
            if name not in names:
                yield f"expected a channel {one_of(names)}, got {name!r:.60}."
        for name in self.adds():
            if name in names or self.adds().count(name) > 1:
                yield f"expected a new channel name, got {name!r:.60}, which is taken."


class Memoryless:
    """A part that remembers nothing."""

    __slots__ = ()

    def reset(self) -> None:
        """There is nothing to forget."""

    def state(self) -> list[float]:
        """Nothing."""
        return []

    def restore(self, values: list[float], /) -> None:
        """There is nothing to restore."""
