"""`edgernn export`: an .edgernn file becomes files that runtimes execute, or C sources."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from edgernn.cli.arguments import add_program_argument
from edgernn.container.file import load_either, load_program
from edgernn_export.cli.arguments import comma_list
from edgernn_export.writers.c.kernels.files import CORES, HOST
from edgernn_export.writers.c.packages import PACKAGES, COptions
from edgernn_export.writers.exporter import Written, export_files
from edgernn_export.writers.file_formats import SESSION_FORMATS, WRITERS

HELP: Final = """Write an integer model as .tflite and .onnx files, or as a folder of C99 sources.

Every form gives the bits of the reference and carries a golden vector that proves it.
C comes as plain sources, or as a package that a build system takes as it is, with the kernels of
every core or of one, in files of their own or in the model's. C stores sparse and 4-bit weights as
the model does; .tflite and .onnx files hold a byte for each weight.

Programs that share states become one .tflite file with a signature for each, and an .onnx file for
each; C has one state for all of them. With --program, one of them is written as a model of its own.
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
    parser.add_argument("model", metavar="MODEL.edgernn", type=Path)
    parser.add_argument(
        "--to", type=comma_list, default=SESSION_FORMATS, metavar="FORMATS",
        help=f"comma-separated, among {', '.join(WRITERS)} "
        f"(default: {','.join(SESSION_FORMATS)})",
    )  # fmt: skip
    add_program_argument(parser, "one program of a file of several, written as MODEL.NAME")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: the model's own folder"
    )
    parser.add_argument(
        "--package", metavar="KIND",
        help=f"C as a package: {', '.join(PACKAGES)} (default: plain sources)",
    )  # fmt: skip
    parser.add_argument(
        "--prefix", metavar="NAME",
        help="what the C's file names and symbols begin with, one per network in a firmware "
        "(default: model)",
    )  # fmt: skip
    parser.add_argument(
        "--core", metavar="CORE",
        help=f"C with the kernels of this core alone: {', '.join(CORES)} (default: {HOST}, "
        "those of every core)",
    )  # fmt: skip
    parser.add_argument(
        "--amalgamate", action="store_true",
        help="C as one source and one header, with the kernels in them, and a self-test",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Write the files and name them."""
    model = load_program(args.model, args.program) if args.program else load_either(args.model)
    name = f"{args.model.stem}.{args.program}" if args.program else args.model.stem
    folder = args.model.parent if args.output is None else args.output
    options = COptions(
        package=args.package, prefix=args.prefix, core=args.core, amalgamate=args.amalgamate
    )
    written = export_files(model, folder, args.to, name=name, options=options)
    if args.json:
        files = {name: _record(entry) for name, entry in written.items()}
        print(json.dumps({"model_sha256": model.sha256, "files": files}))
    else:
        for form, entry in written.items():
            for path in entry.files if form in SESSION_FORMATS else (entry.path,):
                size = path.stat().st_size if path.is_file() else _bytes(entry)
                print(f"{path}  {size} bytes")
            if entry.densified_weights:
                print(f"  densified: {entry.densified_weights} weights stored as bytes")
    return 0


def _record(entry: Written) -> dict[str, object]:
    """One format as JSON values; of a folder, its files too, by path inside it."""
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
