"""`edgernn verify`: check that all runtimes produce the same bits as the reference."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.cli.arguments import (
    add_program_argument,
    add_table_arguments,
    model_file,
    runtime_list,
    table_options,
)
from edgernn.cli.progress import progress
from edgernn.container.file import load_either, load_program
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.calibration.files import load_streams
from edgernn_export.verification.chunk_walk import Chunks, chunks_of, random_chunks
from edgernn_export.verification.comparison import Verification, verify
from edgernn_export.verification.executors import runtimes
from edgernn_export.verification.files import EDGERNN, FileVerification, kind_of, verify_file
from edgernn_export.verification.program_comparison import verify_programs
from edgernn_export.verification.program_walk import Walk, random_walk
from edgernn_export.writers.file_formats import probe_codes

HELP: Final = """Check that all runtimes produce the same bits as the reference.

An .edgernn file runs on every installed back-end. Outputs and states of every step are compared
with the reference bit for bit. The stream is pseudo-random, or readings from a file.

Several programs that share states run in a pseudo-random order; each starts from the states that
the others have left. Use --program to check one program as a separate model. A bidirectional
network answers pseudo-random chunks, or the readings of --input in chunks.

A .tflite or .onnx file is checked by its SHA-256 and by its golden vector in every runtime for that
format (one vector per program). A folder of C sources is built with the compiler of this computer,
and its self-test is run. With --model, these files also run a stream and are compared with the
reference of that model.

Exit code 1 if a value differs, a runtime fails, no runtime is installed, or --model is another
model.
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
        "file", metavar="FILE", type=model_file,
        help=".edgernn, .tflite or .onnx file, folder of C sources, or 'demo'",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=model_file, metavar="MODEL.edgernn",
        help="the integer model that FILE was exported from",
    )  # fmt: skip
    add_program_argument(parser, "program to check, from a file with several")
    parser.add_argument(
        "--input", type=Path, metavar="FILE", help="readings (default: pseudo-random)"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N",
        help=f"length of the stream (default: {_STEPS}, or all readings of --input)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the pseudo-random stream (default: 0)"
    )
    parser.add_argument(
        "--backends", type=runtime_list, metavar="A,B,...",
        help=f"{', '.join(runtimes())}, tflite, onnx (default: all)",
    )  # fmt: skip
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Compare and count."""
    if args.steps is not None and args.steps < 1:
        raise EdgeRnnError(f"--steps: expected at least 1, got {args.steps}.")
    if args.seed < 0:
        raise EdgeRnnError(f"--seed: expected at least 0, got {args.seed}.")
    with progress("verify") as tell:
        result = _verified(args, tell)
    print(result.to_json() if args.json else result.table())
    return 0 if result.passed else 1


def _verified(
    args: argparse.Namespace, tell: Callable[[str], None]
) -> Verification | FileVerification:
    kind = kind_of(args.file)
    if kind == EDGERNN:
        if args.model is not None:
            raise EdgeRnnError(
                "--model: expected a .tflite or .onnx file or a folder of C with it, got an "
                ".edgernn file. Remove --model."
            )
        model = load_program(args.file, args.program) if args.program else load_either(args.file)
        if isinstance(model, ProgramSet):
            return verify_programs(model, _walk(model, args), args.backends, tell)
        return verify(model, _stream(model, args), args.backends, tell)
    if args.model is None:
        if args.input is not None or args.steps is not None:
            option = "--steps" if args.input is None else "--input"
            raise EdgeRnnError(
                f"{option}: expected --model as well, got none. Pass the .edgernn file that "
                f"'{args.file.name}' was exported from."
            )
        return verify_file(args.file, runtimes=args.backends, progress=tell)
    model = load_program(args.model, args.program) if args.program else load_either(args.model)
    stream = _walk(model, args) if isinstance(model, ProgramSet) else _stream(model, args)
    return verify_file(args.file, model, stream, args.backends, tell)


def _walk(programs: ProgramSet, args: argparse.Namespace) -> Walk | Chunks:
    if programs.chunk is not None:
        if args.input is None:
            return random_chunks(programs, args.steps or _STEPS, args.seed)
        names, ports = programs.programs[0].input.names, programs.programs[0].input.ports
        streams = load_streams(args.input, names, table_options(args), ports=ports)
        chunks = chunks_of(programs, streams, args.steps)
        if not chunks.codes:
            raise EdgeRnnError(
                f"--input: expected chunks of at least {programs.chunk.min_steps} readings, got "
                f"at most {max(map(len, streams))}. Pass longer streams."
            )
        return chunks
    if args.input is not None:
        raise EdgeRnnError(
            f"--input: expected --program as well, one of {', '.join(programs.names)}, got none. "
            "Choose the program that the readings belong to."
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
            "Remove such readings or fill them in."
        )
    return model.interface().quantize(readings)
