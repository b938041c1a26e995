"""`edgernn search`: the best models of a recipe that keep the limits of a device."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from edgernn.cli.style import is_watched, say
from edgernn.errors import EdgeRnnError
from edgernn_export.cli.arguments import comma_list
from edgernn_export.search.hardware_cost import Hardware, Limits, find_hardware, parse_bytes
from edgernn_export.search.settings import OBJECTIVES, SAMPLERS, Settings
from edgernn_export.search.space import CELLS, PRECISIONS, Space

HELP: Final = """Search for a recipe's best cell, size, precision and pruning within hard limits.

Before training a configuration, the command links an untrained integer model of the same shape for
the target and runs it in the emulator. Configurations over a limit are skipped without training.
Trained models are measured again. Flash, RAM and instructions are exact. Milliseconds are estimated
from the cycle table of the core; the upper end of the estimate counts against --ms.

The search optimizes two objectives: the validation metric of the integer model, and flash (or ms).
Pareto-optimal models are written, measured once more and scored on the test part. The study is an
SQLite file. To resume a search that was stopped or killed, run the same command again; unfinished
trials are repeated.

Sizes: 16k is 16,000 bytes, 16KiB is 16,384. For a board, its flash and RAM are the default limits.
Exit code 1 if no model meets the limits.
"""
EXAMPLES: Final = """examples:
  edgernn search hapt --target cortex-m0 --flash 16k --ram 2k --ms 5 --study s.db -o found
  edgernn search hapt --target microbit --units 8:32:8 --cells GRU --trials 12 -o found
  edgernn search my_recipe.py --target nucleo-f446 --cost ms --workers 2 --minutes 60 -o found
"""

_Number = TypeVar("_Number", int, float)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help="name (see edgernn train --list) or .py file"
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="folder for the models"
    )
    parser.add_argument(
        "--study", type=Path, metavar="FILE.db", help="study (default: search.db in the folder)"
    )
    _add_limits(parser)
    _add_space(parser)
    parser.add_argument(
        "--cost", choices=tuple(OBJECTIVES), default="flash",
        help="second objective, minimized (default: flash)",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=int, default=40, metavar="N",
        help="configurations to train, not counting skipped ones (default: 40)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, metavar="M", help="start no trial after M minutes")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes (default: 1)"
    )
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="default: tpe")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of sampler and training (default: 0)"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs (default: the recipe's)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target", required=True, metavar="NAME", help="core or board; see edgernn targets"
    )
    parser.add_argument("--flash", metavar="SIZE", help="limit for code and constants")
    parser.add_argument("--ram", metavar="SIZE", help="limit for state, scratch and stack")
    parser.add_argument(
        "--ms", type=float, metavar="MS", help="limit for the estimated time of a step"
    )
    parser.add_argument(
        "--clock-mhz", type=float, metavar="F",
        help="clock (default: the board's; for a core, that of the slowest board with this core)",
    )  # fmt: skip


def _add_space(parser: argparse.ArgumentParser) -> None:
    default = Space()
    lists = (
        ("--cells", default.cells, f"list of {', '.join(CELLS)}"),
        ("--layers", default.layers, "1, 2 or both"),
        ("--precisions", default.precisions, f"list of {', '.join(PRECISIONS)}"),
        ("--densities", default.densities, "shares of weights to keep; 1 is not pruned"),
        ("--learning-rates", default.learning_rates, "default: the recipe's only"),
    )
    for option, choices, text in lists:
        shown = f"{text} (default: {','.join(f'{c}' for c in choices)})" if choices else text
        parser.add_argument(option, type=comma_list, metavar="A,B,...", help=shown)
    low, high, step = default.units
    parser.add_argument(
        "--units", metavar="LOW:HIGH:STEP", help=f"units of a layer (default: {low}:{high}:{step})"
    )
    parser.add_argument(
        "--pattern", default=default.pattern, help=f"blocks to prune (default: {default.pattern})"
    )


def main(args: argparse.Namespace) -> int:
    """Search, write, report; 1 if no model meets the limits."""
    space, place = _space(args), find_hardware(args.target, args.clock_mhz)
    limits = _limits(args, place)
    from edgernn_export.search.recipe_trainer import RecipeTrainer
    from edgernn_export.search.report import show
    from edgernn_export.search.searcher import search

    settings = Settings(
        trainer=RecipeTrainer(source=args.recipe, seed=args.seed, epochs=args.epochs),
        space=space,
        limits=limits,
        place=place,
        study=args.study or args.output / "search.db",
        objective=args.cost,
        trials=args.trials,
        minutes=args.minutes,
        workers=args.workers,
        sampler=args.sampler,
        seed=args.seed,
    )
    try:
        outcome = search(settings, args.output, progress=is_watched())
    except KeyboardInterrupt:
        say(f"Stopped. To resume from {settings.study}, run the same command again.")
        raise
    if args.json:
        print(json.dumps(outcome.record()))
    else:
        show(outcome, args.output)
    return 0 if outcome.passed else 1


def _limits(args: argparse.Namespace, place: Hardware) -> Limits:
    """The limits of the arguments; by default the board's flash and RAM."""
    board = place.board
    flash_bytes, ram_bytes = (board.flash_bytes, board.ram_bytes) if board else (None, None)
    return Limits(
        flash_bytes=flash_bytes if args.flash is None else parse_bytes(args.flash),
        ram_bytes=ram_bytes if args.ram is None else parse_bytes(args.ram),
        step_ms=args.ms,
    )


def _space(args: argparse.Namespace) -> Space:
    """The default space, changed by the arguments."""
    asked: dict[str, Any] = {
        "cells": args.cells,
        "precisions": args.precisions,
        "layers": _numbers("--layers", args.layers, int),
        "densities": _numbers("--densities", args.densities, float),
        "learning_rates": _numbers("--learning-rates", args.learning_rates, float),
        "units": args.units and _numbers("--units", args.units.split(":"), int),
    }
    if asked["units"] and len(asked["units"]) != 3:
        raise EdgeRnnError(f"--units: expected LOW:HIGH:STEP, got '{args.units}'.")
    given = {name: value for name, value in asked.items() if value}
    return Space(**given, pattern=args.pattern)


def _numbers(
    option: str, texts: tuple[str, ...] | None, kind: Callable[[str], _Number]
) -> tuple[_Number, ...] | None:
    try:
        return None if texts is None else tuple(kind(text) for text in texts)
    except ValueError:
        raise EdgeRnnError(f"{option}: expected numbers, got '{','.join(texts or ())}'.") from None
