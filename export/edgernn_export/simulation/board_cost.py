"""Costs of one model on several targets, as plain numbers and as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.simulation.firmware_runs import StageProgress
from edgernn_export.simulation.simulator import simulate_targets
from edgernn_firmware_sim.cli.simulation_report import ENERGY_SOURCE, SimulationReport
from edgernn_firmware_sim.emulator import Emulation


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardCost:
    """Costs of one model on one target, per call of its step function (one reading).

    Instructions and bytes are exact; cycles, milliseconds and microjoules are estimates, given as
    a range. A window or strided model has a mean over its readings.

    Attributes:
        target: name of the core or board.
        board: name on the box; empty for a core.
        core: core of the chip.
        instructions_per_step: executed by a step; None if nothing was emulated.
        low_cycles: estimated cycles of a step; None without emulation.
        high_cycles: the high end of that range.
        low_ms: estimated time at the clock of the board; None for a core.
        high_ms: the high end of that range.
        flash_bytes: code and constants of the linked model; its weights alone if not `measured`.
        ram_bytes: state, scratch and stack; the state alone if not `measured`.
        stack_bytes: most stack that a step can use; None without emulation.
        measured: flash and RAM are those of linked firmware.
        fits: the board has room for the linked model; False as well if weights or state alone are
            too large; None if that is unknown, and for a core.
        low_uj: estimated energy of a step in microjoules, of the chip alone; None if the profile
            of the board has no supply current.
        high_uj: the high end of that range.
        energy_source: how the energy was obtained, and from which document; empty without one.
        exact: every output and state value equals the reference; None without emulation.
        note: why figures are missing, or that the emulated machine has the constants in its second
            memory; empty otherwise.
    """

    target: str
    board: str
    core: str
    instructions_per_step: int | None
    low_cycles: float | None
    high_cycles: float | None
    low_ms: float | None
    high_ms: float | None
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int | None
    measured: bool
    fits: bool | None
    low_uj: float | None
    high_uj: float | None
    energy_source: str
    exact: bool | None
    note: str

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


def board_costs(
    model: IntegerModel,
    targets: Sequence[str | Path],
    *,
    emulate: bool = True,
    q_xs: OperandArray | None = None,
    memory_factor: float = 1.0,
    progress: StageProgress | None = None,
) -> tuple[BoardCost, ...]:
    """Costs of a model on several targets; boards with the same core share one emulation.

    Args:
        model: the integer model.
        targets: names of cores and boards, and path objects of board profiles.
        emulate: build the firmware and run it under QEMU; without it there are bytes alone.
        q_xs: operand codes [T, I] of the emulated stream; None for pseudo-random ones.
        memory_factor: multiplies estimated cycles for flash with wait states, at least 1.
        progress: receives the name of each stage as it starts.

    Returns:
        The costs, in the order of the targets.

    Raises:
        TargetError: there is no such target, or a board profile is wrong.
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
    """
    reports = simulate_targets(
        model,
        targets,
        emulate=emulate,
        q_xs=q_xs,
        memory_factor=memory_factor,
        advice=False,
        skip_too_large=True,
        progress=progress,
    )
    return tuple(cost_of_report(report) for report in reports)


def cost_of_report(report: SimulationReport) -> BoardCost:
    """The figures of a report."""
    board, emulation, estimate = report.board, report.emulation, report.estimate
    low_ms, high_ms = (
        (None, None) if board is None or estimate is None else estimate.ms(board.clock_hz)
    )
    low_uj, high_uj = report.energy_uj or (None, None)
    power = None if board is None or low_uj is None else board.power
    if emulation is not None:
        flash_bytes, ram_bytes = emulation.sizes.flash_bytes, emulation.ram_bytes
    elif report.fit:
        flash_bytes, ram_bytes = (need.bytes for need in report.fit)
    else:
        flash_bytes, ram_bytes = report.known["weights_bytes"], report.known["state_bytes"]
    return BoardCost(
        target=report.target,
        board="" if board is None else board.board,
        core=report.target if board is None else board.core,
        instructions_per_step=None if emulation is None else _instructions(report, emulation),
        low_cycles=None if estimate is None else estimate.low_cycles,
        high_cycles=None if estimate is None else estimate.high_cycles,
        low_ms=low_ms,
        high_ms=high_ms,
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
        stack_bytes=(
            None if emulation is None else max(emulation.stack_bytes, emulation.static_stack_bytes)
        ),
        measured=emulation is not None or any(need.measured for need in report.fit),
        fits=_fits(report),
        low_uj=low_uj,
        high_uj=high_uj,
        energy_source="" if power is None else f"{ENERGY_SOURCE} ({power.source})",
        exact=None if emulation is None else emulation.differing == 0,
        note=_note(report),
    )


def _fits(report: SimulationReport) -> bool | None:
    """Weights and state alone can prove that a model is too large, not that it fits."""
    if any(need.over_bytes for need in report.fit):
        return False
    return True if report.fit and all(need.measured for need in report.fit) else None


def _instructions(report: SimulationReport, emulation: Emulation) -> int:
    """Median of all steps, or the mean if most readings have no answer."""
    if report.model.answer_readings == 1:
        return emulation.instructions.median
    return round(emulation.work.per_step(emulation.work.instructions))


def _note(report: SimulationReport) -> str:
    if report.core is None:
        core = "" if report.board is None else report.board.core
        return f"no emulator for {core}: flash is the weights alone, RAM the state alone"
    if report.emulation is None and any(need.measured for need in report.fit):
        return f"too large for the emulated machine ({report.core.machine}): linked, not run"
    if report.emulation is None:
        return "not emulated: flash is the weights alone, RAM the state alone"
    if report.emulation.sizes.constants_apart:
        return f"emulated with its constants in the second memory of {report.core.machine}"
    return ""
