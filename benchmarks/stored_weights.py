"""What the benchmarks of stored weights share: counts on emulated cores and native times."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import edgernn
from benchmarks.instructions import STEPS, version
from benchmarks.native.contenders import (
    NATIVE,
    NATIVE_STEPS,
    bound_turn,
    check_native,
    readings,
)
from benchmarks.native_step import processor
from edgernn.backends.native import isas
from edgernn.model import IntegerModel
from edgernn_export.probe import golden_vector, probe_codes
from edgernn_export.writers.c_source import write_c
from edgernn_firmware_sim.emulator import Emulation, emulate, reference_trace
from edgernn_firmware_sim.targets import cores

CORES: Final = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
ROUNDS: Final = 100


def emulated(owner: str, model: IntegerModel, core: str) -> Emulation:
    """Run a model on one core; refuse to count a step with other bits."""
    q_xs = probe_codes(model, STEPS, seed=5)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_c(model, golden_vector(model))
        wanted = reference_trace(model, q_xs)
        result = emulate(model, sources, cores()[core], q_xs, Path(folder), wanted)
    if result.differing:
        sys.exit(f"{owner}, {core}: expected the reference's bits, got {result.first_difference}.")
    return result


def native_us(models: Mapping[str, IntegerModel], rounds: int = ROUNDS) -> dict[str, float]:
    """Median microseconds of processor time of a bound step of every model, all taking turns."""
    turns = {}
    for name, model in models.items():
        session = edgernn.load(model, NATIVE)
        check_native(name, model, session)
        session.reset()
        turns[name] = bound_turn(session, readings(model, NATIVE_STEPS))
    samples: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            start = time.thread_time()  # whatever else the machine has to do
            turn()
            samples[name].append((time.thread_time() - start) * 1e6 / NATIVE_STEPS)
    return {name: statistics.median(times) for name, times in samples.items()}


def ratio(value: float, dense: float) -> str:
    """A figure as a share of the dense one's."""
    return f"{value / dense:.2f}"


def how_measured() -> list[str]:
    """Lines of a document: what the figures depend on."""
    chosen = [cores()[name] for name in CORES]
    programs = [core.compiler for core in chosen] + [core.emulator for core in chosen]
    return [
        "- instructions: executed in one `model_step`, compiled with `-O2`, under QEMU; median of",
        f"  {STEPS} steps, every output and state compared with the reference first (0 LSB)",
        "- flash: code and constants of the model on the core, tables included",
        f"- native: processor time of a bound step, microseconds, `{isas()[0]}` on {processor()},",
        f"  median of {ROUNDS} turns of {NATIVE_STEPS} steps, all models of a network taking turns",
        *(f"- {version(program)}" for program in dict.fromkeys(programs)),
    ]
