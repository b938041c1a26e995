"""`edgernn simulate`: does a model fit a target, and is its firmware the reference bit for bit?"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgernn.cli.info import describe_file
from edgernn.errors import EdgeRnnError
from edgernn.model import IntegerModel
from edgernn_export.probe import golden_vector, probe_codes
from edgernn_export.writers.c_source import write_c
from edgernn_firmware_sim.emulator import Emulation, emulate
from edgernn_firmware_sim.targets import Board, Core, find
from edgernn_firmware_sim.targets.fit import Need, needs

HELP: Final = """Hold a model against a core or a board.

Without --emulate: what is known before anything is compiled, beside the board's flash and RAM.
With --emulate: the generated C is compiled for the core, run by QEMU over a pseudo-random stream,
and every output and state value of every step is compared with the reference; instructions are
counted, not estimated. Exit code 1 if a value differs or the model does not fit the board.
"""
EXAMPLES: Final = """examples:
  edgernn simulate model.edgernn --target nucleo-f446
  edgernn simulate model.edgernn --target cortex-m4 --emulate
  edgernn simulate model.edgernn --target esp32-c3 --emulate --steps 2000 --json
"""
_STEPS: Final = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL.edgernn", type=Path)
    parser.add_argument(
        "--target", required=True, metavar="NAME", help="core or board; see edgernn targets"
    )
    parser.add_argument("--emulate", action="store_true", help="build the firmware and run it")
    parser.add_argument(
        "--steps", type=int, metavar="N", help=f"of the emulated stream (default: {_STEPS})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the pseudo-random stream")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def main(args: argparse.Namespace) -> int:
    """Report; 1 if a value differs or something does not fit."""
    if args.steps is not None and (args.steps < 1 or not args.emulate):
        raise EdgeRnnError(
            f"--steps: expected at least 1, together with --emulate, got {args.steps}."
        )
    if args.seed < 0:
        raise EdgeRnnError(f"--seed: expected at least 0, got {args.seed}.")
    core, board = find(args.target)
    model = IntegerModel.load(args.model)
    known = _known(args.model, model)
    emulation = _emulated(model, core, args) if args.emulate else None
    fit = () if board is None else _needs(board, known, emulation)
    if args.json:
        print(json.dumps(_record(model, core, board, known, emulation, fit)))
    else:
        print(_text(model, core, board, known, emulation, fit))
    differing = emulation.differing if emulation else 0
    return 1 if differing or any(need.over_bytes for need in fit) else 0


def _known(path: Path, model: IntegerModel) -> dict[str, int]:
    """What a model file says about sizes without any code."""
    return {
        "weights_bytes": int(describe_file(path)["weights_bytes"]),
        "state_bytes": model.state_bytes,
        "macs": model.macs,
    }


def _emulated(model: IntegerModel, core: Core, args: argparse.Namespace) -> Emulation:
    q_xs = probe_codes(model, args.steps or _STEPS, args.seed)
    print(f"building and running {core.name} ({core.machine})", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="edgernn-simulate-") as folder:
        sources = write_c(model, golden_vector(model))
        return emulate(model, sources, core, q_xs, Path(folder))


def _needs(board: Board, known: dict[str, int], emulation: Emulation | None) -> tuple[Need, ...]:
    if emulation is None:
        flash, ram = known["weights_bytes"], known["state_bytes"]
    else:
        flash, ram = emulation.sizes.flash_bytes, emulation.ram_bytes
    return needs(board, flash_bytes=flash, ram_bytes=ram, measured=emulation is not None)


def _record(
    model: IntegerModel,
    core: Core,
    board: Board | None,
    known: dict[str, int],
    emulation: Emulation | None,
    fit: tuple[Need, ...],
) -> dict[str, Any]:
    return {
        "model": model.name,
        "model_sha256": model.sha256,
        "precision": model.precision.value,
        "core": core.name,
        "board": None if board is None else board.name,
        **known,
        "emulation": None if emulation is None else _emulation_record(emulation),
        "fit": [asdict(need) | {"over_bytes": need.over_bytes} for need in fit],
    }


def _emulation_record(emulation: Emulation) -> dict[str, Any]:
    return asdict(emulation) | {
        "flash_bytes": emulation.sizes.flash_bytes,
        "ram_bytes": emulation.ram_bytes,
        "instructions_per_mac": emulation.instructions.per_mac(emulation.macs),
    }


def _text(
    model: IntegerModel,
    core: Core,
    board: Board | None,
    known: dict[str, int],
    emulation: Emulation | None,
    fit: tuple[Need, ...],
) -> str:
    place = core.name if board is None else f"{board.board}: {board.core}"
    stand_in = "" if board is None or board.core == core.name else f", emulated as {core.name}"
    lines = [f"{model.name} {model.precision.value} on {place}{stand_in}"]
    lines += [f"{'work':<16}{known['macs']:,} multiply-accumulates per step"]
    if emulation is None:
        lines += [
            f"{'weights':<16}{known['weights_bytes']:,} bytes",
            f"{'state':<16}{known['state_bytes']:,} bytes",
        ]
    else:
        lines += _measured(emulation)
    lines += [f"{f'{need.memory} of board':<16}{need.sentence()}" for need in fit]
    if emulation is None:
        lines.append("Code, constants, scratch and stack come on top. Measure them with: --emulate")
    return "\n".join(lines)


def _measured(emulation: Emulation) -> list[str]:
    count, sizes = emulation.instructions, emulation.sizes
    lines = [
        f"{'compared':<16}{emulation.compared:,} outputs and state values of "
        f"{emulation.steps:,} steps",
        f"{'differing':<16}{emulation.differing:,}",
    ]
    if emulation.first_difference:
        lines.append(f"{'first':<16}{emulation.first_difference}")
    return [
        *lines,
        f"{'instructions':<16}{count.median:,} per step (median; {count.least:,} to "
        f"{count.most:,}), {count.per_mac(emulation.macs):.2f} per multiply-accumulate",
        f"{'flash':<16}{sizes.flash_bytes:,} bytes: code {sizes.text_bytes:,}, "
        f"constants {sizes.rodata_bytes:,}",
        f"{'RAM':<16}{emulation.ram_bytes:,} bytes: state and scratch "
        f"{emulation.struct_bytes:,}, stack {emulation.stack_bytes:,}",
    ]
