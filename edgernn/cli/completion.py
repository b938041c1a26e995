"""`edgernn completion`: print a script that completes commands, options and values in a shell."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import PACKAGED, model_file
from edgernn.cli.commands import SUBCOMMANDS, command_parser
from edgernn.cli.completion_scripts import Command, Option, bash_script, fish_script, zsh_script
from edgernn.cli.style import say

HELP: Final = """Print a shell completion script for bash, zsh or fish.

The script completes commands, options, choices and file names. It is generated from the commands
of this version: run the command again after an update.
"""
EXAMPLES: Final = """examples:
  edgernn completion bash > ~/.local/share/bash-completion/completions/edgernn
  edgernn completion zsh > ~/.zfunc/_edgernn
  edgernn completion fish > ~/.config/fish/completions/edgernn.fish
  source <(edgernn completion bash)
"""
_SCRIPTS: Final = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
#: What metavars of files and folders contain.
_FILES: Final = ("FILE", "DIR", "MODEL", "NETWORK", ".")
#: Commands whose --target is a core or a board.
_ON_TARGETS: Final = ("simulate", "search", "bench", "compare")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="the shell to write a script for")


def main(args: argparse.Namespace) -> int:
    """Print the script."""
    commands = []
    for name, (_, line) in SUBCOMMANDS.items():
        try:
            commands.append(_command(name, line))
        except ImportError as error:  # a part that is not installed
            say(f"edgernn completion: options of '{name}' are left out, {error.name} is missing.")
            commands.append(Command(name=name, line=line, options=(), words=(), files=False))
    script = _SCRIPTS[args.shell](commands)
    print(json.dumps({"shell": args.shell, "script": script}) if args.json else script, end="")
    return 0


def _command(name: str, line: str) -> Command:
    """The options and arguments of a command, from its parser."""
    parser = command_parser(name)
    options: list[Option] = []
    words: list[str] = []
    files = False
    for action in parser._actions:
        choices = tuple(str(choice) for choice in action.choices or ())
        takes_file = _takes_file(action)
        if not action.option_strings:
            words += choices
            words += PACKAGED if _is_model(action) else ()
            files = files or takes_file
            continue
        if "--target" in action.option_strings and name in _ON_TARGETS:
            choices = _targets()
        options.append(
            Option(
                names=tuple(action.option_strings),
                help=" ".join(((action.help or "") % _named(action)).split()),
                value=action.nargs != 0,
                choices=choices,
                files=takes_file,
            )
        )
    return Command(
        name=name, line=line, options=tuple(options), words=tuple(words), files=files
    )  # fmt: skip


def _named(action: argparse.Action) -> dict[str, Any]:
    """What a help text may refer to."""
    return {"default": action.default, "prog": "edgernn", "metavar": action.metavar}


def _takes_file(action: argparse.Action) -> bool:
    if action.choices is not None or action.nargs == 0:
        return False
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    return action.type in (Path, model_file) or any(part in metavar for part in _FILES)


def _is_model(action: argparse.Action) -> bool:
    return action.type is model_file or action.metavar == "MODEL"


def _targets() -> tuple[str, ...]:
    """Names of cores and boards."""
    targets = importlib.import_module("edgernn_firmware_sim.targets")
    return (*targets.cores(), *targets.boards())
