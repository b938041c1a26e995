"""The model a command works on: a path, or the demo model inside the package."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Final

from edgernn.errors import EdgeRnnError

#: Models shipped inside the package, by name.
PACKAGED: Final = {"demo": "demo.edgernn"}


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Accept the model as a positional path or as `--model`."""
    parser.add_argument("path", nargs="?", metavar="MODEL", help=".edgernn, .tflite or .onnx file")
    parser.add_argument("--model", metavar="MODEL", help="the same; 'demo' is the packaged model")


def model_path(args: argparse.Namespace) -> Path:
    """The file the arguments name.

    Raises:
        EdgeRnnError: no model or two, or a packaged model that is not there.
    """
    given = [value for value in (args.path, args.model) if value is not None]
    if len(given) != 1:
        raise EdgeRnnError(
            f"model: expected one model, got {' and '.join(given) or 'none'}. "
            "Name a file, or the packaged one with: --model demo"
        )
    if args.model not in PACKAGED:
        return Path(given[0])
    # Wheels are installed unpacked: a resource of the package is a file.
    packaged = Path(str(resources.files("edgernn"))) / "data" / PACKAGED[args.model]
    if not packaged.is_file():
        raise EdgeRnnError(
            f"model: expected the packaged model '{args.model}', "
            "got an installation without it. Install edgernn again."
        )
    return packaged
