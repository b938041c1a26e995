"""Compare a model with the memory of targets, and run its firmware on their emulated cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from edgernn.errors import EdgeRnnError, ImageTooLargeError
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.simulation.firmware_runs import FirmwareRuns, StageProgress
from edgernn_export.writers.file_formats import probe_codes
from edgernn_firmware_sim.cli.simulation_report import ProgramsReport, SimulationReport
from edgernn_firmware_sim.emulator import Emulation
from edgernn_firmware_sim.targets import Board, Core, find
from edgernn_firmware_sim.targets.advice import Advice, Measure, Need, advise, needs, weights_bytes

#: Steps of an emulated stream.
_STEPS: Final = 200
#: Steps of the network that the windows of an emulated stream take.
_WINDOW_STEPS: Final = 2000


def simulate(
    model: IntegerModel,
    target: str | Path,
    *,
    emulate: bool = False,
    q_xs: OperandArray | None = None,
    memory_factor: float = 1.0,
    progress: StageProgress | None = None,
) -> SimulationReport:
    """Compare a model with a target, and run its firmware there.

    Args:
        model: the integer model.
        target: name of a core or board, or the path object of a board profile.
        emulate: build the firmware, run it under QEMU and compare every value with the reference.
            Without it, or for a board whose core has no emulator, the report contains what
            follows from the model file alone.
        q_xs: operand codes [T, I] of the emulated stream; None for pseudo-random ones.
        memory_factor: multiplies estimated cycles for flash with wait states, at least 1.
        progress: receives the name of each stage as it starts.

    Returns:
        The report, with `text` and `record`.

    Raises:
        TargetError: there is no such target, or the board profile is wrong.
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
        ImageTooLargeError: the model fits the board and not the machine that QEMU emulates.
    """
    (report,) = simulate_targets(
        model,
        [target],
        emulate=emulate,
        q_xs=q_xs,
        memory_factor=memory_factor,
        progress=progress,
    )
    return report


def simulate_targets(
    model: IntegerModel,
    targets: Sequence[str | Path],
    *,
    emulate: bool = False,
    q_xs: OperandArray | None = None,
    memory_factor: float = 1.0,
    advice: bool = True,
    skip_too_large: bool = False,
    progress: StageProgress | None = None,
) -> tuple[SimulationReport, ...]:
    """One report for each target; boards with the same core share one emulation.

    Args:
        model: the integer model.
        targets: names of cores and boards, and path objects of board profiles.
        emulate: see `simulate`.
        q_xs: see `simulate`.
        memory_factor: see `simulate`.
        advice: search for changes that make the model fit boards it does not fit.
        skip_too_large: report linked sizes if an emulated machine has less memory than the board
            and too little for the model; without it that is an error.
        progress: see `simulate`.

    Raises:
        EdgeRnnError: there is no target.
        ImageTooLargeError: see `skip_too_large`.
        TargetError, BackendUnavailable, EmulationError: as `simulate`.
    """
    places = find_targets(targets)
    if not emulate:
        return tuple(_known_report(model, *place, advice=advice) for place in places)
    codes = probe_codes(model, default_steps(model), 0) if q_xs is None else q_xs
    runs = FirmwareRuns(model, codes, progress or (lambda _: None))
    return tuple(
        _known_report(model, core, board, advice=advice)
        if core is None
        else _emulated_report(runs, core, board, memory_factor, advice, skip_too_large)
        for core, board in places
    )


def simulate_programs(
    programs: ProgramSet,
    targets: Sequence[str | Path],
    *,
    emulate: bool = False,
    memory_factor: float = 1.0,
    steps: int | None = None,
    seed: int = 0,
    progress: StageProgress | None = None,
) -> tuple[ProgramsReport, ...]:
    """One report for each target: each program separately, and the memory of all together.

    Args:
        programs: programs that share states.
        targets: see `simulate_targets`.
        emulate: see `simulate`; each program runs over a pseudo-random stream.
        memory_factor: see `simulate`.
        steps: length of each emulated stream; None for `default_steps`.
        seed: of the streams.
        progress: see `simulate`.

    Raises:
        EdgeRnnError, TargetError, BackendUnavailable, EmulationError: as `simulate_targets`.
    """
    by_program = [
        simulate_targets(
            model,
            targets,
            emulate=emulate,
            q_xs=probe_codes(model, steps or default_steps(model), seed),
            memory_factor=memory_factor,
            skip_too_large=len(targets) > 1,
            progress=progress,
        )
        for model in programs.programs
    ]
    return tuple(
        _together(programs, tuple(replace(report, advice=None) for report in reports))
        for reports in zip(*by_program, strict=True)
    )


def default_steps(model: IntegerModel) -> int:
    """Readings to emulate: whole answers, and about as many steps of the network for any window."""
    if model.window is None:
        warm_up = 0 if model.rate is None else model.rate.unanswered
        return (warm_up + max(2, _STEPS // model.step_readings)) * model.step_readings
    answers = max(2, min(_STEPS, _WINDOW_STEPS // model.answer_steps))
    return answers * model.answer_readings


def find_targets(targets: Sequence[str | Path]) -> list[tuple[Core | None, Board | None]]:
    """The core and the board of each target; see `find`.

    Raises:
        EdgeRnnError: there is no target.
        TargetError: one of them does not exist, or its board profile is wrong.
    """
    if not targets:
        raise EdgeRnnError(
            "--target: expected at least one target, got none. Name a core or a board of "
            "edgernn targets, or pass the profile of another board with --board."
        )
    return [find(target) for target in targets]


def _together(programs: ProgramSet, reports: tuple[SimulationReport, ...]) -> ProgramsReport:
    report = ProgramsReport(programs=programs, reports=reports, fit=())
    board = reports[0].board
    if board is None:
        return report
    known = report.known
    fit = needs(
        board,
        flash_bytes=known["weights_bytes"],
        ram_bytes=report.ram_bytes,
        measured=False,
    )
    return replace(report, fit=fit)


def _known_report(
    model: IntegerModel, core: Core | None, board: Board | None, *, advice: bool
) -> SimulationReport:
    fit, changes = _fit(
        model, board, _known_bytes(model), _known_bytes, measured=False, advice=advice
    )
    return _report(model, core, board, fit, changes)


def _emulated_report(
    runs: FirmwareRuns,
    core: Core,
    board: Board | None,
    memory_factor: float,
    advice: bool,
    skip_too_large: bool,
) -> SimulationReport:
    """Run it; if the machine is too small for that, report what would fit the board."""
    model, run = runs.model, runs.of(core)
    took = runs.memory_bytes(core)
    fit, changes = _fit(
        model,
        board,
        took,
        lambda other: runs.linked_bytes(core, other),
        measured=True,
        advice=advice,
    )
    if isinstance(run, ImageTooLargeError):
        # The board may have the room that the machine lacks: then nothing was verified.
        if not (skip_too_large or any(need.over_bytes for need in fit)):
            raise run
        return _report(model, core, board, fit, changes)
    costs = core.costs[core.name if board is None else board.core]
    report = _report(model, core, board, fit, changes, run)
    return replace(report, estimate=run.work.estimate(costs, memory_factor))


def _report(
    model: IntegerModel,
    core: Core | None,
    board: Board | None,
    fit: tuple[Need, ...],
    advice: Advice | None,
    emulation: Emulation | None = None,
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
        estimate=None,
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
    advice: bool,
) -> tuple[tuple[Need, ...], Advice | None]:
    if board is None:
        return (), None
    fit = needs(board, flash_bytes=took[0], ram_bytes=took[1], measured=measured)
    return fit, advise(model, board, fit, measure) if advice else None


def _known_bytes(model: IntegerModel) -> tuple[int, int]:
    """Flash and RAM that any program needs for a model, code left aside."""
    return weights_bytes(model), model.state_bytes
