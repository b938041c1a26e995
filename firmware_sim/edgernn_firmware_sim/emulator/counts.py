"""Executed instructions per step, counted by the plugin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from edgernn.errors import EmulationError
from edgernn_firmware_sim.emulator.tools import HOST_COMPILER, execute

#: File name of the compiled plugin.
PLUGIN: Final = "insn_count.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCounts:
    """Instructions executed by one call of ``model_step``, over all steps of a stream.

    Attributes:
        steps: number of calls.
        least: fewest instructions of a call.
        median: of all calls; the smaller of the two in the middle.
        most: most instructions of a call.
    """

    steps: int
    least: int
    median: int
    most: int

    def per_mac(self, macs: int) -> float:
        """Median instructions per multiply-accumulate of the matrix products."""
        return self.median / macs


def build_plugin(source: Path, folder: Path) -> None:
    """Compile the QEMU plugin for this machine, as `PLUGIN` in a folder; once in a process.

    Raises:
        EmulationError: the compiler refuses it.
    """
    (folder / PLUGIN).write_bytes(_compiled_plugin(source))


@lru_cache
def _compiled_plugin(source: Path) -> bytes:
    command = [HOST_COMPILER, "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    with TemporaryDirectory() as folder:
        execute("plugin", [*command, str(source), "-o", PLUGIN], Path(folder))
        return Path(folder, PLUGIN).read_bytes()


def read_calls(path: Path, steps: int) -> StepCounts:
    """Read what the plugin wrote.

    Raises:
        EmulationError: not one count per step.
    """
    counts = np.array(sorted(int(line) for line in path.read_text(encoding="ascii").split()))
    if len(counts) != steps:
        raise EmulationError(
            f"plugin: expected one instruction count for each of {steps} steps, got {len(counts)}."
        )
    return StepCounts(
        steps=steps,
        least=int(counts[0]),
        median=int(counts[(steps - 1) // 2]),
        most=int(counts[-1]),
    )
