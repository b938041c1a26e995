"""What `edgernn simulate` found, as text and as one JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgernn.cli.text_tables import text_table
from edgernn.container.memory import weight_memory
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import answers_text
from edgernn.model.program_set import ProgramSet
from edgernn_firmware_sim.emulator import Emulation
from edgernn_firmware_sim.targets import Board, Core
from edgernn_firmware_sim.targets.advice import Advice, Need
from edgernn_firmware_sim.targets.costs import Estimate

#: A label and what it says.
Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """Everything one call found out.

    Attributes:
        model: the model.
        core: what was or would be emulated.
        board: the board asked for; None for a core.
        known: bytes and work that the model file says, by name.
        emulation: None where nothing was built.
        estimate: of the emulation's instructions, on the board's core; None without emulation.
        fit: flash and RAM beside the board's; empty for a core.
        advice: what would fit where the model does not.
    """

    model: IntegerModel
    core: Core
    board: Board | None
    known: Mapping[str, int]
    emulation: Emulation | None
    estimate: Estimate | None
    fit: tuple[Need, ...]
    advice: Advice | None

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
            "core": self.core.name,
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
        """What the state of a window model is made of."""
        if self.model.window is None:
            return ""
        carried = self.model.interface().carried_bytes
        return f", {carried:,} of them the readings of a window"

    def _left_out(self) -> str:
        """Which part of the work a sparse model saves."""
        memory = weight_memory(self.model.layers)
        if memory.kept_tiles == memory.tiles:
            return ""
        return f", those of {1 - memory.density:.0%} of the tiles left out"

    def text(self) -> str:
        """For people."""
        core, board, model = self.core, self.board, self.model
        place = core.name if board is None else f"{board.board}: {board.core}"
        stand_in = "" if board is None or board.core == core.name else f", emulated as {core.name}"
        work = f"{self.known['macs']:,} multiply-accumulates per step{self._left_out()}"
        rows: Rows = [("work", work)]
        if model.window is not None or model.rate is not None:
            rows.append(("stream", self._stream()))
        if self.emulation is None:
            rows += [
                ("weights", f"{self.known['weights_bytes']:,} bytes"),
                ("state", f"{self.known['state_bytes']:,} bytes{self._of_window()}"),
            ]
            if any(need.measured for need in self.fit):
                rows.append(("emulated", f"no: the image is too large for {core.machine}"))
        else:
            rows += _measured(self.emulation, model)
        if self.estimate is not None:
            rows += self._estimated(self.estimate)
        rows += [(f"{need.memory} of board", need.sentence()) for need in self.fit]
        if self.advice is not None:
            rows += [("advice", sentence) for sentence in self.advice.sentences()]
        lines = [f"{model.name} {model.precision_label} on {place}{stand_in}"]
        lines += text_table(rows, "<16", "<")
        if not (self.emulation or any(need.measured for need in self.fit)):
            lines.append(
                "Code, constants, scratch and stack come on top. Measure them with: --emulate"
            )
        return "\n".join(lines)

    def _estimate_record(self, estimate: Estimate) -> dict[str, Any]:
        record = asdict(estimate)
        if self.board is not None:
            low, high = estimate.ms(self.board.clock_hz)
            record |= {"clock_hz": self.board.clock_hz, "low_ms": low, "high_ms": high}
        return record

    def _estimated(self, estimate: Estimate) -> Rows:
        factor = estimate.memory_factor
        memory = "" if factor == 1.0 else f", memory factor {factor:g} applied"
        cycles = _range(estimate.low_cycles, estimate.high_cycles, ",.0f")
        unit, every = _unit(self.model), self.model.answer_readings
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
        return [*lines, ("estimate", estimate.accuracy)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsReport:
    """What one call found out about programs that share states.

    Attributes:
        programs: the set.
        reports: of each program as a model of its own, without advice.
        fit: flash and RAM of all together beside the board's; empty for a core.
    """

    programs: ProgramSet
    reports: tuple[SimulationReport, ...]
    fit: tuple[Need, ...]

    @property
    def known(self) -> dict[str, int]:
        """Bytes that all programs need together; what they have in common counts once."""
        weights = weight_memory(self.programs.layers).total_bytes
        return {"weights_bytes": weights, "state_bytes": self.programs.state_bytes}

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
        rows = [
            ("weights", f"{self.known['weights_bytes']:,} bytes"),
            ("state", f"{self.known['state_bytes']:,} bytes"),
            *((f"{need.memory} of board", need.sentence()) for need in self.fit),
        ]
        together = [
            f"{self.programs.name}: {len(self.reports)} programs together, what they share once",
            *text_table(rows, "<16", "<"),
        ]
        return "\n\n".join([*(report.text() for report in self.reports), "\n".join(together)])


def _unit(model: IntegerModel) -> str:
    """What one call of the generated step is."""
    return "step" if model.window is None and model.rate is None else "reading"


def _range(low: float, high: float, form: str) -> str:
    """One figure where a table gives no range; what it is worth is said beside it."""
    return format(low, form) if low == high else f"{low:{form}} to {high:{form}}"


def _emulation_record(emulation: Emulation) -> dict[str, Any]:
    return asdict(emulation) | {
        "flash_bytes": emulation.sizes.flash_bytes,
        "ram_bytes": emulation.ram_bytes,
        "instructions_per_mac": emulation.instructions.per_mac(emulation.macs),
    }


def _measured(emulation: Emulation, model: IntegerModel) -> Rows:
    sizes, work = emulation.sizes, emulation.work
    unit = _unit(model)
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


def _instructions(emulation: Emulation, model: IntegerModel) -> str:
    count = emulation.instructions
    if model.answer_readings == 1:
        return (
            f"{count.median:,} per {_unit(model)} (median; {count.least:,} to {count.most:,}), "
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
