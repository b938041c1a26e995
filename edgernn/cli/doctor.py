"""`edgernn doctor`: show which optional parts are installed, and how to install the others."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from typing import Any, Final

from edgernn.cli.components import INSTALL_PACKAGES, MISSING, OK, Component, find_components
from edgernn.cli.style import bad, good, heading, muted, table
from edgernn.install import find_installation

HELP: Final = """Show which optional parts and tools are installed, and how to install the others.

Only NumPy is required. Everything else is optional: the table says what each component is used for.
Nothing heavy is imported, and nothing is changed. The exit code is 0, also if components are
missing.
"""
EXAMPLES: Final = """examples:
  edgernn doctor
  edgernn doctor --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments beyond those of every command."""


def main(args: argparse.Namespace) -> int:
    """Print the report."""
    components = find_components()
    print(json.dumps(_record(components)) if args.json else _text(components))
    return 0


def _facts() -> dict[str, Any]:
    from edgernn import __version__

    installation = find_installation()
    return {
        "edgernn": __version__,
        "installation": asdict(installation),
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
    }


def _record(components: list[Component]) -> dict[str, Any]:
    return _facts() | {"components": [asdict(component) for component in components]}


def _text(components: list[Component]) -> str:
    facts = _facts()
    origin = facts["installation"]["source"] or "a package index"
    lines = [
        f"edgernn {facts['edgernn']} ({facts['installation']['kind']}: {origin})",
        f"Python {facts['python']} ({facts['executable']}), {facts['system']}, "
        f"{facts['processors']} processors",
    ]
    for group in dict.fromkeys(component.group for component in components):
        rows = [
            (_status(one), one.name, one.version or muted("-"), one.purpose)
            for one in components
            if one.group == group
        ]
        lines += ["", heading(group)]
        lines += table(("", "component", "version", "used for"), rows, "<<<<")
    todo = _commands(components)
    if todo:
        lines += ["", heading("To install missing components")]
        for command, names in todo.items():
            lines += [f"  {command}", muted(f"      {', '.join(names)}")]
    for one in components:
        if one.problem:
            lines += ["", f"{bad(one.name)}: {one.problem}"]
    return "\n".join(lines)


def _commands(components: list[Component]) -> dict[str, list[str]]:
    """Commands that install missing components, with their names; one for all packages."""
    todo: dict[str, list[str]] = {}
    packages: list[str] = []
    for one in components:
        if one.status == OK or not one.install:
            continue
        start, found, names = one.install.partition(INSTALL_PACKAGES)
        alone = found and "&&" not in names
        packages += names.split() if alone else []
        todo.setdefault(start + found if alone else one.install, []).append(one.name)
    joined = " ".join(dict.fromkeys(packages))
    return {
        command + joined if command.endswith(INSTALL_PACKAGES) else command: names
        for command, names in todo.items()
    }


def _status(component: Component) -> str:
    if component.status == OK:
        return good("ok")
    return muted("missing") if component.status == MISSING else bad("broken")
