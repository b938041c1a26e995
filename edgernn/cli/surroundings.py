"""What surrounds a model: raw lines in `edgernn run`, text in `edgernn info`."""

from __future__ import annotations

import argparse
import dataclasses
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edgernn.cli.program_text import decoding_text
from edgernn.cli.streaming import Streaming
from edgernn.cli.style import heading
from edgernn.cli.wiring import Description
from edgernn.decide.decisions import DecisionStream
from edgernn.decoding.token_stream import scores_tokens
from edgernn.errors import EdgeRnnError
from edgernn.model.interface import Interface
from edgernn.prepare.part import Prepared
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.stream import PreparationStream
from edgernn.prepare.times import TimeReader
from edgernn.records.record import Form, Record
from edgernn.session.policies import Policy

#: Column of the times of answers.
_TIME = "time"


def add_preparation_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `edgernn run` for raw lines."""
    parser.add_argument(
        "--prepared", action="store_true",
        help="of a model that records a preparation: lines are readings of the model already; "
        "decisions are left out too",
    )  # fmt: skip
    parser.add_argument(
        "--time-column", metavar="NAME",
        help="of a model that records a preparation: column of the times, ISO 8601 or seconds "
        "since 1970",
    )  # fmt: skip
    parser.add_argument(
        "--time-zone", default="UTC", metavar="ZONE",
        help="time zone of times without an offset, as in Europe/Berlin (default: UTC)",
    )  # fmt: skip


def raw_preparation(args: argparse.Namespace, interface: Interface) -> Preparation | None:
    """The preparation that raw lines go through; None where lines are readings of the model.

    A model with decisions alone takes its readings unchanged.

    Raises:
        EdgeRnnError: arguments that do not fit the model.
    """
    if args.prepared or (interface.preparation is None and interface.decisions is None):
        if args.time_column:
            raise EdgeRnnError(
                "--time-column: expected a model that records a preparation or decisions, and no "
                "--prepared, got another. Omit it, or copy the column with --pass-through."
            )
        return None
    if args.codes or args.softmax or args.pass_through is not None:
        raise EdgeRnnError(
            "--codes, --softmax, --pass-through: expected none of them with a model that records a "
            "preparation or decisions, got one. Pass --prepared, or remove it."
        )
    preparation = interface.preparation or Preparation(inputs=interface.input.names)
    if not args.time_column and (
        preparation.timed or (preparation.period_s is not None and preparation.audio is None)
    ):
        raise EdgeRnnError(
            "--time-column: expected the column with the times, which the preparation of the model "
            "needs, got none. Pass its name, or --prepared if the lines are prepared already."
        )
    return preparation


@dataclass(slots=True, kw_only=True)
class RawStreaming(Streaming):
    """Raw lines through the preparation, the model and the decisions; an answer per model reading.

    Attributes:
        preparation: of the stream.
        decisions: of the stream; None for none.
        time_column: that the reader passes; "" without times.
        times: reads its cells.
        prepared: readings that the model got.
    """

    preparation: PreparationStream
    decisions: DecisionStream | None
    time_column: str
    times: TimeReader
    prepared: int = 0

    def _answers(self, line: str, _number: int) -> list[str]:
        """See `Streaming`: a header before the first answer, and the answers that are known."""
        record = self.reader.read(line)
        writer = self._writer = self._writer or self.make_writer()
        if record is None:
            return []
        self.readings += 1
        if record.problem is not None:
            self.bad += 1
            self._unread += record.malformed
            if record.malformed:
                if self.policies.given == Policy.RAISE.value:
                    raise type(record.problem)(
                        f"{record.problem}. Repair the line, or continue with: --on-bad-reading "
                        "skip"
                    )
                return []
        answers = []
        for one in self.preparation.push(self._time_s(record), record.x):
            answer = self._answer(one)
            if not self._headed:
                self._headed = True
                header = writer.header([str(name) for name in answer.passed])
                answers += [] if header is None else [header]
            answers.append(writer.line(answer, answer.x))
        return answers

    def _time_s(self, record: Record) -> float | None:
        if not self.time_column:
            return None
        return self.times.seconds(next(iter(record.passed.values()), None))

    def _answer(self, one: Prepared) -> Record:
        """Outputs and what is decided, as a record whose values are the outputs."""
        if one.reset:
            self.session.reset()
            if self.decisions is not None:
                self.decisions.reset()
        y: list[float] = self.session.step(one.x, softmax=self.softmax).tolist()
        self.prepared += 1
        self.unanswered += any(map(math.isnan, y))
        passed: dict[str | int, object] = {}
        if self.time_column:
            passed[_TIME] = utc_text(one.time_s)
        if self.decisions is not None:
            passed.update(self.decisions.push(one.time_s, one.x, y))
        return Record(x=[*y], form=Form.OBJECT, passed=passed)

    def summary(self, ended_by: str) -> dict[str, Any]:
        """See `Streaming.summary`."""
        counts = dict(self.preparation.counts)
        return Streaming.summary(self, ended_by) | {
            "prepared_readings": self.prepared,
            "preparation": {name: count for name, count in counts.items() if name != "readings"},
        }


def utc_text(time_s: float) -> str:
    """A time as ISO 8601 in UTC, to the millisecond where it is no whole second."""
    at = datetime.fromtimestamp(time_s, UTC)
    text = at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def described_surroundings(interface: Interface) -> Description:
    """What surrounds a model as JSON values; nothing where it has nothing."""
    found: Description = {}
    if interface.preparation is not None:
        found["preparation"] = interface.preparation.to_table()
    if interface.decisions is not None:
        found["decisions"] = interface.decisions.to_table()
    if interface.adaptation is not None:
        found["adaptation"] = dataclasses.asdict(interface.adaptation)
    if scores_tokens(interface):
        found["decoding"] = {"tokens": interface.input.vocabulary[0]}
    return found


def surroundings_lines(record: Description) -> list[str]:
    """The same as lines of text."""
    lines: list[str] = []
    if "preparation" in record:
        own = record["preparation"]
        lines += ["", heading("preparation"), f"  raw channels  {', '.join(own['inputs'])}"]
        lines += [f"  {_said(step)}" for step in own["steps"]]
    if "decisions" in record:
        lines += ["", heading("decisions")]
        for one in record["decisions"]["decisions"]:
            plain = {key: value for key, value in one.items() if key != "references"}
            lines.append(f"  {plain.pop('name')}: {_said(plain)}")
    if "adaptation" in record:
        settings = ", ".join(f"{key} {_value(v)}" for key, v in record["adaptation"].items())
        lines += ["", heading("adaptation"), f"  {settings}"]
    if "decoding" in record:
        lines += ["", decoding_text(record)]
    return lines


def _said(table: Description) -> str:
    """``clip  channels t, low 0, high 1``."""
    settings = ", ".join(f"{key} {_value(v)}" for key, v in table.items() if key != "kind")
    return f"{table['kind']}  {settings}".rstrip()


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return str(value)
