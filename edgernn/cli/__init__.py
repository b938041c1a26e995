"""The command `edgernn`: one file per subcommand, imported only when it is called.

A subcommand module has `HELP`, `EXAMPLES`, `add_arguments(parser)` and `main(args) -> int`.
Results go to stdout, talk to stderr. Exit codes: 0 ok, 1 a check failed, 2 usage or refused input.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

from edgernn.cli.process import replace_closed_streams
from edgernn.errors import BackendMismatch, EdgeRnnError, EdgeRnnWarning

#: subcommand -> (module, one line for `edgernn --help`), in the order of a model's life.
SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "train": ("edgernn_export.cli.train", "a recipe on its data set to .keras, .edgernn and more"),
    "distill": ("edgernn_export.cli.distill", "a small Keras model learns from a large one"),
    "prune": ("edgernn_export.cli.prune", "Keras model to a smaller or sparse Keras model"),
    "quantize": ("edgernn_export.cli.quantize", "Keras model and calibration data to .edgernn"),
    "sensitivity": ("edgernn_export.cli.sensitivity", "which layers bear weights of 4 bits"),
    "export": ("edgernn_export.cli.export", ".edgernn to .tflite, .onnx and C99"),
    "verify": (
        "edgernn_export.cli.verify",
        "run every runtime over a stream, count differing values",
    ),
    "evaluate": (
        "edgernn_export.cli.evaluate",
        "float network and .edgernn on test data: what is kept?",
    ),
    "run": ("edgernn.cli.run", "stream CSV or JSON lines through a model"),
    "info": ("edgernn.cli.info", "layers, formats, bytes, state size and provenance of a model"),
    "targets": ("edgernn_firmware_sim.cli.targets", "cores that can be emulated, and boards"),
    "simulate": ("edgernn_export.cli.simulate", "firmware for a target: does it fit, same bits?"),
    "search": ("edgernn_export.cli.search", "cells, sizes, precisions within limits of a target"),
    "demo": ("edgernn_export.cli.demo", "train, quantize, export and stream a forecaster"),
}

#: Libraries of the extras, by the name an ImportError carries.
_EXTRAS: Final[dict[str, str]] = {
    "flatbuffers": "export",
    "keras": "export",
    "matplotlib": "export",
    "onnx": "export",
    "optuna": "export",
    "rich": "export",
    "tensorflow": "export",
    "tqdm": "export",
    "onnxruntime": "onnx",
    "tflite_runtime": "tflite",
    "ai_edge_litert": "tflite",
    "pandas": "demo",
    "statsmodels": "demo",
}

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
_INTERRUPTED: Final = 130

_EPILOG: Final = """examples:
  edgernn quantize model.keras --calibration streams.npz -o model.edgernn
  edgernn export model.edgernn --to tflite,onnx -o build/
  edgernn verify model.edgernn
  edgernn export model.edgernn --to c -o build/
  edgernn simulate model.edgernn --target nucleo-f446 --emulate
  edgernn run build/model.tflite --input readings.csv
  edgernn COMMAND --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: arguments without the program name; those of the process by default.

    Returns:
        0 ok, 1 a check failed, 2 usage or refused input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    replace_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names and units on any terminal
    try:
        try:
            return _dispatch(arguments)
        finally:
            sys.stdout.flush()  # what cannot be written shows here, not after the exit code
    except SystemExit as exit_:  # argparse leaves this way, after --help too
        return exit_.code if isinstance(exit_.code, int) else USAGE
    except EdgeRnnError as error:  # a closed standard output, under --help too
        return _fail("", error, USAGE)
    except OSError as error:
        # Keep Python from failing again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has seen enough
            return OK
        return _fail("", error, USAGE)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in SUBCOMMANDS:
        return _top_level(arguments)
    name = arguments[0]
    try:
        module = importlib.import_module(SUBCOMMANDS[name][0])
        parser = argparse.ArgumentParser(
            prog=f"edgernn {name}",
            description=module.HELP,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parser)
        with _warnings_in_one_line(name):
            code: int = module.main(parser.parse_args(arguments[1:]))
        return code
    except BackendMismatch as error:
        return _fail(name, error, FAILED)
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _fail(
            name,
            f"expected {error.name} to be installed, got an environment without it. "
            f"Install it with: pip install 'edgernn[{extra}]'",
            USAGE,
        )
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(name, _file_sentence(error), USAGE)
    except EdgeRnnError as error:
        return _fail(name, error, USAGE)


def _fail(name: str, error: object, code: int) -> int:
    print(f"edgernn{name and f' {name}'}: {error}", file=sys.stderr)
    return code


def _file_sentence(error: OSError) -> object:
    """One sentence of ours about a file; what has no file speaks for itself."""
    if error.filename is None or error.strerror is None:
        return error
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    shown = f"{name!s:.60}{'...' if len(str(name)) > 60 else ''}"
    return f"expected a file that can be opened, got {error.strerror} ('{shown}')."


@contextlib.contextmanager
def _warnings_in_one_line(name: str) -> Iterator[None]:
    """Warnings of edgernn are talk like any other, without the source line of Python's."""
    with warnings.catch_warnings():
        python_shows = warnings.showwarning

        def show_ours(
            message: Warning | str, category: type[Warning], *rest: Any, **named: Any
        ) -> None:
            if issubclass(category, EdgeRnnWarning):
                print(f"edgernn {name}: warning: {message}", file=sys.stderr)
            else:
                python_shows(message, category, *rest, **named)

        warnings.showwarning = show_ours
        warnings.simplefilter("always", EdgeRnnWarning)
        yield


def _top_level(arguments: list[str]) -> int:
    """`edgernn`, `edgernn --help`, `edgernn --version`, or a command that does not exist."""
    from edgernn import __version__

    width = max(map(len, SUBCOMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {line}" for name, (_, line) in SUBCOMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="edgernn",
        usage="edgernn [-h] [--version] COMMAND ...",
        description="Recurrent networks on small devices: integer, streaming, bit-exact.\n\n"
        f"commands:\n{commands}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edgernn {__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    known, _ = parser.parse_known_args(arguments)
    got = "no command" if known.command is None else f"'{known.command}'"
    parser.error(f"expected a command among {', '.join(SUBCOMMANDS)}, got {got}")
