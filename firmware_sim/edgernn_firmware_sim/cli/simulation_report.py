"""The result of `edgernn simulate`, as text and as one JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from edgernn.cli.text_tables import text_table
from edgernn.container.memory import weight_memory
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import answers_text
from edgernn.model.program_sets.passes import buffer_bytes
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_firmware_sim.emulator import Emulation
from edgernn_firmware_sim.targets import Board, Core
from edgernn_firmware_sim.targets.advice import Advice, Need
from edgernn_firmware_sim.targets.costs import Estimate

#: A label and its text.
Rows = list[tuple[str, str]]
#: How an energy is obtained; printed wherever one is.
ENERGY_SOURCE: Final = "estimate: datasheet power × estimated cycles"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """A model on a target: memory, and instructions, cycles and energy if it was emulated.

    Attributes:
        model: the model.
        core: emulated core of the target; None if the core of the board is not emulated.
        board: the board; None for a core.
        known: bytes and work that follow from the model file alone, by name.
        emulation: None if nothing was built.
        estimate: cycles of the emulation on the board's core; None without emulation.
        fit: flash and RAM compared with the board's; empty for a core.
        advice: changes that make the model fit; None if it fits.
    """

    model: IntegerModel
    core: Core | None
    board: Board | None
    known: Mapping[str, int]
    emulation: Emulation | None
    estimate: Estimate | None
    fit: tuple[Need, ...]
    advice: Advice | None

    @property
    def target(self) -> str:
        """Name of the board, or of the core."""
        place = self.board or self.core
        return "" if place is None else place.name

    @property
    def energy_uj(self) -> tuple[float, float] | None:
        """Estimated energy of one step in microjoules, lowest and highest.

        None without an estimate, or if the profile of the board has no supply current.
        """
        if self.estimate is None or self.board is None or self.board.power is None:
            return None
        return self.board.power.microjoules(self.estimate.ms(self.board.clock_hz))

    @property
    def passed(self) -> bool:
        """No value differs and nothing is over."""
        differing = self.emulation.differing if self.emulation else 0
        return not differing and not any(need.over_bytes for need in self.fit)

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "precision": self.model.precision_label,
            "core": None if self.core is None else self.core.name,
            "board": None if self.board is None else self.board.name,
            **self.known,
            "window": None if self.model.window is None else asdict(self.model.window),
            **({} if self.model.rate is None else {"rate": asdict(self.model.rate)}),
            "emulation": None if self.emulation is None else _emulation_record(self.emulation),
            "estimated": None if self.estimate is None else self._estimate_record(self.estimate),
            "fit": [asdict(need) | {"over_bytes": need.over_bytes} for need in self.fit],
            "advice": None if self.advice is None else asdict(self.advice),
        }

    def _stream(self) -> str:
        work, every = self.known["macs"] * self.model.answer_steps, self.model.answer_readings
        said = answers_text(self.model.window, self.model.rate)
        mean = f", {work / every:,.0f} per reading" if every > 1 else ""
        return f"{said}: {work:,} multiply-accumulates per answer{mean}"

    def _of_window(self) -> str:
        """The part of the state of a window model that is readings."""
        if self.model.window is None:
            return ""
        carried = self.model.interface().carried_bytes
        return f", {carried:,} of them the readings of a window"

    def _left_out(self) -> str:
        """The part of the work that a sparse model saves."""
        memory = weight_memory(self.model.layers)
        if memory.kept_tiles == memory.tiles:
            return ""
        return f", with {1 - memory.density:.0%} of the tiles left out"

    def text(self) -> str:
        """For people."""
        model = self.model
        work = f"{self.known['macs']:,} multiply-accumulates per step{self._left_out()}"
        rows: Rows = [("work", work)]
        if model.window is not None or model.rate is not None:
            rows.append(("stream", self._stream()))
        if self.emulation is None:
            rows += [
                ("weights", f"{self.known['weights_bytes']:,} bytes"),
                ("state", f"{self.known['state_bytes']:,} bytes{self._of_window()}"),
            ]
            if self.core is None:
                rows.append(("emulated", "no: there is no emulator for this core"))
            elif any(need.measured for need in self.fit):
                rows.append(("emulated", f"no: the image is too large for {self.core.machine}"))
        else:
            rows += _measured(self.emulation, model)
        if self.estimate is not None:
            rows += self._estimated(self.estimate)
        rows += [(f"{need.memory} of board", need.sentence()) for need in self.fit]
        if self.advice is not None:
            rows += [("advice", sentence) for sentence in self.advice.sentences()]
        lines = [f"{model.name} {model.precision_label} on {self._place()}"]
        lines += text_table(rows, "<16", "<")
        if not (self.emulation or any(need.measured for need in self.fit)):
            measure = "" if self.core is None else " Measure them with: --emulate"
            lines.append(f"Code, constants, scratch and stack come on top.{measure}")
        return "\n".join(lines)

    def _place(self) -> str:
        """The target, and the core that runs the firmware if it is another one."""
        if self.board is None:
            return self.target
        other = self.core is not None and self.core.name != self.board.core
        stand_in = f", emulated as {self.core.name}" if other and self.core else ""
        return f"{self.board.board}: {self.board.core}{stand_in}"

    def _estimate_record(self, estimate: Estimate) -> dict[str, Any]:
        record = asdict(estimate)
        if self.board is not None:
            low, high = estimate.ms(self.board.clock_hz)
            record |= {"clock_hz": self.board.clock_hz, "low_ms": low, "high_ms": high}
            low_uj, high_uj = self.energy_uj or (None, None)
            source = None if self.board.power is None else self.board.power.source
            record |= {"low_uj": low_uj, "high_uj": high_uj, "power_source": source}
        return record

    def _estimated(self, estimate: Estimate) -> Rows:
        factor = estimate.memory_factor
        memory = "" if factor == 1.0 else f", memory factor {factor:g} applied"
        cycles = _range(estimate.low_cycles, estimate.high_cycles, ",.0f")
        unit, every = unit_of(self.model), self.model.answer_readings
        lines = [("cycles", f"estimated {cycles} per {unit} on {estimate.core}{memory}")]
        if self.board is not None:
            ms = _range(*estimate.ms(self.board.clock_hz), ".3g")
            clock = f"{self.board.clock_hz / 1e6:g} MHz"
            lines.append(("time", f"estimated {ms} ms per {unit} at {clock}"))
            if every > 1:
                low, high = estimate.ms(self.board.clock_hz)
                of_answer = _range(every * low, every * high, ".3g")
                times = f"{every} times that, {of_answer} ms, and one without an answer next to"
                lines.append(("", f"a reading with an answer takes {times} nothing"))
        lines.append(("estimate", estimate.accuracy))
        if self.energy_uj is not None and self.board is not None and self.board.power is not None:
            power = self.board.power
            joules = f"{_range(*self.energy_uj, '.3g')} µJ per {unit}"
            lines += [
                ("energy", f"{joules}, chip alone ({ENERGY_SOURCE})"),
                ("", f"{power.active_ma:g} mA at {power.supply_v:g} V: {power.source}"),
            ]
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsReport:
    """Programs that share states on a target: each separately, and all together.

    Attributes:
        programs: the set.
        reports: one for each program, without advice.
        fit: flash and RAM of all together, compared with the board's; empty for a core.
    """

    programs: ProgramSet
    reports: tuple[SimulationReport, ...]
    fit: tuple[Need, ...]

    @property
    def known(self) -> dict[str, int]:
        """Bytes that all programs need together; shared parts count once."""
        weights = weight_memory(self.programs.layers).total_bytes
        known = {"weights_bytes": weights, "state_bytes": self.programs.state_bytes}
        if self.programs.chunk is not None:
            known["buffer_bytes"] = buffer_bytes(self.programs)
        return known

    @property
    def ram_bytes(self) -> int:
        """State, and the buffers between the passes of a chunk."""
        return self.programs.state_bytes + buffer_bytes(self.programs)

    @property
    def passed(self) -> bool:
        """No value of any program differs and nothing is over."""
        return all(report.passed for report in self.reports) and not any(
            need.over_bytes for need in self.fit
        )

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "set": self.programs.name,
            "sha256": self.programs.sha256,
            "programs": [report.record() for report in self.reports],
            **self.known,
            "fit": [asdict(need) | {"over_bytes": need.over_bytes} for need in self.fit],
        }

    def text(self) -> str:
        """For people."""
        return "\n\n".join([*(report.text() for report in self.reports), self.together()])

    def together(self) -> str:
        """The memory of all programs together, for people."""
        rows = [
            ("weights", f"{self.known['weights_bytes']:,} bytes"),
            ("state", f"{self.known['state_bytes']:,} bytes"),
            *self._buffers(),
            *((f"{need.memory} of board", need.sentence()) for need in self.fit),
        ]
        heading = f"{self.programs.name}: {len(self.reports)} programs together, shared parts once"
        return "\n".join([heading, *text_table(rows, "<16", "<")])

    def _buffers(self) -> Rows:
        """What passes over a chunk keep for later ones."""
        plan = self.programs.chunk
        if plan is None:
            return []
        size = buffer_bytes(self.programs)
        return [("buffers", f"{size:,} bytes between passes, for {plan.max_steps:,} steps")]


def unit_of(model: IntegerModel) -> str:
    """The name of one call of the generated step function: "step" or "reading"."""
    return "step" if model.window is None and model.rate is None else "reading"


def _range(low: float, high: float, form: str) -> str:
    """One figure if a table gives no range; the line "estimate" says how reliable it is."""
    return format(low, form) if low == high else f"{low:{form}} to {high:{form}}"


def _emulation_record(emulation: Emulation) -> dict[str, Any]:
    return asdict(emulation) | {
        "flash_bytes": emulation.sizes.flash_bytes,
        "ram_bytes": emulation.ram_bytes,
        "instructions_per_mac": emulation.instructions.per_mac(emulation.macs),
    }


def _measured(emulation: Emulation, model: IntegerModel) -> Rows:
    sizes, work = emulation.sizes, emulation.work
    unit = unit_of(model)
    steps = f"{emulation.compared:,} outputs and state values of {emulation.steps:,} {unit}s"
    lines = [("compared", steps), ("differing", f"{emulation.differing:,}")]
    if emulation.first_difference:
        lines.append(("first", emulation.first_difference))
    return [
        *lines,
        ("instructions", _instructions(emulation, model)),
        *_split("by class", work.classes, work.steps),
        *_split("by function", work.functions, work.steps),
        (
            "flash",
            f"{sizes.flash_bytes:,} bytes: code {sizes.text_bytes:,}, "
            f"constants {sizes.rodata_bytes:,}",
        ),
        *_apart(emulation),
        (
            "RAM",
            f"{emulation.ram_bytes:,} bytes: state and scratch {emulation.struct_bytes:,}, and "
            "the larger stack",
        ),
        (
            "stack",
            f"{emulation.stack_bytes:,} bytes used at most (painted), "
            f"{emulation.static_stack_bytes:,} possible at most (call graph)",
        ),
    ]


def _apart(emulation: Emulation) -> Rows:
    """That the image is larger than the machine's first memory, if it is."""
    if not emulation.sizes.constants_apart:
        return []
    return [("", "constants in the machine's second memory: the first is too small for them")]


def _instructions(emulation: Emulation, model: IntegerModel) -> str:
    count = emulation.instructions
    if model.answer_readings == 1:
        return (
            f"{count.median:,} per {unit_of(model)} (median; {count.least:,} to {count.most:,}), "
            f"{count.per_mac(emulation.macs):.2f} per multiply-accumulate"
        )
    mean = emulation.work.per_step(emulation.work.instructions)
    return (
        f"{mean:,.0f} per reading (mean; {count.least:,} without an answer to {count.most:,} "
        f"with one), {count.most / emulation.macs:.2f} per multiply-accumulate"
    )


def _split(label: str, counts: Mapping[str, int], steps: int) -> Rows:
    """Mean per step and share of the total, one line for each part."""
    total = sum(counts.values())
    shares = [
        (name, f"{count / steps:,.1f}", f"{count / total:.1%}") for name, count in counts.items()
    ]
    lines = text_table(shares, "<28", ">12", ">8")
    return [(label if index == 0 else "", line) for index, line in enumerate(lines)]
