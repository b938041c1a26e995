"""What a source delivers and what a sink receives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from edgernn.model.interface import Interface

#: A JSON value: where to go on in a source.
Json = Any


@dataclass(slots=True)
class Arrival:
    """One reading of one stream, or a line or message that holds none.

    Attributes:
        key: the stream; "" where it is unknown.
        values: by name of the raw channel, or in the order of the channels; NaN where a value is
            missing. Empty: there is no reading, and only ``problem`` is to be told.
        time_s: seconds since 1970-01-01 UTC; None: when it arrived.
        sequence: number of the reading, increasing for each key; None where the source has none.
        problem: why it, or a part of it, could not be read; one sentence, "" if nothing is wrong.
        passed: other fields, such as a true value to compare with.
    """

    key: str
    values: dict[str, float] | list[float]
    time_s: float | None = None
    sequence: int | None = None
    problem: str = ""
    passed: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class ArrivalBatch:
    """Readings that a source delivers together.

    Attributes:
        arrivals: in the order in which they arrived.
        position: where the source goes on after this batch; None where it cannot.
        token: what the source needs to acknowledge the batch.
    """

    arrivals: list[Arrival]
    position: Json | None = None
    token: object = None


@dataclass(slots=True)
class Result:
    """The answer to one prepared reading.

    Attributes:
        key: the stream.
        time_s: of the reading, seconds since 1970-01-01 UTC.
        sequence: number of the reading in its stream.
        x: prepared reading [I].
        y: outputs [O]; NaN where there is none yet.
        outputs: the same by name.
        decisions: by name, such as {"alarm": True}.
        passed: fields of the reading that are no channels.
        bad: a value was missing or not finite.
        untimed: the source gave no time; the reading has that of its arrival.
    """

    key: str
    time_s: float
    sequence: int
    x: list[float]
    y: list[float]
    outputs: dict[str, float]
    decisions: dict[str, float | str | bool]
    passed: dict[str, object]
    bad: bool
    untimed: bool = False


class EndOfSource(Exception):
    """A source has delivered its last reading."""


class EndOfSink(Exception):
    """The reader of the results has gone, and nobody else can come."""


class ReadingSource(Protocol):
    """Where readings come from.

    A source opens a broken connection again, and reports it in the log.
    """

    name: str

    def open(self, position: Json | None) -> None:
        """Connect.

        Args:
            position: of the last batch whose results are stored; None to begin.

        Raises:
            SourceError: it cannot be opened, and waiting would not help.
        """
        ...

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:
        """What has arrived.

        Args:
            most: arrivals after which the batch is complete; a message may exceed it.
            timeout_s: after this time an empty batch is returned.

        Raises:
            EndOfSource: there are no more readings.
        """
        ...

    def acknowledge(self, batch: ArrivalBatch) -> None:
        """The results and states of a batch are stored; it need not be delivered again."""
        ...

    def close(self) -> None:
        """Disconnect; may be called twice."""
        ...


class ResultSink(Protocol):
    """Where results go."""

    name: str

    def open(self, interface: Interface) -> None:
        """Connect.

        Args:
            interface: of the model whose results come.

        Raises:
            SinkError: it cannot be opened now.
        """
        ...

    def write(self, results: list[Result]) -> None:
        """Take results; the same results may come again after an error or a restart.

        Raises:
            SinkError: they could not be taken; none of them counts as written.
            EndOfSink: that will never change: the service ends.
        """
        ...

    def flush(self) -> None:
        """Return when what was written will survive the end of this process.

        Raises:
            SinkError: that is not so.
            EndOfSink: as in `write`.
        """
        ...

    def close(self) -> None:
        """Disconnect; may be called twice."""
        ...
