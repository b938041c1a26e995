"""How a command ends that fails: a line on stderr, or with `--json` an object on stdout."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Final

from edgernn.cli.style import bad
from edgernn.install import hint

#: Libraries of the extras, by the name an ImportError carries.
_EXTRAS: Final[dict[str, str]] = {
    "flatbuffers": "onnx-import",
    "keras": "export",
    "matplotlib": "export",
    "onnx": "onnx-import",
    "optuna": "export",
    "tensorflow": "export",
    "torch": "torch",
    "tqdm": "onnx-import",
    "onnxruntime": "onnx",
    "tflite_runtime": "tflite",
    "ai_edge_litert": "tflite",
    "paho": "mqtt",
    "prometheus_client": "serve",
    "pymodbus": "modbus",
    "rich": "serve",
    "serial": "serial",
    "sklearn": "sklearn",
    "pandas": "demo",
    "statsmodels": "demo",
}


def fail(command: str, error: Exception, code: int, *, as_json: bool, message: str = "") -> int:
    """Report an error.

    Args:
        command: the subcommand; "" if there is none.
        error: its type is reported, and its message.
        code: the exit code.
        as_json: report on stdout, as {"error": {"type", "message", "command"}}.
        message: takes the place of the message of the error.

    Returns:
        The exit code.
    """
    # The place that an error begins with may begin with the name of the command.
    text = re.sub(rf"^{command}(: |, | (?=\w+: ))", "", message or str(error))
    if as_json:
        found = {"type": type(error).__name__, "message": text, "command": command or None}
        print(json.dumps({"error": found}), flush=True)
    else:
        print(f"{bad(f'edgernn {command}'.rstrip() + ':', on_stderr=True)} {text}", file=sys.stderr)
    return code


def file_sentence(error: OSError) -> str:
    """One sentence about a file that cannot be opened; the system's own if it names no file."""
    if error.filename is None or error.strerror is None:
        return str(error)
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    shown = f"{name!s:.60}{'...' if len(str(name)) > 60 else ''}"
    return f"expected a file that can be opened, got {error.strerror} ('{shown}')."


def missing_library(error: ImportError) -> str | None:
    """How to install the library an import did not find; None if it belongs to no extra."""
    extra = _EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        return None
    return (
        f"expected {error.name} to be installed, got an environment without it. "
        f"Install it with: {hint(extra)}"
    )
