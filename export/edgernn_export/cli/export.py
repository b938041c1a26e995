"""`edgernn export`: an .edgernn file becomes files that runtimes execute, or C sources."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from edgernn.model import IntegerModel
from edgernn_export.cli.lists import comma_list
from edgernn_export.exporting import export
from edgernn_export.writers import SESSION_FORMATS, WRITERS

HELP: Final = """Write an integer model as .tflite and .onnx files, or as a folder of C99 sources.

Every form gives the bits of the reference and carries a golden vector that proves it.
"""
EXAMPLES: Final = """examples:
  edgernn export model.edgernn --to tflite,onnx -o build/
  edgernn export model.edgernn --to c
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL.edgernn", type=Path)
    parser.add_argument(
        "--to", type=comma_list, default=SESSION_FORMATS, metavar="FORMATS",
        help=f"comma-separated, among {', '.join(WRITERS)} "
        f"(default: {','.join(SESSION_FORMATS)})",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: the model's own folder"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def main(args: argparse.Namespace) -> int:
    """Write the files and name them."""
    model = IntegerModel.load(args.model)
    folder = args.model.parent if args.output is None else args.output
    paths = export(model, folder, args.to, name=args.model.stem)
    files = {name: {"path": str(p), "bytes": _size(p)} for name, p in paths.items()}
    if args.json:
        print(json.dumps({"model_sha256": model.sha256, "files": files}))
    else:
        for file in files.values():
            print(f"{file['path']}  {file['bytes']} bytes")
    return 0


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
