"""The command-line reference, written from the parsers of the commands."""

from __future__ import annotations

import argparse
import html
import re
import textwrap
from collections.abc import Iterator
from typing import Final

from edgernn.cli.commands import command_groups, command_parser
from edgernn.cli.parsing import COMMON

#: Characters of a usage line.
_WIDTH: Final = 88
#: What is code in a help text: options, also behind their command, and suffixes of files.
_CODE: Final = re.compile(
    r"(?<![\w`-])(?:(?:edgernn [a-z]+ )?--[a-z][a-z0-9-]*"
    r"|\.(?:edgernn|tflite|onnx|keras|npz|csv|jsonl)\b)"
)


def markdown() -> str:
    """All commands, by group: usage, description, arguments, options and examples."""
    groups = command_groups()
    lines = ["| task | commands |", "| --- | --- |"]
    for title, names in groups.items():
        lines.append(f"| {title} | {', '.join(f'[`{name}`](#{name})' for name in names)} |")
    lines += ["", *_common(), ""]
    lines += [line for names in groups.values() for name in names for line in _command(name)]
    return "\n".join(lines)


def _common() -> Iterator[str]:
    yield from (
        "## Common options { #common-options }",
        "",
        "Every command accepts these options.",
        "",
    )
    for option, text in COMMON.items():
        yield from (f"`{option}`", f":   {_sentence(text)}", "")


def _command(name: str) -> Iterator[str]:
    parser = command_parser(name)
    yield from (f"## edgernn {name} {{ #{name} }}", "")
    yield from ("```text", _usage(parser), "```", "")
    for paragraph in _paragraphs(parser.description or ""):
        yield from (paragraph, "")
    for group in parser._action_groups:  # argparse has no public way to list its arguments
        actions = [action for action in group._group_actions if _is_shown(action)]
        if actions:
            yield from (f"**{_heading(group.title or 'options')}**", "")
            yield from (line for action in actions for line in _argument(action))
    examples = textwrap.dedent((parser.epilog or "").partition("\n")[2]).strip()
    if examples:
        yield from ("**Examples**", "", "```bash", examples, "```", "")


def _usage(parser: argparse.ArgumentParser) -> str:
    """The positional arguments and the options that are required; all options are listed below."""
    words = [parser.prog]
    has_options = False
    for action in parser._actions:
        value = _value(action)
        if not action.option_strings:
            words.append(value)
        elif action.required:
            words.append(f"{action.option_strings[-1]} {value}".strip())
        else:
            has_options = True
    line = " ".join([*words, *(["[options]"] if has_options else [])])
    return textwrap.fill(line, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)


def _paragraphs(text: str) -> list[str]:
    """Paragraphs as Markdown; indented ones are tables or code and keep their lines."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        is_list = any(line.startswith(" ") for line in paragraph.splitlines())
        found.append(f"```text\n{paragraph}\n```" if is_list else _prose(paragraph))
    return found


def _argument(action: argparse.Action) -> Iterator[str]:
    """An argument as an entry of a definition list."""
    value = _value(action)
    names = action.option_strings or [value]
    shown = [f"{name} {value}" if action.option_strings and value else name for name in names]
    yield ", ".join(f"`{name}`" for name in shown)
    text = _prose(_help(action))
    required = " Required." if action.option_strings and action.required else ""
    yield from (f":   {text}{required}", "")


def _help(action: argparse.Action) -> str:
    text = (action.help or "").strip() % {
        **vars(action),
        "prog": "edgernn",
        "choices": ", ".join(map(str, action.choices or ())),
    }
    choices = ", ".join(map(str, action.choices or ()))
    if not text:
        return f"One of {choices}." if choices else "–"
    return _sentence(text)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _value(action: argparse.Action) -> str:
    """The name that represents the value of an argument; "" for a switch."""
    if action.nargs == 0:
        return ""
    name = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else
        action.dest.upper())  # fmt: skip
    word = name if isinstance(name, str) else " ".join(name)
    if action.nargs == "?":
        return f"[{word}]"
    if action.nargs == "+":
        return f"{word} ..."
    return f"[{word} ...]" if action.nargs == "*" else word


def _is_shown(action: argparse.Action) -> bool:
    is_common = any(option in COMMON for option in action.option_strings)
    return action.help != argparse.SUPPRESS and action.dest != "help" and not is_common


def _heading(title: str) -> str:
    return {"positional arguments": "Arguments", "options": "Options"}.get(title, title)


def _prose(text: str) -> str:
    """A text of a terminal as Markdown: no markup by accident, code for options and files."""
    plain = html.escape(" ".join(text.split()), quote=False)
    escaped = re.sub(r"([*_\[\]|])", r"\\\1", plain)
    return _CODE.sub(r"`\g<0>`", escaped)
