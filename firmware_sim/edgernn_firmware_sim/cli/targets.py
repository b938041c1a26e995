"""`edgernn targets`: the cores that can be emulated and the boards they stand in for."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Final

from edgernn.cli.text_tables import text_table
from edgernn_firmware_sim.targets import Board, boards, cores

HELP: Final = """List the target profiles.

Cores are emulated by QEMU; a board names the core that stands in for its own.
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
    rows = [("core", "machine", "compiler", "flags")]
    rows += [(c.name, c.machine, c.compiler, " ".join(c.flags)) for c in cores().values()]
    print("\n".join(text_table(rows, "<14", "<14", "<24", "<")))
    places = [("board", "", "core", "clock", "flash", "RAM"), *map(_row, boards().values())]
    print("\n".join(["", *text_table(places, "<14", "<28", "<30", ">9", ">12", ">10")]))
    return 0


def _row(board: Board) -> tuple[str, ...]:
    stand_in = "" if board.core == board.emulated_as else f" (as {board.emulated_as})"
    return (
        board.name,
        board.board,
        board.core + stand_in,
        f"{board.clock_hz / 1e6:.0f} MHz",
        f"{board.flash_bytes // 1024} KiB",
        f"{board.ram_bytes // 1024} KiB",
    )
