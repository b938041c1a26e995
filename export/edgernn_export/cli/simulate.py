"""`edgernn simulate`: does a model fit a target, and is its firmware the reference bit for bit?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.cli.arguments import (
    add_policy_argument,
    add_program_argument,
    add_table_arguments,
    model_file,
    table_options,
)
from edgernn.cli.progress import progress
from edgernn.cli.style import say
from edgernn.container.file import load_either, load_program
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.calibration.files import load_streams
from edgernn_export.cli.arguments import comma_list
from edgernn_export.simulation.board_cost import cost_of_report
from edgernn_export.simulation.cost_table import cost_table
from edgernn_export.simulation.simulator import (
    default_steps,
    find_targets,
    simulate_programs,
    simulate_targets,
)
from edgernn_export.writers.file_formats import probe_codes
from edgernn_firmware_sim.cli.simulation_report import ProgramsReport, SimulationReport, unit_of
from edgernn_firmware_sim.targets import Board, Core

HELP: Final = """Check whether a model fits a core or a board, and run its firmware there.

Without --emulate, the weights and the state are compared with the board's flash and RAM; nothing
is compiled. With --emulate, the generated C is compiled for the core and run by QEMU, and every
output and state value of every step is compared with the reference. The report contains the
instructions of a step by class and by function, flash, RAM and stack.

The emulated stream is pseudo-random, or your own readings with --input. A window model takes one
step of its network for every reading in a window, all of them at the reading that ends it; its
stream begins padded. Several targets give one table. If a model does not fit a board, the report of
that target lists the changes that would make it fit.

Cycles and milliseconds are estimated from tables of the core, without wait states. The range
covers the estimated error of these tables: about 10 % for Cortex-M4, 15 to 20 % for M0, M0+ and
M3, 20 to 25 % for M33 and M55. M7 and rv32imc are calibrated on one benchmark each and have no
range. The energy of a step is the supply current in the chip's datasheet times these
milliseconds. Confirm all estimates on a board.

In a file of several programs, each program is reported separately, followed by the memory of all of
them together. Select one with --program.

Exit code 1 if a value differs, the model does not fit, or a firmware could not be run.
"""
EXAMPLES: Final = """examples:
  edgernn simulate model.edgernn --target nucleo-f446
  edgernn simulate model.edgernn --target cortex-m4 --emulate
  edgernn simulate model.edgernn --target nucleo-f446,pico,esp32-c3 --emulate
  edgernn simulate model.edgernn --target nucleo-f446 --emulate --input readings.csv
  edgernn simulate model.edgernn --board my-board.toml --emulate --memory-factor 1.5
  edgernn simulate pair.edgernn --target nucleo-f446
  edgernn simulate model.edgernn --target esp32-c3 --emulate --steps 2000 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model", metavar="MODEL.edgernn", type=model_file, help="integer model, or 'demo'"
    )
    parser.add_argument(
        "--target", type=comma_list, action="append", default=[], metavar="NAME,...",
        help="cores and boards (list them with: edgernn targets); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--board", type=Path, action="append", default=[], metavar="FILE.toml",
        help="profile of another board; may be repeated",
    )  # fmt: skip
    add_program_argument(parser, "one program of a file of several")
    parser.add_argument("--emulate", action="store_true", help="build the firmware and run it")
    parser.add_argument(
        "--input", type=Path, metavar="FILE",
        help="readings to emulate: CSV, JSON lines or .npy, as for edgernn run (default: "
        "pseudo-random)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=int, metavar="N",
        help="readings to emulate (default: all of --input; otherwise 200, fewer for windows)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the pseudo-random stream")
    parser.add_argument(
        "--memory-factor", type=float, metavar="F",
        help="multiplies estimated cycles where flash has wait states; 1.3 to 2 is usual with poor "
        "settings (default: 1, none)",
    )  # fmt: skip
    add_policy_argument(parser)
    add_table_arguments(parser)


_Tell = Callable[[str], None]


def main(args: argparse.Namespace) -> int:
    """Report; 1 if a value differs, something does not fit or nothing could be run."""
    _check(args)
    targets: list[str | Path] = [
        *dict.fromkeys(name for names in args.target for name in names),
        *args.board,
    ]
    places = find_targets(targets)
    cores = {core.name: core.machine for core, _ in places if core is not None}
    if args.emulate:
        _check_emulated(places)
        names = ", ".join(f"{name} ({machine})" for name, machine in cores.items())
        say(f"building and running {names}")
    model = load_program(args.model, args.program) if args.program else load_either(args.model)
    with progress("emulating") as tell:
        reports = _reports(args, model, targets, tell)
    if len(reports) == 1:
        print(json.dumps(reports[0].record()) if args.json else reports[0].text())
    elif args.json:
        print(json.dumps({"model": model.name, "targets": [r.record() for r in reports]}))
    else:
        print("\n".join(_tables(reports)))
    return 0 if all(_verified(report, args.emulate) for report in reports) else 1


def _check(args: argparse.Namespace) -> None:
    if args.steps is not None and args.steps < 1:
        raise EdgeRnnError(f"--steps: expected at least 1, got {args.steps}.")
    only_emulated = {
        "--steps": args.steps, "--input": args.input, "--memory-factor": args.memory_factor
    }  # fmt: skip
    for option, value in only_emulated.items():
        if value is not None and not args.emulate:
            raise EdgeRnnError(
                f"{option}: expected --emulate as well, got none. Add --emulate, or leave the "
                "option out."
            )
    if args.memory_factor is not None and not (1 <= args.memory_factor < float("inf")):
        raise EdgeRnnError(
            f"--memory-factor: expected at least 1 (no wait states), got {args.memory_factor}."
        )
    if args.seed < 0:
        raise EdgeRnnError(f"--seed: expected at least 0, got {args.seed}.")


def _check_emulated(places: Sequence[tuple[Core | None, Board | None]]) -> None:
    """Refuse to emulate if none of the targets can be."""
    if any(core is not None for core, _ in places):
        return
    names = ", ".join(f"{board.name} ({board.core})" for _, board in places if board is not None)
    raise EdgeRnnError(
        f"--emulate: expected a target whose core QEMU emulates here, got {names}. Leave out "
        "--emulate, or emulate another core as well to check the generated C."
    )


def _reports(
    args: argparse.Namespace,
    model: IntegerModel | ProgramSet,
    targets: Sequence[str | Path],
    tell: _Tell,
) -> Sequence[SimulationReport | ProgramsReport]:
    factor = args.memory_factor or 1.0
    if isinstance(model, ProgramSet):
        if args.input is not None:
            raise EdgeRnnError(
                f"--input: expected --program with it, one of {', '.join(model.names)}, got none. "
                "Readings belong to one program."
            )
        return simulate_programs(
            model,
            targets,
            emulate=args.emulate,
            memory_factor=factor,
            steps=args.steps,
            seed=args.seed,
            progress=tell,
        )
    return simulate_targets(
        model,
        targets,
        emulate=args.emulate,
        q_xs=_codes(args, model) if args.emulate else None,
        memory_factor=factor,
        advice=len(targets) == 1,
        skip_too_large=len(targets) > 1,
        progress=tell,
    )


def _codes(args: argparse.Namespace, model: IntegerModel) -> OperandArray:
    """Operand codes of the emulated stream."""
    if args.input is None:
        return probe_codes(model, args.steps or default_steps(model), args.seed)
    names, ports = model.input.names, model.input.ports
    streams = load_streams(args.input, names, table_options(args), args.on_bad_reading, ports)
    readings = np.concatenate(streams)[: args.steps]
    if not np.isfinite(readings).all():
        bad = int(np.argmin(np.isfinite(readings).all(axis=1)))
        raise EdgeRnnError(
            f"--input: expected finite readings, got {readings[bad].tolist()} (reading {bad}). "
            "Repair the file, or continue with --on-bad-reading hold or skip."
        )
    if len(readings) < model.answer_readings:
        raise EdgeRnnError(
            f"--input: expected at least {model.answer_readings} readings, those of one answer, "
            f"got {len(readings)}. Use a longer file."
        )
    codes, clipped = model.interface().coder().codes_and_clipped(readings)
    note = f", {int(clipped.any(axis=1).sum()):,} clipped" if clipped.any() else ""
    say(f"{args.input.name}: {len(readings):,} readings{note}")
    return codes


def _tables(reports: Sequence[SimulationReport | ProgramsReport]) -> Iterator[str]:
    """One table for each model, with a row for each target."""
    sets = [report for report in reports if isinstance(report, ProgramsReport)]
    single = [report for report in reports if isinstance(report, SimulationReport)]
    columns = zip(*(report.reports for report in sets), strict=True) if sets else [single]
    for number, column in enumerate(columns):
        model = column[0].model
        if number:
            yield ""
        yield f"{model.name} {model.precision_label}: {model.macs:,} multiply-accumulates per step"
        yield from cost_table([cost_of_report(report) for report in column], unit_of(model))
    for report in sets:
        yield ""
        yield f"{report.reports[0].target}, {report.together()}"


def _verified(report: SimulationReport | ProgramsReport, emulate: bool) -> bool:
    """Passed, and run if it was to be run and can be."""
    single = report.reports if isinstance(report, ProgramsReport) else (report,)
    skipped = any(r.core is not None and r.emulation is None for r in single)
    return report.passed and not (emulate and skipped)
