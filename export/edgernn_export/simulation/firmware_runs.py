"""Firmware of one model over one stream of readings, built and run once per core."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgernn.errors import ImageTooLargeError
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from edgernn_firmware_sim.emulator import Emulation, emulate, footprint, reference_trace
from edgernn_firmware_sim.targets import Core
from edgernn_firmware_sim.targets.reduced_models import widest

#: Receives the name of each stage as it starts.
StageProgress = Callable[[str], None]


class FirmwareRuns:
    """Emulations of a model, kept by core: boards with the same core share one.

    Args:
        model: the integer model.
        q_xs: operand codes [T, I] of the emulated stream.
        tell: receives the name of each stage as it starts.
    """

    def __init__(self, model: IntegerModel, q_xs: OperandArray, tell: StageProgress) -> None:
        self.model = model
        self._q_xs = q_xs
        self._tell = tell
        self._runs: dict[str, Emulation | ImageTooLargeError] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._wanted: Int16Array | None = None

    def of(self, core: Core) -> Emulation | ImageTooLargeError:
        """The emulation on a core, or the error if the core has too little memory for it.

        Raises:
            BackendUnavailable: a compiler or QEMU is missing; names the packages.
            EmulationError: the firmware cannot be built, faults, or links what it must not.
        """
        if core.name not in self._runs:
            self._runs[core.name] = self._run(core)
        return self._runs[core.name]

    def _run(self, core: Core) -> Emulation | ImageTooLargeError:
        if self._wanted is None:
            self._tell("reference")
            self._wanted = reference_trace(self.model, self._q_xs)
        try:
            with _sources(self.model) as (sources, folder):
                return emulate(
                    self.model, sources, core, self._q_xs, folder, self._wanted, self._tell
                )
        except ImageTooLargeError as error:
            return error

    def memory_bytes(self, core: Core) -> tuple[int, int]:
        """Flash and RAM of the linked model on a core.

        Raises:
            BackendUnavailable, EmulationError: as `of`.
        """
        run = self.of(core)
        if isinstance(run, Emulation):
            return run.sizes.flash_bytes, run.ram_bytes
        if core.name not in self._sizes:
            self._sizes[core.name] = self.linked_bytes(core, self.model)
        return self._sizes[core.name]

    def linked_bytes(self, core: Core, model: IntegerModel) -> tuple[int, int]:
        """Flash and RAM of a linked model, which may be another one; nothing is run."""
        self._tell(f"size of {widest(model)} units")
        with _sources(model) as (sources, folder):
            size = footprint(core, sources, folder)
        return size.flash_bytes, size.ram_bytes


@contextmanager
def _sources(model: IntegerModel) -> Iterator[tuple[dict[str, bytes], Path]]:
    """Generated C, and a folder to build it in."""
    with tempfile.TemporaryDirectory(prefix="edgernn-simulate-") as folder:
        yield write_c(model, golden_vector(model), network_only=True), Path(folder)
