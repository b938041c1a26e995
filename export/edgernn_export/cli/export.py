"""`edgernn export`: write an .edgernn file in formats that runtimes execute, or as C sources."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from edgernn.cli.arguments import add_program_argument, is_packaged, model_file
from edgernn.cli.style import say
from edgernn.container.file import load_either, load_program
from edgernn_export.cli.arguments import comma_list
from edgernn_export.writers.c.kernels.files import CORES, HOST
from edgernn_export.writers.c.packages import PACKAGES, COptions
from edgernn_export.writers.exporter import Written, export_files
from edgernn_export.writers.file_formats import SESSION_FORMATS, WRITERS

HELP: Final = """Write an integer model as .tflite and .onnx files, or as a folder of C99 sources.

Every format produces the same bits as the reference and contains a golden vector to check that.
C is written as plain sources or as a package for a build system, with the kernels for all cores or
for one, in separate files or amalgamated. C keeps sparse and 4-bit weights; .tflite and .onnx files
use one byte per weight.

C also has integer layers for the preparation and the decisions that a model records: log-mel
features of sound, units, windows, thresholds, majorities. What a microcontroller cannot compute is
an error that lists all reasons.

Several programs that share states become one .tflite file with one signature per program, one .onnx
file per program, and C code with a single shared state. Use --program to write one program as a
separate model.
"""
EXAMPLES: Final = """examples:
  edgernn export model.edgernn --to tflite,onnx -o build/
  edgernn export model.edgernn --to c
  edgernn export model.edgernn --to c --core cortex-m4
  edgernn export model.edgernn --to c --core cortex-m4 --amalgamate
  edgernn export model.edgernn --to c --package arduino
  edgernn export gas.edgernn --to c --package zephyr --prefix gas
  edgernn export pair.edgernn --to tflite
  edgernn export pair.edgernn --program decode --to c --prefix decode
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model", metavar="MODEL.edgernn", type=model_file, help="integer model, or 'demo'"
    )
    parser.add_argument(
        "--to", type=comma_list, default=SESSION_FORMATS, metavar="FORMATS",
        help=f"comma-separated list of {', '.join(WRITERS)} "
        f"(default: {','.join(SESSION_FORMATS)})",
    )  # fmt: skip
    add_program_argument(parser, "program to write, from a file with several, as MODEL.NAME")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR",
        help="folder to write to (default: the folder of the model; for 'demo' this folder)",
    )  # fmt: skip
    parser.add_argument(
        "--package", metavar="KIND",
        help=f"write C as a package: {', '.join(PACKAGES)} (default: plain sources)",
    )  # fmt: skip
    parser.add_argument(
        "--prefix", metavar="NAME",
        help="prefix of C file names and symbols; choose a different one for each network in a "
        "firmware (default: model)",
    )  # fmt: skip
    parser.add_argument(
        "--core", metavar="CORE",
        help=f"write C kernels for a single core: {', '.join(CORES)} (default: {HOST}, all cores)",
    )  # fmt: skip
    parser.add_argument(
        "--amalgamate", action="store_true",
        help="write C as one source file and one header, kernels included, plus a self-test",
    )  # fmt: skip
    parser.add_argument(
        "--network-only", action="store_true",
        help="write C without the model's preparation and decisions",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Write the files and print their names."""
    model = load_program(args.model, args.program) if args.program else load_either(args.model)
    name = f"{args.model.stem}.{args.program}" if args.program else args.model.stem
    folder = args.output
    if folder is None:
        folder = Path() if is_packaged(args.model) else args.model.parent
    options = COptions(
        package=args.package,
        prefix=args.prefix,
        core=args.core,
        amalgamate=args.amalgamate,
        network_only=args.network_only,
    )
    written = export_files(model, folder, args.to, name=name, options=options)
    if args.json:
        files = {name: _record(entry) for name, entry in written.items()}
        print(json.dumps({"model_sha256": model.sha256, "files": files}))
    else:
        for form, entry in written.items():
            for path in entry.files if form in SESSION_FORMATS else (entry.path,):
                if path.is_file():
                    print(f"{path}  {path.stat().st_size} bytes")
                    continue
                print(f"{path}  {len(entry.files)} files")
                say("Flash and RAM on a device: edgernn simulate MODEL --target NAME --emulate")
            if entry.densified_weights:
                print(
                    f"  {entry.densified_weights} sparse or 4-bit weights stored as one byte each"
                )
    return 0


def _record(entry: Written) -> dict[str, object]:
    """One format as JSON values; for a folder, with its files."""
    record: dict[str, object] = {
        "path": str(entry.path),
        "bytes": _bytes(entry),
        "densified_weights": entry.densified_weights,
    }
    if entry.files != (entry.path,):
        record["files"] = [file.relative_to(entry.path).as_posix() for file in entry.files]
    return record


def _bytes(entry: Written) -> int:
    return sum(file.stat().st_size for file in entry.files)
