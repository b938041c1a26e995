"""`edgernn targets`: the cores that can be emulated and the boards they stand in for."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Final

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
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


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
    print(f"{'core':<14}{'machine':<14}{'compiler':<24}flags")
    for core in cores().values():
        print(f"{core.name:<14}{core.machine:<14}{core.compiler:<24}{' '.join(core.flags)}")
    print(f"\n{'board':<14}{'':<28}{'core':<30}{'clock':>9}{'flash':>12}{'RAM':>10}")
    for board in boards().values():
        print(_row(board))
    return 0


def _row(board: Board) -> str:
    stand_in = "" if board.core == board.emulated_as else f" (as {board.emulated_as})"
    return (
        f"{board.name:<14}{board.board:<28}{board.core + stand_in:<30}"
        f"{board.clock_hz / 1e6:>5.0f} MHz{board.flash_bytes // 1024:>8} KiB"
        f"{board.ram_bytes // 1024:>6} KiB"
    )
