"""Target profiles: seven emulated cores and the boards they stand in for.

One TOML file per core (`cores/`) and per board (`boards/`); adding a board is adding a file.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from edgernn.errors import TargetError
from edgernn_firmware_sim.targets.profile import Board, Core, Profile, parse

__all__ = ["Board", "Core", "TargetError", "boards", "cores", "find"]


@cache
def cores() -> dict[str, Core]:
    """All emulated cores by name.

    Raises:
        TargetError: a packaged profile is wrong.
    """
    return _read("cores", Core)


@cache
def boards() -> dict[str, Board]:
    """All boards by name.

    Raises:
        TargetError: a packaged profile is wrong, or names a core that is not there.
    """
    found = _read("boards", Board)
    for board in found.values():
        if board.emulated_as not in cores():
            raise TargetError(
                f"{board.name}.emulated_as: expected one of {', '.join(cores())}, "
                f"got '{board.emulated_as}'."
            )
        known = cores()[board.emulated_as].costs
        if board.core not in known:
            raise TargetError(
                f"{board.name}.core: expected one of {', '.join(known)}, for which "
                f"{board.emulated_as} has costs, got '{board.core}'."
            )
    return found


def find(name: str) -> tuple[Core, Board | None]:
    """The core that ``name`` is, or the board and the core that stands in for it.

    Raises:
        TargetError: there is no such target.
    """
    if name in cores():
        return cores()[name], None
    if name in boards():
        board = boards()[name]
        return cores()[board.emulated_as], board
    raise TargetError(
        f"--target: expected one of {', '.join([*cores(), *boards()])}, got '{name}'. "
        "See them all with: edgernn targets"
    )


def _read(folder: str, kind: type[Profile]) -> dict[str, Profile]:
    files = (f for f in (resources.files(__name__) / folder).iterdir() if f.name.endswith(".toml"))
    texts = {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files}
    return {name: parse(kind, name, tomllib.loads(texts[name])) for name in sorted(texts)}
