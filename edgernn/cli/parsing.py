"""Command lines: options that every command has, and suggestions for misspelled words."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

#: Options of every command, by what `--help` says of them.
COMMON: Final = {
    "--json": "print one JSON document, or JSON lines, on stdout; errors too",
    "--quiet": "print no notes or warnings on stderr, errors only",
    "--no-color": "print without color (also: NO_COLOR=1; FORCE_COLOR=1 colors pipes)",
}


class CommandParser(argparse.ArgumentParser):
    """A parser that raises an error and suggests the option or choice that was meant."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process.

        Raises:
            argparse.ArgumentError: always.
        """
        if message.endswith(f"{self.prog} --help"):  # argparse passes our own errors on to us
            raise argparse.ArgumentError(None, message)
        stop = "" if message.endswith("?") else "."
        raise argparse.ArgumentError(None, f"{message}{stop} See: {self.prog} --help")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The values of all arguments.

        Raises:
            argparse.ArgumentError: an argument is missing or unknown, or has a wrong value.
        """
        values, unknown = self.parse_known_args(arguments)
        if unknown:
            self.error(self._unknown(unknown))
        return values

    def _unknown(self, unknown: Sequence[str]) -> str:
        option = next((word for word in unknown if word.startswith("-")), None)
        if option is None:
            words = " ".join(unknown)
            return f"unexpected argument{'s' * (len(unknown) > 1)} '{words}'"
        name = option.partition("=")[0]
        return f"unknown option '{name}'{did_you_mean(name, self._option_string_actions)}"

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action,
                f"expected {', '.join(choices)}, got '{value}'{did_you_mean(str(value), choices)}",
            )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that ends a message, as in ". Did you mean 'export'?"; "" without a close word."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f". Did you mean '{close[0]}'?" if close else ""


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that every command has; the command's own declarations win."""
    for option, text in COMMON.items():
        if option not in parser._option_string_actions:
            parser.add_argument(option, action="store_true", help=text)


def common_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with common options that precede the command behind all others.

    >>> common_first(["--json", "info", "demo"])
    ['info', 'demo', '--json']
    """
    count = next((i for i, word in enumerate(arguments) if word not in COMMON), 0)
    return [*arguments[count:], *arguments[:count]]


def given(option: str, arguments: Sequence[str]) -> bool:
    """Whether a common option is among arguments that may not be parsable."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return option in own
