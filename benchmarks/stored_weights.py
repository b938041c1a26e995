"""Shared by the benchmarks of stored weights: counts on emulated cores, native times, a main."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from tqdm import tqdm

import edgernn
from benchmarks.instructions import STEPS, programs
from benchmarks.native.contenders import (
    NATIVE,
    NATIVE_STEPS,
    OUTPUTS,
    bound_turn,
    check_native,
    readings,
)
from benchmarks.pages.markdown import Record, store
from edgernn.backends.native import isas
from edgernn.bench.machine import processor
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import Emulation, emulate, reference_trace
from edgernn_firmware_sim.targets import cores

CORES: Final = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
ROUNDS: Final = 100
#: Identifies a way of taking steps.
Key = TypeVar("Key")


def run(
    argv: list[str] | None,
    description: str,
    networks: Iterable[str],
    measure: Callable[[str, Precision], Record],
    page: Callable[[Record], str],
) -> int:
    """The command of a benchmark: measure all networks in all precisions, print the page."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    pairs = [(network, precision) for precision in Precision for network in networks]
    cases = [measure(*pair) for pair in tqdm(pairs, leave=False, disable=None)]
    record = {"setup": setup(), "cases": cases}
    if args.out:
        store(args.out, record)
    print(page(record), end="")
    return 0


def core_figures(owner: str, model: IntegerModel, core: str) -> dict[str, int]:
    """Instructions of a step, and bytes of flash and stack, on one core."""
    result = emulated(owner, model, core)
    return {
        "instructions": result.instructions.median,
        "flash_bytes": result.sizes.flash_bytes,
        "stack_bytes": max(result.stack_bytes, result.static_stack_bytes),
    }


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
    return interleaved_us(turns, NATIVE_STEPS, rounds)


def interleaved_us(
    turns: Mapping[Key, Callable[[], object]], steps: int, rounds: int = ROUNDS
) -> dict[Key, float]:
    """Median microseconds of processor time of a step of every turn, one turn after the other."""
    samples: dict[Key, list[float]] = {key: [] for key in turns}
    for _ in range(rounds):
        for key, turn in turns.items():
            start = time.thread_time()  # whatever else the machine has to do
            turn()
            samples[key].append((time.thread_time() - start) * 1e6 / steps)
    return {key: statistics.median(times) for key, times in samples.items()}


def setup() -> Record:
    """What the figures depend on."""
    return {
        "steps": STEPS,
        "outputs": OUTPUTS,
        "rounds": ROUNDS,
        "native_steps": NATIVE_STEPS,
        "isa": isas()[0],
        "processor": processor(),
        "programs": programs(cores()[name] for name in CORES),
    }
