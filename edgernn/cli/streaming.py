"""The loop of `edgernn run`: readings in, answers out, a summary at the end."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edgernn.errors import EdgeRnnError, NoReadings
from edgernn.records.record import Number, Reader, Record
from edgernn.records.text_files import LineSink
from edgernn.records.writers import AnswerWriter
from edgernn.session.policies import Policies, Policy
from edgernn.session.session import Session

#: Bad lines at the beginning that are kept to find the reason.
_KEPT: Final = 20


@dataclass(slots=True, kw_only=True)
class Streaming:
    """One session over the lines of one source.

    Attributes:
        session: answers readings by its policy.
        reader: turns lines into readings.
        make_writer: creates the writer, after the reader has seen a line.
        sink: receives the answers.
        source: name of the lines in messages.
        policies: policies of the session.
        softmax: answer with probabilities.
        codes: readings and answers are codes.
        give_up: number of bad readings at the beginning that ends the stream; 0 for none.
        group: column that the reader passes; a new stream begins where its value changes. "" for
            one stream.
        streams: number of streams that have begun.
        readings: number of lines that should contain a reading.
        bad: number of them without a number for every channel.
        unanswered: number of good ones without an answer yet, as before the first full window.
    """

    session: Session
    reader: Reader
    make_writer: Callable[[], AnswerWriter]
    sink: LineSink
    source: str
    policies: Policies
    softmax: bool
    codes: bool
    give_up: int
    group: str = ""
    streams: int = 0
    readings: int = 0
    bad: int = 0
    unanswered: int = 0
    #: Bad ones with more missing values than the policies replace by numbers.
    _unread: int = 0
    _writer: AnswerWriter | None = None
    _headed: bool = False
    _bad_lines: list[str] = field(default_factory=list)
    _first_problem: str = ""
    _value: object = None
    #: Clipped readings of earlier streams, by channel.
    _clipped: Counter[str] = field(default_factory=Counter)

    def stream(self, lines: Iterator[str]) -> None:
        """Answer every line.

        Raises:
            NoReadings: no line, or none of the first lines, contains a reading.
            EdgeRnnError: a line is bad and the policy is to raise, or the table is unusable.
        """
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                answers = self._answers(line, number)
            except NoReadings:
                raise
            except EdgeRnnError as error:
                raise type(error)(f"{self.source}, line {number}: {error}") from error
            for answer in answers:
                self.sink.write(answer)
        if self.readings and self._unread == self.readings:
            raise self._no_readings()

    def _answers(self, line: str, number: int) -> list[str]:
        """The lines to write for a line: a header, an answer, or both before the first answer."""
        record = self.reader.read(line)
        writer = self._writer = self._writer or self.make_writer()
        answers: list[str] = []
        if not self._headed and (names := self.reader.header_names(record)) is not None:
            self._headed = True
            header = writer.header(names)
            answers += [] if header is None else [header]
        if record is None:
            return answers
        self.readings += 1
        if self.group and not record.malformed:
            self._begin(record.passed)
        if record.problem is not None:
            self._count_bad(record, record.problem, line, number)
        return [*answers, writer.line(record, self._outputs(record))]

    def _begin(self, passed: Mapping[str | int, object]) -> None:
        """Start a new stream where the value of the group's column is another one.

        Raises:
            EdgeRnnError: there is no such column.
        """
        if self.group not in passed and not self.group.isdecimal():
            raise EdgeRnnError(
                f"--group: expected a table with the column '{self.group}', got one without."
            )
        value = passed[self.group] if self.group in passed else next(iter(passed.values()))
        if self.streams and value == self._value:
            return
        self._clipped.update(clipped_readings(self.session))
        self.session.reset()
        self.streams, self._value = self.streams + 1, value

    def _outputs(self, record: Record) -> list[Number]:
        values: list[Number | None]
        if self.codes:
            values = self.session.step_codes(record.x).tolist()  # None where it is masked
        else:
            values = self.session.step(record.x, softmax=self.softmax).tolist()
        outputs = [math.nan if value is None else value for value in values]
        self.unanswered += record.problem is None and any(map(math.isnan, outputs))
        return outputs

    def _count_bad(self, record: Record, problem: EdgeRnnError, line: str, number: int) -> None:
        missing = [not math.isfinite(x) for x in record.x]
        if any(itertools.compress(self.policies.raises, missing)):
            cure = self.reader.advice([line]) if self.readings == 1 else ""
            if not cure and not self.codes:
                cure = "Repair the line, or continue with: --on-bad-reading hold (or skip)"
            raise type(problem)(f"{problem}{cure and f'. {cure}'}")
        self.bad += 1
        numbers = (not isinstance(chosen, Policy) for chosen in self.policies.chosen)
        if not record.malformed and all(itertools.compress(numbers, missing)):
            return
        self._unread += 1
        if self._unread == self.readings <= max(_KEPT, self.give_up):
            self._bad_lines.append(line)
            self._first_problem = self._first_problem or f"line {number}: {problem}"
        if self._unread == self.readings == self.give_up:
            raise self._no_readings()

    def _no_readings(self) -> NoReadings:
        lines = f"in {self.bad} lines" if self.bad > 1 else "in the only line"
        cure = self.reader.advice(self._bad_lines) or (
            "Compare the file with the model's inputs (edgernn info)"
        )
        return NoReadings(
            f"{self.source}: expected a reading {lines}, got none ({self._first_problem}). {cure}"
        )

    def summary(self, ended_by: str) -> dict[str, Any]:
        """The counts of readings, as JSON values."""
        return {
            "readings": self.readings,
            "bad_readings": self.bad,
            "on_bad_reading": self.policies.given,
            "unanswered_readings": self.unanswered,
            "clipped_readings": {
                name: count + self._clipped[name]
                for name, count in clipped_readings(self.session).items()
            },
            "ended_by": ended_by,
            **({"streams": self.streams} if self.group else {}),
        }


def clipped_readings(session: Session) -> dict[str, int]:
    """Readings outside the range of their channel, by channel name."""
    return dict(zip(session.interface.input.names, session.clipped_readings, strict=True))


def summary_line(summary: dict[str, Any]) -> str:
    """The same as text."""
    policies = summary["on_bad_reading"]
    if isinstance(policies, dict):
        policies = ", ".join(f"{name} {policy}" for name, policy in policies.items())
    text = f"{summary['readings']} readings, {summary['bad_readings']} bad ({policies})"
    if "streams" in summary:
        text = f"{summary['streams']} streams, {text}"
    if summary["unanswered_readings"]:
        text += f"; {summary['unanswered_readings']} without an answer"
    clipped = {name: count for name, count in summary["clipped_readings"].items() if count}
    if clipped:
        text += f"; clipped: {', '.join(f'{name} {count}' for name, count in clipped.items())}"
    if summary["ended_by"] != "end of input":
        text += f"; ended by {summary['ended_by']}"
    return text
