"""`edgernn verify`: do all runtimes give the reference's bits?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.cli.arguments import add_program_argument, add_table_arguments, table_options
from edgernn.container.file import load_either, load_program
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_set import ProgramSet
from edgernn_export.calibration.files import load_streams
from edgernn_export.cli.arguments import comma_list
from edgernn_export.verification.comparison import Verification, verify
from edgernn_export.verification.executors import runtimes
from edgernn_export.verification.files import EDGERNN, FileVerification, kind_of, verify_file
from edgernn_export.verification.program_comparison import verify_programs
from edgernn_export.verification.program_walk import Walk, random_walk
from edgernn_export.writers.file_formats import probe_codes

HELP: Final = """Do all runtimes give the reference's bits?

An .edgernn file runs natively and in every installed runtime; outputs and states of every step are
compared with the reference bit for bit. The stream is pseudo-random, or real readings from a file.

Programs that share states take a pseudo-random walk: each begins, with what others have left, and
steps, in any order. With --program, one of them runs as a model of its own.

A .tflite or .onnx file is checked as it is: its SHA-256, and its golden vector in every runtime
that runs it; of programs, one vector each. A folder of C is built with this computer's compiler,
and its self-test run. An integer model cannot be read back from either: with --model, they also run
a stream against the model's reference, and programs a walk.

Exit code 1 if anything differs, a runtime fails, none is installed, or the model is another one.
"""
EXAMPLES: Final = """examples:
  edgernn verify model.edgernn
  edgernn verify model.edgernn --input readings.csv --json
  edgernn verify model.edgernn --backends tflite-runtime,onnxruntime --steps 10000
  edgernn verify pair.edgernn
  edgernn verify build/model.tflite
  edgernn verify build/model.onnx --model model.edgernn --input readings.csv
  edgernn verify build/model_c --model model.edgernn
  edgernn verify build/pair.tflite --model pair.edgernn
"""
_STEPS: Final = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file", metavar="FILE", type=Path, help=".edgernn, .tflite or .onnx file, or folder of C"
    )
    parser.add_argument(
        "--model", type=Path, metavar="MODEL.edgernn", help="what the file was written from"
    )
    add_program_argument(parser, "one program of a file of several")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help="readings; default: pseudo-random"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N",
        help=f"length of the stream (default: {_STEPS} pseudo-random steps, or all of FILE)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the pseudo-random stream")
    parser.add_argument(
        "--backends", type=comma_list, metavar="A,B,...",
        help=f"{', '.join(runtimes())} (default: all)",
    )  # fmt: skip
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Compare and count."""
    if args.steps is not None and args.steps < 1:
        raise EdgeRnnError(f"--steps: expected at least 1, got {args.steps}.")
    if args.seed < 0:
        raise EdgeRnnError(f"--seed: expected at least 0, got {args.seed}.")
    result = _verified(args, lambda name: print(f"running {name}", file=sys.stderr))
    print(result.to_json() if args.json else result.table())
    return 0 if result.passed else 1


def _verified(
    args: argparse.Namespace, tell: Callable[[str], None]
) -> Verification | FileVerification:
    kind = kind_of(args.file)
    if kind == EDGERNN:
        if args.model is not None:
            raise EdgeRnnError(
                "--model: expected it beside a .tflite or .onnx file or a folder of C, got an "
                ".edgernn file. Leave it out."
            )
        model = load_program(args.file, args.program) if args.program else load_either(args.file)
        if isinstance(model, ProgramSet):
            return verify_programs(model, _walk(model, args), args.backends, tell)
        return verify(model, _stream(model, args), args.backends, tell)
    if args.model is None:
        if args.input is not None or args.steps is not None:
            option = "--steps" if args.input is None else "--input"
            raise EdgeRnnError(
                f"{option}: expected --model beside it, got none. The reference runs the model "
                f"that '{args.file.name}' was written from."
            )
        return verify_file(args.file, runtimes=args.backends, progress=tell)
    model = load_program(args.model, args.program) if args.program else load_either(args.model)
    stream = _walk(model, args) if isinstance(model, ProgramSet) else _stream(model, args)
    return verify_file(args.file, model, stream, args.backends, tell)


def _walk(programs: ProgramSet, args: argparse.Namespace) -> Walk:
    if args.input is not None:
        raise EdgeRnnError(
            f"--input: expected --program beside it, one of {', '.join(programs.names)}, got none. "
            "Readings are of one program; all of them take a pseudo-random walk."
        )
    return random_walk(programs, args.steps or _STEPS, args.seed)


def _stream(model: IntegerModel, args: argparse.Namespace) -> OperandArray:
    if args.input is None:
        return probe_codes(model, args.steps or _STEPS, args.seed)
    names, ports = model.input.names, model.input.ports
    streams = load_streams(args.input, names, table_options(args), ports=ports)
    readings = np.concatenate(streams)[: args.steps]
    if not np.isfinite(readings).all():
        bad = int(np.argmin(np.isfinite(readings).all(axis=1)))
        raise EdgeRnnError(
            f"--input: expected finite readings, got {readings[bad].tolist()} (reading {bad}). "
            "Drop or fill them."
        )
    return model.interface().quantize(readings)
