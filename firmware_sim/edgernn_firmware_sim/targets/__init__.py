"""Target profiles: seven emulated cores and the boards whose firmware they run.

One TOML file per core (`cores/`) and per board (`boards/`). To add a board to the package, add a
file; `load_board` reads a profile from anywhere else.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path

from edgernn.errors import TargetError
from edgernn_firmware_sim.targets.profile import (
    NOT_EMULATED,
    ActivePower,
    Board,
    Core,
    Profile,
    parse,
    problems,
    raise_all,
)

__all__ = [
    "NOT_EMULATED",
    "ActivePower",
    "Board",
    "Core",
    "TargetError",
    "boards",
    "cores",
    "find",
    "load_board",
]


@cache
def cores() -> dict[str, Core]:
    """All emulated cores by name.

    Raises:
        TargetError: a packaged profile is wrong.
    """
    return _read("cores", Core)


@cache
def boards() -> dict[str, Board]:
    """All packaged boards by name.

    Raises:
        TargetError: a packaged profile is wrong, or names a core that does not exist.
    """
    found = _read("boards", Board)
    for board in found.values():
        raise_all(_core_problems(board.name, board.core, board.emulated_as))
    return found


def _core_problems(name: str, core: str, emulated_as: str) -> list[str]:
    """Why no core profile runs and prices the firmware of a board; empty if one does."""
    if emulated_as == NOT_EMULATED:
        return []
    if emulated_as not in cores():
        return [
            f"{name}.emulated_as: expected one of {', '.join(cores())}, or '{NOT_EMULATED}', "
            f"got '{emulated_as}'."
        ]
    known = cores()[emulated_as].costs
    if core not in known:
        return [
            f"{name}.core: expected one of {', '.join(known)}, for which {emulated_as} has costs, "
            f"got '{core}'."
        ]
    return []


def load_board(path: Path) -> Board:
    """Read the profile of a board from a TOML file.

    Args:
        path: the file; its stem becomes the name of the target.

    Raises:
        TargetError: the file is not TOML, or fields are missing, unknown or out of range; names
            all of them.
        OSError: the file cannot be read.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(
            f"target: expected a board profile in TOML, got '{path.name}' ({error}). "
            "docs/guides/simulate.md has an example."
        ) from error
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "board"
    found = problems(Board, name, table)
    core, emulated_as = table.get("core"), table.get("emulated_as")
    if isinstance(core, str) and isinstance(emulated_as, str):
        found += _core_problems(name, core, emulated_as)
    raise_all(found)
    return parse(Board, name, table)


def find(name: str | Path) -> tuple[Core | None, Board | None]:
    """The core with this name; or the board, and the core that runs its firmware.

    Args:
        name: of a core or of a packaged board; or the path of a board profile, as a path object
            or with the suffix .toml.

    Returns:
        The core, None if the core of the board is not emulated; and the board, None for a core.

    Raises:
        TargetError: there is no such target, or the profile is wrong.
    """
    if isinstance(name, Path) or name.endswith(".toml"):
        return _with_core(load_board(Path(name)))
    if name in cores():
        return cores()[name], None
    if name in boards():
        return _with_core(boards()[name])
    names = [*cores(), *boards()]
    near = "".join(f"Did you mean '{n}'? " for n in get_close_matches(name.lower(), names, 1))
    raise TargetError(
        f"--target: expected one of {', '.join(names)}, got '{name}'. {near}"
        "List them with: edgernn targets"
    )


def _with_core(board: Board) -> tuple[Core | None, Board]:
    return cores().get(board.emulated_as), board


def _read(folder: str, kind: type[Profile]) -> dict[str, Profile]:
    files = (f for f in (resources.files(__name__) / folder).iterdir() if f.name.endswith(".toml"))
    texts = {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files}
    return {name: parse(kind, name, tomllib.loads(texts[name])) for name in sorted(texts)}
