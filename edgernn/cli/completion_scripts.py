"""Completion scripts for bash, zsh and fish, written from a description of the commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command.

    Attributes:
        names: all spellings, as in ("-o", "--output").
        help: one line.
        value: whether a value follows.
        choices: the values, if they are known.
        files: whether the value is a file or folder.
    """

    names: tuple[str, ...]
    help: str
    value: bool
    choices: tuple[str, ...]
    files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command.

    Attributes:
        name: its name.
        line: what it does, in one line.
        options: its options.
        words: known values of its arguments.
        files: whether an argument is a file or folder.
    """

    name: str
    line: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    files: bool


def bash_script(commands: Sequence[Command]) -> str:
    """A script for bash."""
    cases = []
    for command in commands:
        names = [name for option in command.options for name in option.names]
        values = [
            f"            {'|'.join(option.names)}) "
            + _bash_reply(option.choices, option.files)
            + " ;;"
            for option in command.options
            if option.value
        ]
        cases.append(
            "\n".join(
                [
                    f"        {command.name})",
                    '            case "$previous" in',
                    *(f"    {line}" for line in values),
                    "                *)",
                    '                    if [[ "$current" == -* ]]; then',
                    f"                        {_bash_reply(names, False)}",
                    "                    else",
                    f"                        {_bash_reply(command.words, command.files)}",
                    "                    fi ;;",
                    "            esac ;;",
                ]
            )
        )
    names = [command.name for command in commands]
    return "\n".join(
        [
            "# bash completion for edgernn",
            "_edgernn() {",
            '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"',
            "    COMPREPLY=()",
            "    if ((COMP_CWORD == 1)); then",
            f"        {_bash_reply([*names, '--help', '--version'], False)}",
            "        return",
            "    fi",
            '    case "${COMP_WORDS[1]}" in',
            *cases,
            "    esac",
            "}",
            "complete -o filenames -F _edgernn edgernn",
            "",
        ]
    )


def _bash_reply(words: Sequence[str], files: bool) -> str:
    """The statement that offers words, files or both."""
    if not words and not files:
        return ":"
    flags = "-f " * files + (f"-W {shlex.quote(' '.join(words))} " if words else "")
    return f'mapfile -t COMPREPLY < <(compgen {flags}-- "$current")'


def zsh_script(commands: Sequence[Command]) -> str:
    """A script for zsh, to be stored as _edgernn in a folder of $fpath."""
    lines = [f"        {_zsh_quoted(f'{c.name}:{c.line}')}" for c in commands]
    cases = []
    for command in commands:
        specs = [_zsh_option(option) for option in command.options]
        specs.append("'*: :" + _zsh_action(command.words, command.files) + "'")
        body = " \\\n".join(f"                {spec}" for spec in specs)
        cases.append(f"        {command.name})\n            _arguments -S \\\n{body} ;;")
    return "\n".join(
        [
            "#compdef edgernn",
            "_edgernn() {",
            "    local -a commands=(",
            *lines,
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe command commands",
            "        return",
            "    fi",
            "    shift words",
            "    (( CURRENT-- ))",
            '    case "$words[1]" in',
            *cases,
            "    esac",
            "}",
            'if [ "$funcstack[1]" = _edgernn ]; then',
            '    _edgernn "$@"',
            "else",
            "    compdef _edgernn edgernn",
            "fi",
            "",
        ]
    )


def _zsh_option(option: Option) -> str:
    text = re.sub(r"([\[\]:\\])", r"\\\1", option.help)
    value = f": :{_zsh_action(option.choices, option.files)}" if option.value else ""
    names = "{" + ",".join(option.names) + "}" if len(option.names) > 1 else option.names[0]
    return f"{names}{_zsh_quoted(f'[{text}]{value}')}"


def _zsh_action(words: Sequence[str], files: bool) -> str:
    if files:
        return "_files"
    return f"({' '.join(words)})".replace(":", "\\:") if words else " "


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def fish_script(commands: Sequence[Command]) -> str:
    """A script for fish."""
    lines = ["# fish completion for edgernn", "complete -c edgernn -f"]
    lines += [
        f"complete -c edgernn -n __fish_use_subcommand -a {c.name} -d {_fish_quoted(c.line)}"
        for c in commands
    ]
    for command in commands:
        start = f"complete -c edgernn -n '__fish_seen_subcommand_from {command.name}'"
        if command.files:
            lines.append(f"{start} -F")
        if command.words:
            lines.append(f"{start} -a {_fish_quoted(' '.join(command.words))}")
        for option in command.options:
            spelled = (f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            parts = [start, *spelled]
            if option.value:
                parts.append("-r -F" if option.files else "-x")
            if option.choices:
                parts.append(f"-a {_fish_quoted(' '.join(option.choices))}")
            parts.append(f"-d {_fish_quoted(option.help)}")
            lines.append(" ".join(parts))
    return "\n".join([*lines, ""])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
