"""The result of a benchmark, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.bench.contenders import LeftOut
from edgernn.bench.file_sizes import FileSize
from edgernn.bench.timings import Throughput, Timing
from edgernn.bench.verdict import LimitCheck
from edgernn.model.interface import Rate, Window

#: How a model answers that has no window and no rate.
EVERY_READING: Final = "every reading"
#: Where readings come from if there are no data.
RANDOM: Final = "random over the calibrated range"


def outputs_text(window: Window | None, rate: Rate | None) -> str:
    """When a model has outputs, for people.

    Args:
        window: of the model.
        rate: of the model.
    """
    if window is None:
        return EVERY_READING if rate is None else str(rate)
    every = EVERY_READING if window.hop == 1 else f"every {window.hop} readings"
    return f"{every}, each from the last {window.steps} readings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Everything that `edgernn.bench.benchmark` measured.

    Attributes:
        model: name of the integer model.
        model_sha256: its hash.
        precision: `IntegerModel.precision_label`.
        macs: multiply-accumulates of a step of the network.
        stream: when the model has outputs, see `outputs_text`.
        compared: readings that every exact back-end answered like the reference, bit for bit.
        readings: where the readings came from.
        rounds: interleaved rounds.
        timings: time of a step by program and way; our back-ends first.
        throughput: steps per second of several streams.
        sizes: bytes of the model in every format.
        state_bytes: memory of a stream.
        memory_bytes: peak resident memory of a process with NumPy and this program, by program;
            empty if the system does not tell.
        boards: estimates for boards, as JSON values.
        accuracy: what `evaluate` found, as JSON values; None if it did not run.
        counted: name of the timing that limits on time are compared with; "" if there is none.
        checks: limits and what was measured.
        left_out: what was not measured, and why.
        machine: facts about the machine.
    """

    model: str
    model_sha256: str
    precision: str
    macs: int
    stream: str
    compared: int
    readings: str
    rounds: int
    timings: tuple[Timing, ...]
    throughput: tuple[Throughput, ...]
    sizes: tuple[FileSize, ...]
    state_bytes: int
    memory_bytes: Mapping[str, int]
    boards: tuple[Mapping[str, Any], ...]
    accuracy: Mapping[str, Any] | None
    counted: str
    checks: tuple[LimitCheck, ...]
    left_out: tuple[LeftOut, ...]
    machine: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every limit is kept; also True without limits."""
        return all(check.kept for check in self.checks)

    def timing(self, program: str, way: str = "step") -> Timing:
        """The timing of a program, by its fastest instruction set.

        Args:
            program: as in the table, for example "native".
            way: "step", "bind" or "codes"; of peers "bare".

        Raises:
            KeyError: it was not measured.
        """
        for timing in self.timings:
            if (timing.program, timing.way) == (program, way):
                return timing
        raise KeyError(f"benchmark: expected a timing of {program} {way}, got none.")

    def record(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return {**asdict(self), "passed": self.passed}

    def to_json(self) -> str:
        """All figures as one JSON object."""
        return json.dumps(self.record(), allow_nan=False)

    def plot(self, path: str | Path) -> Path:
        """Draw time per step and bytes per format into a .png file; needs Matplotlib.

        Args:
            path: of the file.

        Returns:
            The path.
        """
        from edgernn.bench.contenders import function_named

        draw = function_named("edgernn_export.bench.picture:draw")
        written: Path = draw(self, Path(path))
        return written
