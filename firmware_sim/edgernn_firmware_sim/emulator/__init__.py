"""Firmware on emulated cores: built with a cross compiler, run by QEMU, compared bit for bit."""

from edgernn_firmware_sim.emulator.runner import Emulation, emulate, reference_trace
from edgernn_firmware_sim.emulator.tools import EmulationError

__all__ = ["Emulation", "EmulationError", "emulate", "reference_trace"]
