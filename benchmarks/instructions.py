"""Executed instructions per step of the generated firmware on every emulated core.

    python -m benchmarks.instructions [--out FILE] [--cores NAME ...]

Each network is generated as C, built with the emulator's flags, run under QEMU and compared with
the reference in every output and state. A difference ends the benchmark. Counts are exact and the
same in every run; MAC are the multiply-accumulates of the matrix products alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

from tqdm import tqdm

from benchmarks import layer_networks
from benchmarks.pages import instructions as pages
from benchmarks.pages.markdown import Record, store
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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), help="all by default")
    args = parser.parse_args(argv)
    record = measured([cores()[name] for name in args.cores or cores()])
    if args.out:
        store(args.out, record)
    print(pages.page(record), end="")
    return 0


def measured(chosen: list[Core]) -> Record:
    """Run every network on these cores.

    Returns:
        ``networks``: precision -> rows of `NETWORKS`; ``kernels``: `KERNEL_NETWORKS` in `w8a8`,
        by kernels; ``operations``: the same, operation by operation; ``wide``: `WIDE_NETWORKS` in
        `w8a8`, with wide states; ``others``: precision -> rows of `layer_networks.NETWORKS`. Rows
        are core -> network -> `figures`.
    """

    def rows(what: str, models: dict[str, IntegerModel], *, fused: bool = True) -> Record:
        return {
            core.name: {
                name: figures(measure(name, model, core, fused=fused))
                for name, model in models.items()
            }
            for core in tqdm(chosen, desc=what, leave=False, disable=None)
        }

    fused = {name: network(shape, Precision.W8A8) for name, shape in KERNEL_NETWORKS.items()}
    return {
        "steps": STEPS,
        "outputs": OUTPUTS,
        "programs": programs(chosen),
        "networks": {
            precision.value: rows(
                precision.value, {n: network(shape, precision) for n, shape in NETWORKS.items()}
            )
            for precision in Precision
        },
        "kernels": rows("kernels", fused),
        "operations": rows("operations", fused, fused=False),
        "wide": rows("wide states", {name: wide_network(name) for name in WIDE_NETWORKS}),
        "others": {
            precision.value: rows(
                f"others, {precision.value}",
                {name: make(precision) for name, make in layer_networks.NETWORKS.items()},
            )
            for precision in Precision
        },
    }


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


def figures(result: Emulation) -> Record:
    """What the page shows of one network on one core."""
    estimate = result.work.estimate(cores()[result.core].costs[result.core], 1.0)
    return {
        "instructions": result.instructions.median,
        "macs": result.macs,
        "cycles": [round(estimate.low_cycles), round(estimate.high_cycles)],
        "code_bytes": result.sizes.text_bytes,
        "flash_bytes": result.sizes.flash_bytes,
        "ram_bytes": result.ram_bytes,
        "stack_bytes": max(result.stack_bytes, result.static_stack_bytes),
    }


def programs(chosen: Iterable[Core]) -> list[tuple[str, str]]:
    """Compilers and emulators of these cores, with the first line of what `--version` prints."""
    listed = [*chosen]
    names = [core.compiler for core in listed] + [core.emulator for core in listed]
    return [(name, version(name)) for name in dict.fromkeys(names)]


def version(program: str) -> str:
    """The first line of `PROGRAM --version`."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
