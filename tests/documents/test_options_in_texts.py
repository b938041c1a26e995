"""Options and commands that messages tell a user to type exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from edgernn.cli.commands import SUBCOMMANDS, command_parser

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edgernn", "export/edgernn_export", "firmware_sim/edgernn_firmware_sim")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_COMMAND = re.compile(r"edgernn ([a-z]+)((?: [^\n.;,]*)?)")
_ADVICE = re.compile(r"(?:[Pp]ass|[Aa]dd:?|[Oo]mit|[Rr]emove|[Uu]se|[Ww]ith:?) (--[a-z-]+)")


def texts() -> Iterator[tuple[str, str]]:
    """Every literal of the product, and its place."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def test_messages_name_options_that_exist():
    known = {name: set(command_parser(name)._option_string_actions) for name in SUBCOMMANDS}
    everywhere = set().union(*known.values())
    wrong = []
    advice = 0
    for place, text in texts():
        wanted = [(option, everywhere) for option in _ADVICE.findall(text)]
        for command, rest in _COMMAND.findall(text):
            wanted += [(o, known[command]) for o in _OPTION.findall(rest) if command in known]
        advice += len(wanted)
        wrong += [f"{place}: {option}" for option, options in wanted if option not in options]
    assert wrong == []
    assert advice > 100  # the patterns find the advice
