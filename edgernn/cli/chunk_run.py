"""`edgernn run` over a table in chunks, for networks that read their steps backward, too."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgernn.errors import EdgeRnnError, NoReadings, ReadingError
from edgernn.records.record import Reader, Record
from edgernn.records.text_files import LineSink
from edgernn.records.writers import AnswerWriter
from edgernn.session.chunk_session import ChunkSession


@dataclass(slots=True, kw_only=True)
class ChunkedRun:
    """One session over the chunks of one table.

    Attributes:
        session: answers chunks.
        reader: turns lines into readings, and passes the column of groups first if there is one.
        make_writer: creates the writer of answers, after the reader has seen a line.
        sink: receives the answers.
        source: name of the lines in messages.
        group: column whose changes end a chunk; "" for none.
        steps: readings of a chunk; 0 where only groups, or the end of the table, end one.
        softmax: answer with probabilities.
        codes: readings and answers are codes.
        readings: read so far.
        chunks: answered so far.
        left_out: readings of chunks that were too short.
    """

    session: ChunkSession
    reader: Reader
    make_writer: Callable[[], AnswerWriter]
    sink: LineSink
    source: str
    group: str
    steps: int
    softmax: bool
    codes: bool
    readings: int = 0
    chunks: int = 0
    left_out: int = 0
    _made: AnswerWriter | None = None
    _headed: bool = False
    _waiting: list[Record] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    def stream(self, lines: Iterator[str]) -> None:
        """Answer every chunk.

        Raises:
            NoReadings: no line contains a reading.
            EdgeRnnError: a line is bad, or a chunk is too long.
        """
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = self.reader.read(line)
                if record is not None and record.problem is not None:
                    raise ReadingError(
                        f"{record.problem}. A chunk needs all of its readings: repair the line"
                    )
            except EdgeRnnError as error:
                raise type(error)(f"{self.source}, line {number}: {error}") from error
            self._head(record)
            if record is None:
                continue
            self.readings += 1
            if self._ends_before(record):
                self._answer()
            self._waiting.append(record)
            self._lines.append(number)
            if len(self._waiting) == self.steps:
                self._answer()
        self._answer()
        if not self.readings:
            raise NoReadings(f"{self.source}: expected readings, got none")

    def _head(self, record: Record | None) -> None:
        made = self._made = self._made or self.make_writer()
        if not self._headed and (names := self.reader.header_names(record)) is not None:
            self._headed = True
            header = made.header(names)
            if header is not None:
                self.sink.write(header)

    def _ends_before(self, record: Record) -> bool:
        """Whether a reading belongs to another group than those that wait."""
        if not self.group or not self._waiting:
            return False
        return self._key(record) != self._key(self._waiting[-1])

    def _key(self, record: Record) -> object:
        """The group of a reading: its column by name, or the first one that is passed through."""
        first = next(iter(record.passed.values()), None)
        return record.passed.get(self.group, first)

    def _answer(self) -> None:
        waiting, lines = self._waiting, self._lines
        self._waiting, self._lines = [], []
        if not waiting:
            return
        if len(waiting) < self.session.min_steps:
            self.left_out += len(waiting)
            return
        try:
            answers = self._answers(np.array([record.x for record in waiting]))
        except EdgeRnnError as error:
            place = f"{self.source}, lines {lines[0]} to {lines[-1]}"
            raise type(error)(f"{place}: {error}") from error
        self.chunks += 1
        assert self._made is not None
        records = waiting if self.session.plan.sequence else waiting[-1:]
        for record, values in zip(records, np.atleast_2d(answers).tolist(), strict=True):
            self.sink.write(self._made.line(record, values))

    def _answers(self, xs: Any) -> Any:
        if self.codes:
            return self.session.run_codes(xs.astype(np.int64))
        return self.session.run(xs, softmax=self.softmax)

    def summary(self, ended_by: str) -> dict[str, Any]:
        """The counts, as JSON values."""
        return {
            "readings": self.readings,
            "chunks": self.chunks,
            "left_out_readings": self.left_out,
            "ended_by": ended_by,
        }


def chunk_summary_line(summary: dict[str, Any]) -> str:
    """The same as text."""
    text = f"{summary['readings']} readings in {summary['chunks']} chunks"
    if summary["left_out_readings"]:
        text += f"; {summary['left_out_readings']} readings in chunks that are too short"
    if summary["ended_by"] != "end of input":
        text += f"; ended by {summary['ended_by']}"
    return text


def chunk_steps(args: argparse.Namespace, session: ChunkSession) -> int:
    """Readings of a chunk; 0 where groups alone end one.

    Raises:
        EdgeRnnError: no length and no column of groups, or options that do not apply.
    """
    given = [
        option
        for option, value in (
            ("--on-bad-reading", args.on_bad_reading != "raise"),
            ("--warm-up", args.warm_up != "nothing"),
            ("--prepared", getattr(args, "prepared", False)),
            ("--time-column", getattr(args, "time_column", None)),
            ("--program", args.program),
        )
        if value
    ]
    if given:
        raise EdgeRnnError(
            f"run: expected options that apply to a network that answers whole chunks, got "
            f"{', '.join(given)}. Remove these."
        )
    low, high = session.min_steps, session.max_steps
    if args.chunk is None:
        if args.group or low == high:
            return 0 if args.group else high
        raise EdgeRnnError(
            "run: expected --chunk N or --group COLUMN for a network that answers whole chunks of "
            f"{low} to {high} readings, got none of them. It reads each chunk backward, too, so it "
            "cannot answer an endless stream; for one, train without Bidirectional and "
            "go_backwards, and convert with: edgernn quantize"
        )
    if not low <= args.chunk <= high:
        raise EdgeRnnError(f"--chunk: expected {low} to {high} readings, got {args.chunk}.")
    return int(args.chunk)


def refuse_chunk_options(args: argparse.Namespace) -> None:
    """Refuse options of chunks with a model over a stream.

    Raises:
        EdgeRnnError: one is given.
    """
    if args.chunk is not None:
        raise EdgeRnnError(
            "--chunk: expected a network that answers whole chunks, such as a "
            "bidirectional one, got a model over a stream. Omit it."
        )


def passed_columns(group: str | None, passed: Sequence[str]) -> tuple[str, ...]:
    """The columns to pass through, that of the groups first."""
    if not group or tuple(passed) == ("all",):
        return tuple(passed)
    return (group, *(name for name in passed if name != group))
