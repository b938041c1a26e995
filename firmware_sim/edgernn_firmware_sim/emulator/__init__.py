"""Firmware on emulated cores: built with a cross compiler, run by QEMU, compared bit for bit."""

from edgernn.errors import EmulationError, ImageTooLargeError
from edgernn_firmware_sim.emulator.chip_memory import Footprint, footprint
from edgernn_firmware_sim.emulator.runner import (
    Emulation,
    FirmwareRun,
    emulate,
    reference_trace,
    run_firmware,
)

__all__ = [
    "Emulation",
    "EmulationError",
    "FirmwareRun",
    "Footprint",
    "ImageTooLargeError",
    "emulate",
    "footprint",
    "reference_trace",
    "run_firmware",
]
