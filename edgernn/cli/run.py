"""`edgernn run`: stream readings through a model, line by line."""

from __future__ import annotations

import argparse
import itertools
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from edgernn.cli.arguments import (
    RUNTIME_NAMES,
    add_model_argument,
    add_program_argument,
    add_table_arguments,
    model_path,
    on_bad_reading,
    table_options,
)
from edgernn.cli.chunk_run import (
    ChunkedRun,
    chunk_steps,
    chunk_summary_line,
    passed_columns,
    refuse_chunk_options,
)
from edgernn.cli.failures import fail
from edgernn.cli.process import StopSignals
from edgernn.cli.streaming import Streaming, summary_line
from edgernn.cli.style import say
from edgernn.cli.surroundings import RawStreaming, add_preparation_arguments, raw_preparation
from edgernn.errors import EdgeRnnError, NoReadings
from edgernn.model.interface import Interface, OutputSpec
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.times import TimeReader
from edgernn.records.columns import split_names
from edgernn.records.csv_records import CsvReader
from edgernn.records.dialect import Dialect
from edgernn.records.json_records import JsonReader
from edgernn.records.opening import FORMATS, format_of_suffix, open_reader
from edgernn.records.port_names import column_names
from edgernn.records.text_files import (
    LineSink,
    TextSource,
    begin_anew,
    inner_suffix,
    open_kept,
    open_sink,
    open_text,
)
from edgernn.records.writers import AnswerWriter, CsvWriter, Digits, JsonWriter
from edgernn.session.checks import WARM_UPS
from edgernn.session.chunk_session import ChunkSession
from edgernn.session.loading import load
from edgernn.session.policies import Policies, Policy
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

HELP: Final = """Stream readings through a model. Each input line gets one output line immediately.

CSV: the header is optional. Columns are matched by the model's input names; if the header has none
of them, columns are used in order. Delimiter, decimal mark and encoding are detected from the first
lines (from the first line of a pipe). The output uses the same dialect as the input.
JSON lines: each line is a list, a number, or an object with the model's input names as keys.
Blank lines are ignored. Files ending in .gz and .xz are read and written compressed.

Models with several inputs: name a column after its channel, after input.channel, or after the input
if that has a single channel. A key of a JSON object may name an input and hold a list. Output
columns are named output.channel, or output if it has a single channel; a channel named after its
output and a number, such as activity_0, keeps its name. JSON objects hold one list per output.

Bad readings: a cell that is not a number is a missing value of its channel. A line with the wrong
number of cells is bad as a whole. If all of the first lines are bad, the file is probably read the
wrong way: hold and skip then stop with exit code 1 and the likely reason.

A stream has a single state. If a column such as sensor_id or device changes and is not an input of
the model, the command stops, because it would mix the readings of several sensors. Pass
--one-stream to continue, or --group COLUMN to start a new stream, from the zero state, whenever the
value of this column changes. The column is copied in front of the outputs.

A model that records a preparation or decisions takes raw lines: pass the column of their times
(--time-column). Each reading of the model gets one output line, with its time, what is decided, and
the outputs. --prepared skips both: each line is then a reading of the model.

A network that answers whole chunks, such as a bidirectional one, reads --chunk N lines at a time,
or all lines until the --group column changes. Each chunk starts from the initial states. The output
has a line per reading or, if the network answers once, a line per chunk, with the columns of its
last reading.

Classifiers that end in a softmax answer with logits; pass --softmax for probabilities.

With --json, answers on stdout are JSON lines and the summary on stderr is a JSON object.
SIGTERM ends the stream between two readings with exit code 0, SIGINT (Ctrl-C) with 130. In both
cases all answers are written and the summary is printed on stderr.
"""
EXAMPLES: Final = """examples:
  edgernn run model.tflite --input readings.csv --output predictions.csv
  edgernn run model.onnx --input readings.jsonl --on-bad-reading hold
  edgernn run model.edgernn --input readings.csv --on-bad-reading wind=hold,pressure=1013.0
  sensor | edgernn run demo
  edgernn run model.edgernn --input export.csv.gz --columns Temperature,Humidity
  edgernn run model.edgernn --input log.txt --columns 2,3 --delimiter tab --decimal ,
  edgernn run model.edgernn --input excel.csv --encoding cp1252 --columns temperature=T_in
  edgernn run model.edgernn --input readings.csv --pass-through timestamp --output out.jsonl.xz
  edgernn run model.edgernn --input readings.csv --pass-through all --output joined.csv
  edgernn run model.edgernn --input log.csv --input-format csv --output-format jsonl
  edgernn run windows.edgernn --input readings.csv --warm-up pad
  edgernn run pair.edgernn --program encode --input readings.csv
  edgernn run bidirectional.edgernn --input gestures.csv --group recording
  edgernn run model.edgernn --input two_sites.csv --one-stream --summary summary.json
  edgernn run model.edgernn --input sequences.csv --group sequence
  edgernn run prepared.edgernn --input raw.csv --time-column timestamp --time-zone Europe/Berlin
"""
_END_OF_INPUT: Final = "end of input"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model_argument(parser)
    add_program_argument(
        parser, "in a file with several programs: run this one, from its initial states"
    )
    parser.add_argument("--input", default="-", metavar="FILE", help="readings (default: -, stdin)")
    parser.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="answers (default: -, stdout)"
    )
    formats = ("auto", *FORMATS)
    parser.add_argument(
        "--format", choices=formats, default="auto", help="format of input and output"
    )
    parser.add_argument(
        "--input-format", choices=formats, default="auto",
        help="format of the input (default: --format, else from the file name or the first line)",
    )  # fmt: skip
    parser.add_argument(
        "--output-format", choices=formats, default="auto",
        help="format of the output (default: --format, else from the file name, else as the input)",
    )  # fmt: skip
    add_table_arguments(parser)
    add_preparation_arguments(parser)
    parser.add_argument(
        "--pass-through", metavar="A,B,...",
        help="input columns to copy in front of the outputs, by name or position, or all; an "
        "output with the same name gets the suffix _output",
    )  # fmt: skip
    parser.add_argument(
        "--group", metavar="COLUMN",
        help="start a new stream, or chunk, where the value of this column changes; copied to the "
        "output",
    )  # fmt: skip
    parser.add_argument(
        "--backend",
        default="auto",
        help="native, reference, tflite (or tflite-runtime, ai-edge-litert) or onnx (or "
        "onnxruntime) (default: from the file name; .edgernn files use native if it is installed)",
    )
    parser.add_argument(
        "--warm-up", choices=WARM_UPS, default="nothing",
        help="answers of a window model before its first window is full: nothing (nan or null), or "
        "pad, which repeats the first reading to fill the window (default: nothing)",
    )  # fmt: skip
    parser.add_argument(
        "--chunk", type=int, metavar="N",
        help="with a network that answers whole chunks: N readings in each, fewer in the last",
    )  # fmt: skip
    parser.add_argument("--codes", action="store_true", help="read and write raw integer codes")
    parser.add_argument("--softmax", action="store_true", help="write probabilities, not logits")
    parser.add_argument(
        "--on-bad-reading", type=on_bad_reading, default=Policy.RAISE.value, metavar="POLICY",
        help="raise: stop with an error; hold: use the last good value; skip: leave the reading "
        "out; a number: use that number; or one of these per channel or input, as in "
        "wind=hold,pressure=1013.0, and raise for the others (default: raise)",
    )  # fmt: skip
    parser.add_argument(
        "--give-up-after", type=int, default=20, metavar="N",
        help="with hold and skip: stop if the first N readings are all bad; 0 never stops "
        "(default: 20)",
    )  # fmt: skip
    parser.add_argument("--summary", metavar="FILE", help="write the summary as JSON to FILE")


def main(args: argparse.Namespace) -> int:
    """Stream until the input ends, or a signal ends it."""
    if args.codes and (args.softmax or args.on_bad_reading != Policy.RAISE.value):
        raise EdgeRnnError(
            "--codes: expected no --softmax and no --on-bad-reading, got one of them. "
            "Remove it: codes are never bad readings, and probabilities are not codes."
        )
    if args.give_up_after < 0:
        raise EdgeRnnError(f"--give-up-after: expected at least 0, got {args.give_up_after}.")
    _check_distinct({"--input": args.input, "--output": args.output, "--summary": args.summary})
    input_format = _first_of(args.input_format, args.format)
    options = table_options(args, input_format)
    passed = () if args.pass_through is None else split_names("--pass-through", args.pass_through)
    if args.group:
        options = replace(options, one_stream=True)
        passed = passed_columns(args.group, passed)
    with (
        _opened(args) as session,
        StopSignals() as signals,
        open_text(args.input, options.encoding) as source,
        open_sink(args.output) as sink,
        _summary_file(args.summary) as summary_file,
    ):
        chunked = isinstance(session, ChunkSession)
        steps = chunk_steps(args, session) if isinstance(session, ChunkSession) else 0
        if not chunked:
            refuse_chunk_options(args)
        signals.wait(source.look)
        if session.interface.output.softmax and not (args.softmax or args.codes):
            say("edgernn run: note: the answers are logits. Pass --softmax for probabilities.")
        preparation = raw_preparation(args, session.interface)
        if preparation is not None and args.group:
            raise EdgeRnnError(
                "--group: expected a model that takes its readings directly, got one that "
                "records a preparation or decisions. Pass --prepared, or run each stream on its "
                "own."
            )
        names, ports = session.interface.input.names, session.interface.input.ports
        if preparation is not None:
            names, ports = preparation.inputs, ()
            passed = (args.time_column,) if args.time_column else ()
        reader = open_reader(source, names, options, ports=ports, codes=args.codes, passed=passed)
        streaming: Streaming | ChunkedRun
        if isinstance(session, ChunkSession):
            streaming = ChunkedRun(
                session=session,
                reader=reader,
                make_writer=_make_writer(session.interface, reader, args, args.softmax, raw=False),
                sink=sink,
                source=source.name,
                group=args.group or "",
                steps=steps,
                softmax=args.softmax,
                codes=args.codes,
            )
        else:
            streaming = _streaming(session, source, sink, reader, args, preparation)
        code = 0
        ended_by = "error"
        try:
            streaming.stream(signals.lines(source.lines()))
            ended_by = signals.received.name if signals.received else _END_OF_INPUT
            code = 128 + signal.SIGINT if signals.received is signal.SIGINT else 0
        except NoReadings as error:
            code = fail("run", error, 1, as_json=args.json)
        finally:
            summary = streaming.summary(ended_by)
            if summary_file is not None:
                begin_anew(summary_file)
                summary_file.write(f"{json.dumps(summary)}\n".encode())
        told = chunk_summary_line if chunked else summary_line
        say(json.dumps(summary) if args.json else told(summary))
    return code


def _opened(args: argparse.Namespace) -> Session | ChunkSession:
    """The session of the model, of its chunks, or of the program that --program names."""
    options: dict[str, Any] = {"program": args.program} if args.program else {}
    backend: Any = args.backend
    if args.backend in RUNTIME_NAMES:
        backend, runtime = RUNTIME_NAMES[args.backend]
        options |= {"runtime": runtime} if runtime else {}
    opened = cast(
        "Session | ProgramSession | ChunkSession",
        load(model_path(args), backend, args.on_bad_reading, args.warm_up, **options),
    )
    if not isinstance(opened, ProgramSession):
        return opened
    opened.close()
    raise EdgeRnnError(
        f"--program: expected one of {', '.join(opened.programs)}, got none. This command runs one "
        "program of the file; to run several in turn, use edgernn.load in Python."
    )


def _first_of(*choices: str) -> str | None:
    return next((choice for choice in choices if choice != "auto"), None)


def _check_distinct(names: Mapping[str, str | None]) -> None:
    files = {
        option: Path(name).resolve() for option, name in names.items() if name not in (None, "-")
    }
    for (first, one), (second, other) in itertools.combinations(files.items(), 2):
        same = one.samefile(other) if one.exists() and other.exists() else one == other
        if same:
            lost = "readings" if first == "--input" else "answers"
            raise EdgeRnnError(
                f"{second}: expected a different file from {first}, got '{names[second]}' for "
                f"both. Writing would erase the {lost}. Pass another file name."
            )


def _streaming(
    session: Session,
    source: TextSource,
    sink: LineSink,
    reader: CsvReader | JsonReader,
    args: argparse.Namespace,
    preparation: Preparation | None,
) -> Streaming:
    interface = session.interface
    softmax = args.softmax
    if preparation is not None and interface.decisions is not None:
        softmax = interface.decisions.softmax
    make_writer = _make_writer(interface, reader, args, softmax, raw=preparation is not None)
    common: dict[str, Any] = {
        "session": session,
        "reader": reader,
        "make_writer": make_writer,
        "sink": sink,
        "source": source.name,
        "policies": Policies(args.on_bad_reading, interface),
        "codes": args.codes,
        "give_up": args.give_up_after,
        "group": args.group or "",
    }
    if preparation is None:
        return Streaming(**common, softmax=args.softmax)
    decisions = interface.decisions
    return RawStreaming(
        **common,
        softmax=softmax,
        preparation=preparation.stream(),
        decisions=None if decisions is None else decisions.stream(),
        time_column=args.time_column or "",
        times=TimeReader(args.time_zone),
    )


def _make_writer(
    interface: Interface,
    reader: CsvReader | JsonReader,
    args: argparse.Namespace,
    softmax: bool,
    *,
    raw: bool,
) -> Callable[[], AnswerWriter]:
    """What creates the writer of answers, after the reader has seen a line."""
    is_table = isinstance(reader, CsvReader)
    outputs = interface.output
    digits = Digits(None if args.codes else _steps(outputs, softmax))
    name = _first_of(args.output_format, args.format) or format_of_suffix(
        "" if args.output == "-" else inner_suffix(args.output)
    )

    def make_writer() -> AnswerWriter:
        as_json = not is_table or (args.json and args.output == "-")
        if name == "jsonl" or (name is None and as_json):
            return JsonWriter(
                outputs.names, digits, cells=is_table and not raw, ports=outputs.ports
            )
        return CsvWriter(column_names(outputs.names, outputs.ports), digits, dialect)

    def dialect() -> Dialect:
        if isinstance(reader, CsvReader):
            return reader.dialect
        return Dialect(delimiter=",", decimal=".")

    return make_writer


def _steps(outputs: OutputSpec, softmax: bool) -> list[float | None]:
    """Physical units per code [O]; None of probabilities."""
    steps: list[float | None] = outputs.scale.tolist()
    for own in outputs.softmax_slices if softmax else ():
        steps[own] = [None] * len(steps[own])
    return steps


def _summary_file(name: str | None) -> AbstractContextManager[BinaryIO | None]:
    """Open the file before the stream begins, so that a bad name fails early."""
    return nullcontext() if name is None else open_kept(name)
