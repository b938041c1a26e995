"""What a model costs on a target: linked, run under QEMU and priced, before anybody trains it.

Hard limits of a search, and how a cost stands against them.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.errors import BackendMismatch, ImageTooLargeError, SearchError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, footprint
from edgernn_firmware_sim.targets import Board, Core, boards, find
from edgernn_firmware_sim.targets.costs import Costs

#: Length of the emulated stream; the instructions of a step hardly depend on its data.
STEPS: Final = 24
_SEED: Final = 0
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(|[kM]i?)B?")
_FACTORS: Final = {"": 1, "k": 1000, "M": 1000**2, "ki": 1024, "Mi": 1024**2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The target of a search.

    Attributes:
        target: name of the core or board.
        core: that is emulated.
        board: None for a core.
        clock_hz: of the estimated milliseconds.
        clock_source: where the clock comes from, for people.
    """

    target: str
    core: Core
    board: Board | None
    clock_hz: int
    clock_source: str

    @property
    def costs(self) -> Costs:
        """The price list of the target's core."""
        return self.core.costs[self.core.name if self.board is None else self.board.core]


def find_hardware(target: str, clock_mhz: float | None = None) -> Hardware:
    """Find a target and its clock.

    Args:
        target: name of a core or board.
        clock_mhz: clock in place of the board's; a core without one has that of the slowest listed
            board with this core.

    Raises:
        TargetError: there is no such target.
        SearchError: the clock is not above 0, or is not known.
    """
    core, board = find(target)
    if core is None:
        raise SearchError(
            f"--target: expected a target with an emulated core, got '{target}'. "
            "List the cores with: edgernn targets"
        )
    if clock_mhz is not None:
        if not 0 < clock_mhz < 1e5:
            raise SearchError(f"--clock-mhz: expected a clock above 0, got {clock_mhz}.")
        clock_hz, source = round(clock_mhz * 1e6), "as given"
    else:
        same = [b for b in boards().values() if b.core == core.name] if board is None else [board]
        if not same:
            raise SearchError(
                f"--target: expected a board, or a core with a clock, got {target}. Pass its "
                "clock with --clock-mhz."
            )
        slowest = min(same, key=lambda b: b.clock_hz)
        clock_hz, source = slowest.clock_hz, f"of {slowest.name}"
    return Hardware(target=target, core=core, board=board, clock_hz=clock_hz, clock_source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one integer model takes.

    Bytes are those of the linked firmware and instructions are counted: both are exact. The
    milliseconds are estimated from them by the price list of the core.

    Attributes:
        flash_bytes: code and constants.
        ram_bytes: state, scratch and the most stack.
        instructions: of one step, median; None where the emulated machine has too little memory.
        low_ms: low end of the estimate for one step.
        high_ms: high end of it; infinite where nothing could be emulated.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: int | None
    low_ms: float
    high_ms: float

    def record(self) -> dict[str, Any]:
        """As a JSON value; None stands for what could not be emulated."""
        return {name: v if v != math.inf else None for name, v in asdict(self).items()}

    def sentence(self) -> str:
        """All figures."""
        bytes_ = f"{self.flash_bytes:,} B of flash, {self.ram_bytes:,} B of RAM"
        if self.instructions is None:
            return f"{bytes_}; too large to be emulated"
        return (
            f"{bytes_}, {self.instructions:,} instructions, estimated "
            f"{self.low_ms:.3g} to {self.high_ms:.3g} ms"
        )


def measure(model: IntegerModel, place: Hardware, steps: int = STEPS) -> Cost:
    """Link a model's firmware, run it and compare every value with the reference.

    A model that the emulated machine has no memory for is linked only: its milliseconds are
    infinite, so that it keeps no limit of time.

    Args:
        model: the integer model.
        place: the target.
        steps: of the emulated stream.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
        BackendMismatch: a value of the firmware is not that of the reference.
    """
    sources = write_c(model, golden_vector(model), network_only=True)
    codes = probe_codes(model, steps, _SEED)
    try:
        with _folder() as folder:
            emulation = emulate(model, sources, place.core, codes, folder)
    except ImageTooLargeError:
        return _linked(sources, place)
    if emulation.differing:
        raise BackendMismatch(
            f"{model.name} on {place.core.name}: expected the values of the reference, got "
            f"{emulation.differing:,} different ones (first: {emulation.first_difference})."
        )
    low_ms, high_ms = emulation.work.estimate(place.costs).ms(place.clock_hz)
    return Cost(
        flash_bytes=emulation.sizes.flash_bytes,
        ram_bytes=emulation.ram_bytes,
        instructions=emulation.instructions.median,
        low_ms=low_ms,
        high_ms=high_ms,
    )


def _linked(sources: Any, place: Hardware) -> Cost:
    with _folder() as folder:
        size = footprint(place.core, sources, folder)
    return Cost(
        flash_bytes=size.flash_bytes,
        ram_bytes=size.ram_bytes,
        instructions=None,
        low_ms=math.inf,
        high_ms=math.inf,
    )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edgernn-search-") as folder:
        yield Path(folder)


def cost_of(record: Mapping[str, Any]) -> Cost:
    """The cost whose `record` this is."""
    values = dict(record)
    if values["instructions"] is None:
        values |= {"low_ms": math.inf, "high_ms": math.inf}
    return Cost(**values)


def parse_bytes(text: str) -> int:
    """A size in bytes: k and M count in thousands, Ki and Mi in 1,024.

    Raises:
        SearchError: it is no size, not a whole number of bytes, or 0.

    >>> parse_bytes("16k"), parse_bytes("16KiB"), parse_bytes("500"), parse_bytes("1.5kB")
    (16000, 16384, 500, 1500)
    """
    found = _SIZE.fullmatch(text.strip().replace("K", "k"))
    size = float(found[1]) * _FACTORS[found[2]] if found else 0.0
    if size < 1 or size != int(size):
        raise SearchError(
            f"size: expected bytes like 16000, 16k (16,000) or 16KiB (16,384), got '{text}'."
        )
    return int(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """A limit that a cost exceeds.

    Attributes:
        name: field of `Limits`.
        excess: how much too much, as a share of the limit.
        sentence: with both figures.
    """

    name: str
    excess: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model may take; None is no limit.

    Attributes:
        flash_bytes: code and constants of the model.
        ram_bytes: state, scratch and stack of the model.
        step_ms: of a step; held against the high end of the estimate.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    step_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no model can keep."""
        for name, limit in asdict(self).items():
            if limit is not None and not 0 < limit < math.inf:
                raise SearchError(f"search {name}: expected a limit above 0, got {limit}.")

    def excesses(self, cost: Cost) -> dict[str, float]:
        """Share by which each limit is exceeded; at most 0 where it is kept."""
        taken = {
            "flash_bytes": cost.flash_bytes,
            "ram_bytes": cost.ram_bytes,
            "step_ms": cost.high_ms,
        }
        return {
            name: taken[name] / limit - 1
            for name, limit in asdict(self).items()
            if limit is not None
        }

    def over(self, cost: Cost) -> tuple[Over, ...]:
        """The limits that a cost exceeds, the worst first."""
        sentences = {
            "flash_bytes": f"flash {cost.flash_bytes:,} B > {self.flash_bytes or 0:,} B",
            "ram_bytes": f"RAM {cost.ram_bytes:,} B > {self.ram_bytes or 0:,} B",
            "step_ms": f"{_time(cost)} > {self.step_ms or 0:g} ms",
        }
        found = (
            Over(name=name, excess=excess, sentence=sentences[name])
            for name, excess in self.excesses(cost).items()
            if excess > 0
        )
        return tuple(sorted(found, key=lambda over: -over.excess))


def _time(cost: Cost) -> str:
    known = cost.instructions is not None
    return (
        f"estimated {cost.high_ms:.3g} ms" if known else "unknown time (too large to be emulated)"
    )
