"""Firmware on emulated cores: built with a cross compiler, run by QEMU, compared bit for bit."""

from edgernn_firmware_sim.emulator.build import ImageTooLargeError
from edgernn_firmware_sim.emulator.footprint import Footprint, footprint
from edgernn_firmware_sim.emulator.runner import Emulation, emulate, reference_trace
from edgernn_firmware_sim.emulator.tools import EmulationError

__all__ = [
    "Emulation",
    "EmulationError",
    "Footprint",
    "ImageTooLargeError",
    "emulate",
    "footprint",
    "reference_trace",
]
