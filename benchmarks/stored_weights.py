"""What the benchmarks of stored weights share: counts on emulated cores, native times, a main."""

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
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import Emulation, emulate, reference_trace
from edgernn_firmware_sim.targets import cores

CORES: Final = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
ROUNDS: Final = 100
#: Figures of one network.
Case = TypeVar("Case")
#: Whatever tells a way of taking steps from others.
Key = TypeVar("Key")


def write_document(
    argv: list[str] | None,
    description: str,
    networks: Iterable[str],
    measure: Callable[[str, Precision], Case],
    document: Callable[[list[Case]], str],
) -> int:
    """The command of a benchmark: print the Markdown of all networks in all precisions."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the document here")
    args = parser.parse_args(argv)
    pairs = [(network, precision) for precision in Precision for network in networks]
    text = document([measure(*pair) for pair in tqdm(pairs, leave=False, disable=None)])
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


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
        "- natively a product is held as it is stored where that is the faster form, and else in a",
        "  byte for each weight; [time per step](speed.md) has both",
        *(f"- {version(program)}" for program in dict.fromkeys(programs)),
    ]
