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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tqdm import tqdm

from benchmarks import layer_networks
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c import layers as c_layers
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import Emulation, emulate, reference_trace
from edgernn_firmware_sim.targets import Core, cores
from tests.support.models.general import general_model
from tests.support.models.integer import random_model

#: name -> (cell, units, inputs, products of a gate); every network ends in a Dense layer of 4.
NETWORKS = {
    "GRU-32/8": ("gru_after", 32, 8, 1),
    "GRU-128/64": ("gru_after", 128, 64, 1),
    "GRU-128/64 of two products": ("gru_after", 128, 64, 2),
    "LSTM-64/8": ("lstm", 64, 8, 1),
}
#: The same of networks that run by kernels and operation by operation.
KERNEL_NETWORKS = {
    "SimpleRNN-32/8": ("simple_rnn", 32, 8, 1),
    "LSTM-64/8": ("lstm", 64, 8, 1),
    "GRU-32/8": ("gru_after", 32, 8, 1),
    "GRU-32/8, reset before": ("gru_before", 32, 8, 1),
}
#: Those of them that may have wide states -> the kind of such a layer.
WIDE_NETWORKS = {
    "LSTM-64/8": "general_lstm",
    "GRU-32/8": "general_gru_after",
    "GRU-32/8, reset before": "general_gru_before",
}
OUTPUTS = 4
STEPS = 25
COMMAND = "python -m benchmarks.instructions --out docs/results/instructions.md"


#: Core -> what was measured there, one for each network.
Rows = dict[str, list[Emulation]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that the document shows.

    Attributes:
        networks: precision -> rows of `NETWORKS`.
        kernels: `KERNEL_NETWORKS` in `w8a8`, by kernels.
        operations: the same, operation by operation.
        wide: `WIDE_NETWORKS` in `w8a8`, with wide states.
        others: precision -> rows of `layer_networks.NETWORKS`.
    """

    networks: dict[Precision, Rows]
    kernels: Rows
    operations: Rows
    wide: Rows
    others: dict[Precision, Rows]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the document here")
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), help="all by default")
    args = parser.parse_args(argv)
    text = document(measured([cores()[name] for name in args.cores or cores()]))
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


def measured(chosen: list[Core]) -> Measured:
    """Run every network on these cores."""

    def rows(what: str, models: dict[str, IntegerModel], *, fused: bool = True) -> Rows:
        return {
            core.name: [measure(name, model, core, fused=fused) for name, model in models.items()]
            for core in tqdm(chosen, desc=what, leave=False, disable=None)
        }

    fused = {name: network(shape, Precision.W8A8) for name, shape in KERNEL_NETWORKS.items()}
    return Measured(
        networks={
            precision: rows(
                precision.value, {n: network(shape, precision) for n, shape in NETWORKS.items()}
            )
            for precision in Precision
        },
        kernels=rows("kernels", fused),
        operations=rows("operations", fused, fused=False),
        wide=rows("wide states", {name: wide_network(name) for name in WIDE_NETWORKS}),
        others={
            precision: rows(
                f"others, {precision.value}",
                {name: make(precision) for name, make in layer_networks.NETWORKS.items()},
            )
            for precision in Precision
        },
    )


def network(shape: tuple[str, int, int, int], precision: Precision) -> IntegerModel:
    """A random model of that shape."""
    cell, units, inputs, products = shape
    return random_model(
        cell, precision, inputs=inputs, units=units, outputs=OUTPUTS, common=products == 1
    )


def wide_network(name: str) -> IntegerModel:
    """A random `w8a8` model of that shape with wide states, sigmoid and tanh."""
    _, units, inputs, _ = KERNEL_NETWORKS[name]
    return general_model(
        WIDE_NETWORKS[name], inputs=inputs, units=units, outputs=OUTPUTS, wide=True,
        gate_function="sigmoid", cell_function="tanh",
    )  # fmt: skip


def measure(name: str, model: IntegerModel, core: Core, *, fused: bool = True) -> Emulation:
    """Run one network on one core; refuse to count a step with other bits.

    Args:
        name: of the network.
        model: the network.
        core: where it runs.
        fused: layers that have a kernel run by it, not operation by operation.
    """
    q_xs = probe_codes(model, STEPS, seed=5)
    wanted = reference_trace(model, q_xs)
    kernels = c_layers.KERNELS if fused else {}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(c_layers, "KERNELS", kernels):
        sources = write_c(model, golden_vector(model))
        result = emulate(model, sources, core, q_xs, Path(folder), wanted)
    if result.differing:
        sys.exit(f"{name}: expected the reference's bits, got {result.first_difference}.")
    return result


def document(figures: Measured) -> str:
    """The Markdown of docs/results/instructions.md."""
    tables = figures.networks
    chosen = [cores()[name] for name in figures.kernels]
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
        "[simulate.md](../guides/simulate.md) for how far such estimates are off):",
        "",
        *table(tables[Precision.W8A8], cycles, "stack bytes", stack_bytes),
        "",
        *against_operations(figures),
        *of_wide_states(figures),
        *of_others(figures.others),
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


def pairs(
    names: Iterable[str], ones: Rows, others: Rows, of: Callable[[Emulation], int]
) -> list[str]:
    """One row a core, one column a network: a figure of it in two forms, and their ratio."""
    lines = [f"| core | {' | '.join(names)} |", "|---" * (len([*names]) + 1) + "|"]
    for core, results in ones.items():
        both = zip(map(of, results), map(of, others[core]), strict=True)
        cells = (f"{one:,} → {other:,} ({other / one:.2f}×)" for one, other in both)
        lines.append(f"| {core} | {' | '.join(cells)} |")
    return lines


def against_operations(figures: Measured) -> list[str]:
    """The same networks by kernels and operation by operation."""
    of = KERNEL_NETWORKS, figures.kernels, figures.operations
    return [
        "## Kernels and operations",
        "",
        "SimpleRNN, LSTM, GRU and Dense have C of their own; any other layer runs operation by",
        "operation. The same networks either way, `w8a8`: instructions per step by kernels, then",
        "operation by operation, and how many times as many.",
        "",
        *pairs(*of, lambda result: result.instructions.median),
        "",
        "Bytes of flash, weights and tables included:",
        "",
        *pairs(*of, lambda result: result.sizes.flash_bytes),
        "",
    ]


def of_wide_states(figures: Measured) -> list[str]:
    """The networks that may have wide states, without them by kernels, and with them."""
    places = [[*KERNEL_NETWORKS].index(name) for name in WIDE_NETWORKS]
    ordinary = {
        core: [results[place] for place in places] for core, results in figures.kernels.items()
    }
    of = WIDE_NETWORKS, ordinary, figures.wide
    return [
        "## Wide states",
        "",
        "Layers whose states have 31 bits run operation by operation. Networks of one shape,",
        "`w8a8`, without wide states by kernels, then with them: instructions per step.",
        "",
        *pairs(*of, lambda result: result.instructions.median),
        "",
        "Bytes of flash, weights and tables included:",
        "",
        *pairs(*of, lambda result: result.sizes.flash_bytes),
        "",
    ]


def of_others(tables: dict[Precision, Rows]) -> list[str]:
    """One row a network and a core: what each takes in either precision."""
    kinds = " | ".join(f"`{p.value}`: instructions | flash | RAM" for p in tables)
    lines = [
        "## Own cells, convolutions, embeddings, networks",
        "",
        "Instructions per step, in brackets per MAC; bytes of flash, weights and tables included,",
        "and of RAM: state, scratch and the most stack that a step can need. The own cell is an",
        "LSTM with coupled gates ([add-a-cell.md](../guides/add-a-cell.md) has another one), "
        "the network of",
        "two inputs that of [networks.md](../guides/networks.md).",
        "",
        f"| network | core | {kinds} |",
        "|---" * (2 + 3 * len(tables)) + "|",
    ]
    for index, name in enumerate(layer_networks.NETWORKS):
        for core in next(iter(tables.values())):
            results = [rows[core][index] for rows in tables.values()]
            cells = [f"{counts(r)} | {r.sizes.flash_bytes:,} | {r.ram_bytes:,}" for r in results]
            lines.append(f"| {name} | {core} | {' | '.join(cells)} |")
    return [*lines, ""]


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
