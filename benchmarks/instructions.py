"""Executed instructions per step of the generated firmware on every emulated core.

    python -m benchmarks.instructions [--out FILE] [--cores NAME ...]

Each network is generated as C in `w8a8`, built with the emulator's flags, run under QEMU and
compared with the reference in every output and state; a difference ends the benchmark. Counts are
exact and the same in every run; MAC are the multiply-accumulates of the matrix products alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgernn.formats import Precision
from edgernn_export.probe import golden_vector, probe_codes
from edgernn_export.writers.c_source import write_c
from edgernn_firmware_sim.emulator import Emulation, emulate, reference_trace
from edgernn_firmware_sim.targets import Core, cores
from tests.integer_models import random_model

#: name -> (cell, units, inputs); every network ends in a Dense layer of 4.
NETWORKS = {
    "GRU-32/8": ("gru_after", 32, 8),
    "GRU-128/64": ("gru_after", 128, 64),
    "LSTM-64/8": ("lstm", 64, 8),
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
    rows = {name: [measure(name, core) for core in chosen] for name in NETWORKS}
    text = document(chosen, rows)
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


def measure(name: str, core: Core) -> Emulation:
    """Run one network on one core; refuse to count a step with other bits."""
    cell, units, inputs = NETWORKS[name]
    model = random_model(cell, Precision.W8A8, inputs=inputs, units=units, outputs=OUTPUTS)
    q_xs = probe_codes(model, STEPS, seed=5)
    wanted = reference_trace(model, q_xs)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_c(model, golden_vector(model))
        result = emulate(model, sources, core, q_xs, Path(folder), wanted)
    if result.differing:
        sys.exit(f"{name}: expected the reference's bits, got {result.first_difference}.")
    return result


def document(chosen: Sequence[Core], rows: dict[str, list[Emulation]]) -> str:
    """The Markdown of docs/instructions.md."""
    programs = [core.compiler for core in chosen] + [core.emulator for core in chosen]
    macs = {name: results[0].macs for name, results in rows.items()}
    lines = [
        "# Instructions per step",
        "",
        f"Written by `{COMMAND}`; `make tools` installs what it needs.",
        "",
        "Executed instructions of one `model_step` in `w8a8`, compiled with `-O2`, counted under",
        f"QEMU: median of {STEPS} steps, all of them compared with the reference first (0 LSB).",
        "Not cycles: a core may take several for a load or a branch. In brackets: instructions of",
        "the whole step per multiply-accumulate (MAC) of the matrix products. Cortex-M4, M7, M33",
        "and M55 multiply in pairs (SMLAD); the vector unit of the M55 is not used. Every network",
        f"ends in a Dense layer of {OUTPUTS}.",
        "",
        "| core | "
        + " | ".join(f"{name}, {macs[name]:,} MAC" for name in rows)
        + " | code bytes |",
        "|---" * (len(rows) + 2) + "|",
        *(row(core, [results[i] for results in rows.values()]) for i, core in enumerate(chosen)),
        "",
        f"Code bytes: the model's code for {list(rows)[-1]}, without weights and tables.",
        "",
        *(f"- {version(program)}" for program in dict.fromkeys(programs)),
        "",
    ]
    return "\n".join(lines)


def row(core: Core, results: Iterable[Emulation]) -> str:
    """One line of the table."""
    results = list(results)
    cells = [f"{r.instructions.median:,} ({r.instructions.per_mac(r.macs):.2f})" for r in results]
    return f"| {core.name} | {' | '.join(cells)} | {results[-1].sizes.text_bytes:,} |"


def version(program: str) -> str:
    """A program and the first line it says about itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return f"`{program}`: {done.stdout.splitlines()[0]}"


if __name__ == "__main__":
    sys.exit(main())
