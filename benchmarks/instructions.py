"""Executed instructions per step of the generated firmware on every emulated core.

    python -m benchmarks.instructions [--out FILE] [--cores NAME ...]

Each network is generated as C, built with the emulator's flags, run under QEMU and
compared with the reference in every output and state; a difference ends the benchmark. Counts are
exact and the same in every run; MAC are the multiply-accumulates of the matrix products alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import Emulation, emulate, reference_trace
from edgernn_firmware_sim.targets import Core, cores
from tests.support.models.integer import random_model

#: name -> (cell, units, inputs, products of a gate); every network ends in a Dense layer of 4.
NETWORKS = {
    "GRU-32/8": ("gru_after", 32, 8, 1),
    "GRU-128/64": ("gru_after", 128, 64, 1),
    "GRU-128/64 of two products": ("gru_after", 128, 64, 2),
    "LSTM-64/8": ("lstm", 64, 8, 1),
}
OUTPUTS = 4
STEPS = 25
COMMAND = "python -m benchmarks.instructions --out docs/instructions.md"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the document here")
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), help="all by default")
    args = parser.parse_args(argv)
    chosen = [cores()[name] for name in args.cores or cores()]
    tables = {
        precision: {
            core.name: [measure(name, precision, core) for name in NETWORKS]
            for core in tqdm(chosen, desc=precision.value, leave=False, disable=None)
        }
        for precision in Precision
    }
    text = document(tables)
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


def network(name: str, precision: Precision) -> IntegerModel:
    """A random model of that shape."""
    cell, units, inputs, products = NETWORKS[name]
    return random_model(
        cell, precision, inputs=inputs, units=units, outputs=OUTPUTS, common=products == 1
    )


def measure(name: str, precision: Precision, core: Core) -> Emulation:
    """Run one network on one core; refuse to count a step with other bits."""
    model = network(name, precision)
    q_xs = probe_codes(model, STEPS, seed=5)
    wanted = reference_trace(model, q_xs)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_c(model, golden_vector(model))
        result = emulate(model, sources, core, q_xs, Path(folder), wanted)
    if result.differing:
        sys.exit(f"{name}: expected the reference's bits, got {result.first_difference}.")
    return result


def document(tables: dict[Precision, dict[str, list[Emulation]]]) -> str:
    """The Markdown of docs/instructions.md."""
    chosen = [cores()[name] for name in next(iter(tables.values()))]
    programs = [core.compiler for core in chosen] + [core.emulator for core in chosen]
    lines = [
        "# Instructions per step",
        "",
        f"Written by `{COMMAND}`; `make tools` installs what it needs.",
        "",
        "Executed instructions of one `model_step`, compiled with `-O2`, counted under QEMU:",
        f"median of {STEPS} steps, all of them compared with the reference first (0 LSB). In",
        "brackets: instructions of the whole step per multiply-accumulate (MAC) of the matrix",
        f"products. Every network ends in a Dense layer of {OUTPUTS}. Code bytes: for",
        f"{list(NETWORKS)[-1]}, without weights and tables.",
        "",
        "A gate is one product of input and state together where both can share the scales of",
        "their weights, or the sum of two products, each with scales of its own; `quantize` takes",
        "two where sharing costs accuracy, as it may in trained networks.",
        "",
    ]
    for precision, rows in tables.items():
        lines += [f"`{precision.value}`:", "", *table(rows, counts, "code bytes", code_bytes), ""]
    lines += [
        "Not cycles: a core may take several for a load or a branch. What tables of the cores make",
        "of these instructions, `w8a8`, **estimated** cycles per step without wait states (see",
        "[simulate.md](simulate.md) for how far such estimates are off):",
        "",
        *table(tables[Precision.W8A8], cycles, "stack bytes", stack_bytes),
        "",
        *(f"- {version(program)}" for program in dict.fromkeys(programs)),
        "",
    ]
    return "\n".join(lines)


def table(
    rows: dict[str, list[Emulation]],
    cell: Callable[[Emulation], str],
    last: str,
    last_cell: Callable[[Emulation], int],
) -> list[str]:
    """One row a core, one column a network, and one figure of the last network."""
    macs = [
        f"{n}, {r.macs:,} MAC" for n, r in zip(NETWORKS, next(iter(rows.values())), strict=True)
    ]
    lines = [f"| core | {' | '.join(macs)} | {last} |", "|---" * (len(macs) + 2) + "|"]
    for core, results in rows.items():
        cells = " | ".join(cell(result) for result in results)
        lines.append(f"| {core} | {cells} | {last_cell(results[-1]):,} |")
    return lines


def counts(result: Emulation) -> str:
    """Instructions, and per MAC."""
    return f"{result.instructions.median:,} ({result.instructions.per_mac(result.macs):.2f})"


def cycles(result: Emulation) -> str:
    """The estimate's two ends."""
    estimate = result.work.estimate(cores()[result.core].costs[result.core], 1.0)
    low, high = (round(c) for c in (estimate.low_cycles, estimate.high_cycles))
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"


def code_bytes(result: Emulation) -> int:
    return result.sizes.text_bytes


def stack_bytes(result: Emulation) -> int:
    return max(result.stack_bytes, result.static_stack_bytes)


def version(program: str) -> str:
    """A program and the first line it says about itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return f"`{program}`: {done.stdout.splitlines()[0]}"


if __name__ == "__main__":
    sys.exit(main())
