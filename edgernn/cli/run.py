"""`edgernn run`: stream readings through a model, line by line."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from edgernn.cli.model_argument import add_model_argument, model_path
from edgernn.cli.records import FORMATS, CsvRecords, JsonRecords, Number, Records, guess_format
from edgernn.errors import EdgeRnnError, ReadingError, ShapeError
from edgernn.loading import load
from edgernn.policies import Policy
from edgernn.session import Session

HELP: Final = """Stream readings through a model: one line in, one line out, at once.

CSV: a header is optional; columns are picked by the model's input names where it has them,
and taken in their order where it has none of them.
JSON lines: a list, an object keyed by the model's input names, or a number.
Blank lines are ignored.
"""
EXAMPLES: Final = """examples:
  edgernn run model.tflite --input readings.csv --output predictions.csv
  edgernn run model.onnx --input readings.jsonl --on-bad-reading hold
  sensor | edgernn run --model demo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model_argument(parser)
    parser.add_argument(
        "--input", default="-", metavar="FILE", help="readings; - is stdin (default)"
    )
    parser.add_argument("--output", default="-", metavar="FILE", help="- is stdout (default)")
    parser.add_argument(
        "--format", choices=("auto", *FORMATS), default="auto", help="of both sides (default: auto)"
    )
    parser.add_argument(
        "--backend",
        default="auto",
        help="native, reference, tflite or onnx (default: by the file's suffix; .edgernn files run "
        "on native where it is built)",
    )
    parser.add_argument("--codes", action="store_true", help="raw integer codes in and out")
    parser.add_argument("--softmax", action="store_true", help="probabilities instead of logits")
    parser.add_argument(
        "--on-bad-reading",
        choices=[policy.value for policy in Policy],
        default=Policy.RAISE.value,
        help="stop with an error, repeat the last good reading, or leave it out (default: raise)",
    )


def main(args: argparse.Namespace) -> int:
    """Stream until the input ends."""
    if args.codes and (args.softmax or args.on_bad_reading != Policy.RAISE.value):
        raise EdgeRnnError(
            "--codes: expected no --softmax and no --on-bad-reading beside it, got one. "
            "Codes are never bad readings, and probabilities are not codes."
        )
    _check_distinct(args.input, args.output)
    with (
        load(model_path(args), args.backend, args.on_bad_reading) as session,
        _reader(args.input) as source,
        _writer(args.output) as sink,
    ):
        count = _stream(session, source, sink, args)
        print(
            f"{count} readings, {session.bad_readings} bad ({args.on_bad_reading})",
            file=sys.stderr,
        )
    return 0


def _check_distinct(source: str, sink: str) -> None:
    if "-" not in (source, sink) and Path(sink).is_file() and Path(sink).samefile(source):
        raise EdgeRnnError(
            f"--output: expected another file than --input, got '{sink}' for both. "
            "Writing would erase the readings; name another file."
        )


@contextlib.contextmanager
def _reader(name: str) -> Iterator[TextIO]:
    if name != "-":
        with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            yield file
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    yield sys.stdin


@contextlib.contextmanager
def _writer(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdout
        return
    with Path(name).open("w", encoding="utf-8") as file:
        yield file


def _stream(session: Session, source: Iterable[str], sink: TextIO, args: argparse.Namespace) -> int:
    """Answer every reading; return how many there were."""
    records: Records | None = None
    count = 0
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        records = records or _records(session, line, args)
        try:
            answer = _answer(session, records, line, args)
        except EdgeRnnError as error:
            where = "stdin" if args.input == "-" else args.input
            raise type(error)(f"{where}, line {number}: {error}") from error
        if answer is None:
            text = records.header()
        else:
            text = records.format(answer)
            count += 1
        if text is not None:
            print(text, file=sink, flush=True)
    return count


def _records(session: Session, first_line: str, args: argparse.Namespace) -> Records:
    suffix = "" if args.input == "-" else Path(args.input).suffix
    name = guess_format(suffix, first_line) if args.format == "auto" else args.format
    inputs, outputs = session.interface.input.names, session.interface.output.names
    if name == "jsonl":
        return JsonRecords(inputs, outputs)
    return CsvRecords(inputs, outputs, args.codes)


def _answer(
    session: Session, records: Records, line: str, args: argparse.Namespace
) -> list[Number] | None:
    """The output for one line; None for a header.

    Raises:
        ReadingError, ShapeError: the line is bad and the policy says so.
    """
    try:
        reading = records.parse(line)
        if reading is None:
            return None
        if args.codes:
            codes: list[Number] = session.step_codes(reading).tolist()
            return codes
        y = session.step(reading, softmax=args.softmax)
    except (ReadingError, ShapeError):
        if args.on_bad_reading == Policy.RAISE.value:
            raise
        y = session.step([math.nan] * session.interface.input.width, softmax=args.softmax)
    values: list[Number] = y.tolist()
    return values
