"""The command `edgernn`: one file per subcommand, imported only when it is called.

A subcommand module has `HELP`, `EXAMPLES`, `add_arguments(parser)` and `main(args) -> int`. The
options `--json`, `--quiet` and `--no-color` are declared here, once for all of them: modules read
`args.json`, print results on stdout and call `edgernn.cli.style.say` for notes on stderr.
Exit codes: 0 ok, 1 a check failed, 2 usage error or rejected input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

from edgernn.cli.arguments import check_model_file, model_file
from edgernn.cli.commands import SUBCOMMANDS, command_groups, command_module, command_parser
from edgernn.cli.failures import fail, file_sentence, missing_library
from edgernn.cli.parsing import COMMON, common_first, did_you_mean, given
from edgernn.cli.process import replace_closed_streams
from edgernn.cli.quiet_libraries import silence_libraries
from edgernn.cli.style import Style, bad, heading, say, styled, wants_color
from edgernn.errors import BackendMismatch, EdgeRnnError, EdgeRnnWarning

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
_INTERRUPTED: Final = 130

_TAGLINE: Final = "Recurrent neural networks on small devices: INT8, streaming, bit-exact."
_FIRST_STEPS: Final = """\
  edgernn info demo   show the small model that comes with edgernn
  edgernn demo        train, quantize, export and stream a model
  edgernn quantize model.keras --calibration readings.csv -o model.edgernn
"""
_EXAMPLES: Final = """  edgernn quantize model.keras --calibration streams.npz -o model.edgernn
  edgernn evaluate model.edgernn --float model.keras --data test.csv --target demand
  edgernn verify model.edgernn
  edgernn run model.edgernn --input readings.csv
  edgernn export model.edgernn --to c -o build/
  edgernn simulate model.edgernn --target nucleo-f446 --emulate
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: arguments without the program name; those of the process by default.

    Returns:
        0 ok, 1 a check failed, 2 usage error or rejected input, 130 interrupted.
    """
    arguments = common_first(list(sys.argv[1:] if argv is None else argv))
    replace_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names and units on any terminal
    as_json = given("--json", arguments)
    try:
        try:
            with styled(_style(arguments, as_json)):
                return _dispatch(arguments, as_json)
        finally:
            sys.stdout.flush()  # what cannot be written shows here, not after the exit code
    except SystemExit as exit_:  # argparse leaves this way after --help
        return exit_.code if isinstance(exit_.code, int) else USAGE
    except EdgeRnnError as error:  # a closed standard output, under --help too
        return fail("", error, USAGE, as_json=False)
    except OSError as error:
        # Keep Python from failing again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has seen enough
            return OK
        return fail("", error, USAGE, as_json=False)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _style(arguments: Sequence[str], as_json: bool) -> Style:
    plain = given("--no-color", arguments)
    return Style(
        color=not (plain or as_json) and wants_color(sys.stdout),
        error_color=not plain and wants_color(sys.stderr),
        quiet=given("--quiet", arguments),
    )


def _dispatch(arguments: list[str], as_json: bool) -> int:
    if arguments[:1] == ["help"]:  # `edgernn help run` is `edgernn run --help`
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] not in SUBCOMMANDS:
        return _top_level(arguments, as_json)
    name = arguments[0]
    silence_libraries()
    if given("--quiet", arguments):
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        parser = command_parser(name)
        with _warnings_in_one_line(name):
            args = parser.parse(arguments[1:])
            _check_model_files(parser, args)
            code: int = command_module(name).main(args)
        return code
    except argparse.ArgumentError as error:
        return fail(name, error, USAGE, as_json=as_json)
    except BackendMismatch as error:
        return fail(name, error, FAILED, as_json=as_json)
    except ImportError as error:
        message = missing_library(error)
        if message is None:
            raise
        return fail(name, error, USAGE, as_json=as_json, message=message)
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(name, error, USAGE, as_json=as_json, message=file_sentence(error))
    except EdgeRnnError as error:
        return fail(name, error, USAGE, as_json=as_json)


def _check_model_files(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Look at the files that arguments of the type `model_file` name.

    Raises:
        EdgeRnnError: one of them cannot be a model.
    """
    for action in parser._actions:  # argparse has no public list of its arguments
        if action.type is model_file:
            given = getattr(args, action.dest)
            for path in given if isinstance(given, list) else [given]:
                if path is not None:
                    check_model_file(path)


@contextlib.contextmanager
def _warnings_in_one_line(name: str) -> Iterator[None]:
    """Print warnings of edgernn without the source line that Python adds."""
    with warnings.catch_warnings():
        python_shows = warnings.showwarning

        def show_ours(
            message: Warning | str, category: type[Warning], *rest: Any, **named: Any
        ) -> None:
            if issubclass(category, EdgeRnnWarning):
                say(f"edgernn {name}: {bad('warning:', on_stderr=True)} {message}")
            else:
                python_shows(message, category, *rest, **named)

        warnings.showwarning = show_ours
        warnings.simplefilter("always", EdgeRnnWarning)
        yield


def _top_level(arguments: list[str], as_json: bool) -> int:
    """`edgernn`, `edgernn --help`, `edgernn --version`, or a command that does not exist."""
    from edgernn import __version__

    word = next((word for word in arguments if not word.startswith("-")), None)
    if word == "version":
        arguments, word = ["--version"], None
    if word is not None:
        message = (
            f"unknown command '{word}'{did_you_mean(word, SUBCOMMANDS) or '.'} "
            "List the commands with: edgernn --help"
        )
        return fail("", _usage(message), USAGE, as_json=as_json)
    if "--version" in arguments:
        print(f"edgernn {__version__}")
        return OK
    if "-h" in arguments or "--help" in arguments:
        print(_help())
        return OK
    if unknown := [option for option in arguments if option not in COMMON]:
        message = f"unknown option '{unknown[0]}'. See: edgernn --help"
        return fail("", _usage(message), USAGE, as_json=as_json)
    if as_json:
        message = "expected a command, got none. See: edgernn --help"
        return fail("", _usage(message), USAGE, as_json=True)
    print(_short_help(), file=sys.stderr)
    return USAGE


def _usage(message: str) -> argparse.ArgumentError:
    return argparse.ArgumentError(None, message)


def _commands() -> list[str]:
    width = max(map(len, SUBCOMMANDS))
    lines = []
    for title, names in command_groups().items():
        lines += ["", heading(title)]
        lines += [f"  {name:<{width}}  {SUBCOMMANDS[name][1]}" for name in names]
    return lines


def _short_help() -> str:
    groups = [f"  {title:<8} {', '.join(names)}" for title, names in command_groups().items()]
    return "\n".join(
        [_TAGLINE, "", "Try first:", _FIRST_STEPS, "Commands:", *groups, "", "Help: edgernn --help"]
    )


def _help() -> str:
    return "\n".join(
        [
            "usage: edgernn COMMAND ...",
            "",
            _TAGLINE,
            *_commands(),
            "",
            heading("Options"),
            "  -h, --help  arguments and examples of a command",
            "  --json      one JSON document, or JSON lines, on stdout; errors too",
            "  --quiet     no notes or warnings on stderr",
            "  --no-color  plain text",
            "  --version   version of edgernn (without a command)",
            "",
            heading("First steps"),
            _FIRST_STEPS,
            heading("Examples"),
            _EXAMPLES.rstrip(),
        ]
    )
