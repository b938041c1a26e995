"""`edgernn simulate`: does a model fit a target, and is its firmware the reference bit for bit?"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edgernn.cli.arguments import add_program_argument
from edgernn.container.file import load_either, load_program
from edgernn.errors import EdgeRnnError, ImageTooLargeError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_set import ProgramSet
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.cli.simulation_report import ProgramsReport, SimulationReport
from edgernn_firmware_sim.emulator import Emulation, emulate, footprint
from edgernn_firmware_sim.targets import Board, Core, find
from edgernn_firmware_sim.targets.advice import Advice, Measure, Need, advise, needs, weights_bytes
from edgernn_firmware_sim.targets.costs import Estimate
from edgernn_firmware_sim.targets.reduced_models import widest

HELP: Final = """Hold a model against a core or a board.

Without --emulate: what is known before anything is compiled, beside the board's flash and RAM.
With --emulate: the generated C is compiled for the core, run by QEMU over a pseudo-random stream,
and every output and state value of every step is compared with the reference. Instructions are
counted, by class and by function, and stack is measured. A window model takes a step of its
network for every reading in a window, all at the reading that ends it; its stream begins padded.
For a model that does not fit, the changes that would make it fit are searched with the same
measure.

Cycles and milliseconds are estimated from tables of the core, without wait states. The range holds
the error that these tables are judged to have: about 10 % for Cortex-M4, 15 to 20 % for M0, M0+ and
M3, 20 to 25 % for M33 and M55. M7 and rv32imc are calibrated on one benchmark each and have no
range. Nothing here replaces a board.

Of programs that share states each is held against the target by itself, and what is known of all
together against the board's memory; with --program, one of them is a model of its own.

Exit code 1 if a value differs or the model does not fit.
"""
EXAMPLES: Final = """examples:
  edgernn simulate model.edgernn --target nucleo-f446
  edgernn simulate model.edgernn --target cortex-m4 --emulate
  edgernn simulate model.edgernn --target pico --emulate --memory-factor 1.5
  edgernn simulate pair.edgernn --target nucleo-f446
  edgernn simulate model.edgernn --target esp32-c3 --emulate --steps 2000 --json
"""
_STEPS: Final = 200
#: Steps of the network that the windows of an emulated stream take.
_WINDOW_STEPS: Final = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL.edgernn", type=Path)
    parser.add_argument(
        "--target", required=True, metavar="NAME", help="core or board; see edgernn targets"
    )
    add_program_argument(parser, "one program of a file of several")
    parser.add_argument("--emulate", action="store_true", help="build the firmware and run it")
    parser.add_argument(
        "--steps", type=int, metavar="N",
        help=f"of the emulated stream (default: {_STEPS}, fewer of windows)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the pseudo-random stream")
    parser.add_argument(
        "--memory-factor", type=float, metavar="F",
        help="multiplies estimated cycles where flash has wait states: 1.3 to 2 is usual with poor "
        "settings (default: 1, none)",
    )  # fmt: skip


_Tell = Callable[[str], None]


def main(args: argparse.Namespace) -> int:
    """Report; 1 if a value differs or something does not fit."""
    _check(args)
    core, board = find(args.target)
    model = load_program(args.model, args.program) if args.program else load_either(args.model)
    if isinstance(model, ProgramSet):
        report: SimulationReport | ProgramsReport = _programs_report(args, model, core, board)
    else:
        report = _one_report(args, model, core, board)
    print(json.dumps(report.record()) if args.json else report.text())
    return 0 if report.passed else 1


def _one_report(
    args: argparse.Namespace, model: IntegerModel, core: Core, board: Board | None
) -> SimulationReport:
    if args.emulate:
        print(f"building and running {core.name} ({core.machine})", file=sys.stderr)
        with _progress(core) as tell:
            return _emulated_report(args, model, core, board, tell)
    fit, advice = _fit(model, board, _known_bytes(model), _known_bytes, measured=False)
    return _report(model, core, board, fit, advice)


def _programs_report(
    args: argparse.Namespace, programs: ProgramSet, core: Core, board: Board | None
) -> ProgramsReport:
    """Each program by itself; of the board's memory, what is known of all together."""
    reports = tuple(
        replace(_one_report(args, model, core, board), advice=None) for model in programs.programs
    )
    report = ProgramsReport(programs=programs, reports=reports, fit=())
    if board is None:
        return report
    known = report.known
    fit = needs(
        board,
        flash_bytes=known["weights_bytes"],
        ram_bytes=known["state_bytes"],
        measured=False,
    )
    return replace(report, fit=fit)


def _check(args: argparse.Namespace) -> None:
    if args.steps is not None and (args.steps < 1 or not args.emulate):
        raise EdgeRnnError(
            f"--steps: expected at least 1, together with --emulate, got {args.steps}."
        )
    if args.memory_factor is not None and not (1 <= args.memory_factor < float("inf")):
        raise EdgeRnnError(
            f"--memory-factor: expected at least 1 (no wait states), got {args.memory_factor}."
        )
    if args.memory_factor is not None and not args.emulate:
        raise EdgeRnnError("--memory-factor: expected it together with --emulate, got it alone.")
    if args.seed < 0:
        raise EdgeRnnError(f"--seed: expected at least 0, got {args.seed}.")


def _emulated_report(
    args: argparse.Namespace, model: IntegerModel, core: Core, board: Board | None, tell: _Tell
) -> SimulationReport:
    """Run it; where the machine is too small for that, say what would fit the board."""

    def linked_bytes(other: IntegerModel) -> tuple[int, int]:
        tell(f"size of {widest(other)} units")
        with _sources(other) as (sources, folder):
            size = footprint(core, sources, folder)
        return size.flash_bytes, size.ram_bytes

    q_xs = probe_codes(model, args.steps or _default_steps(model), args.seed)
    emulation, too_large = None, None
    try:
        with _sources(model) as (sources, folder):
            emulation = emulate(model, sources, core, q_xs, folder, progress=tell)
        took = emulation.sizes.flash_bytes, emulation.ram_bytes
    except ImageTooLargeError as error:
        too_large = error
        took = linked_bytes(model)
    fit, advice = _fit(model, board, took, linked_bytes, measured=True)
    if emulation is None:
        if too_large is not None and advice is None:
            raise too_large
        return _report(model, core, board, fit, advice)
    costs = core.costs[core.name if board is None else board.core]
    estimate = emulation.work.estimate(costs, args.memory_factor or 1.0)
    return _report(model, core, board, fit, advice, emulation, estimate)


def _default_steps(model: IntegerModel) -> int:
    """Readings to emulate: whole answers, and about as many steps of the network for any window."""
    if model.window is None:
        warm_up = 0 if model.rate is None else model.rate.unanswered
        return (warm_up + max(2, _STEPS // model.step_readings)) * model.step_readings
    answers = max(2, min(_STEPS, _WINDOW_STEPS // model.answer_steps))
    return answers * model.answer_readings


def _report(
    model: IntegerModel,
    core: Core,
    board: Board | None,
    fit: tuple[Need, ...],
    advice: Advice | None,
    emulation: Emulation | None = None,
    estimate: Estimate | None = None,
) -> SimulationReport:
    weights, state = _known_bytes(model)
    return SimulationReport(
        model=model,
        core=core,
        board=board,
        known={
            "weights_bytes": weights,
            "state_bytes": state,
            "carried_bytes": model.interface().carried_bytes,
            "macs": model.macs,
        },
        emulation=emulation,
        estimate=estimate,
        fit=fit,
        advice=advice,
    )


def _fit(
    model: IntegerModel,
    board: Board | None,
    took: tuple[int, int],
    measure: Measure,
    *,
    measured: bool,
) -> tuple[tuple[Need, ...], Advice | None]:
    if board is None:
        return (), None
    fit = needs(board, flash_bytes=took[0], ram_bytes=took[1], measured=measured)
    return fit, advise(model, board, fit, measure)


def _known_bytes(model: IntegerModel) -> tuple[int, int]:
    """What any program needs of flash and RAM for a model, code left aside."""
    return weights_bytes(model), model.state_bytes


@contextmanager
def _sources(model: IntegerModel) -> Iterator[tuple[dict[str, bytes], Path]]:
    """Generated C, and a folder to build it in."""
    with tempfile.TemporaryDirectory(prefix="edgernn-simulate-") as folder:
        yield write_c(model, golden_vector(model)), Path(folder)


@contextmanager
def _progress(core: Core) -> Iterator[_Tell]:
    """A bar with what is done next, for somebody who watches and has tqdm."""
    if not sys.stderr.isatty() or find_spec("tqdm") is None:
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(desc=core.name, unit=" stages", file=sys.stderr, leave=False) as bar:

        def tell(stage: str) -> None:
            bar.update()
            bar.set_postfix_str(stage)

        yield tell
