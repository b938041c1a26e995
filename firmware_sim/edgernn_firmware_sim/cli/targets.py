"""`edgernn targets`: the emulated cores, and the boards whose firmware they run."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Final

from edgernn.cli.style import table
from edgernn_firmware_sim.targets import NOT_EMULATED, Board, boards, cores

HELP: Final = """List cores and boards.

QEMU emulates the cores. Each board names the core that runs its firmware; boards with an Xtensa
core have no emulator here. To use another board,
describe it in a TOML file and pass the file to edgernn simulate with --board.
"""
EXAMPLES: Final = """examples:
  edgernn targets
  edgernn targets --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""


def main(args: argparse.Namespace) -> int:
    """Print the profiles."""
    if args.json:
        print(
            json.dumps(
                {
                    "cores": [asdict(core) for core in cores().values()],
                    "boards": [asdict(board) for board in boards().values()],
                }
            )
        )
        return 0
    rows = [(c.name, c.machine, c.compiler, " ".join(c.flags)) for c in cores().values()]
    print("\n".join(table(["core", "machine", "compiler", "flags"], rows)))
    headings = ["board", "name", "core", "clock", "flash", "RAM", "supply"]
    print("\n".join(["", *table(headings, map(_row, boards().values()), "<<<>>>>")]))
    return 0


def _row(board: Board) -> tuple[str, ...]:
    if board.emulated_as == NOT_EMULATED:
        other = " (not emulated)"
    else:
        other = "" if board.core == board.emulated_as else f" (as {board.emulated_as})"
    power = board.power
    return (
        board.name,
        board.board,
        board.core + other,
        f"{board.clock_hz / 1e6:.0f} MHz",
        f"{board.flash_bytes // 1024} KiB",
        f"{board.ram_bytes // 1024} KiB",
        "–" if power is None else f"{power.active_ma:g} mA at {power.supply_v:g} V",
    )
