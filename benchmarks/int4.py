"""Weights of 4 bits beside weights of 8: bytes, executed instructions and native time per step.

    python -m benchmarks.int4 [--out FILE]

Both forms of a network have the same layers, multipliers and shifts; the weights of the second are
those of the first, rounded to [-7, 7]. Counts are exact and the same in every run, times are not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from benchmarks.native.contenders import NETWORKS, OUTPUTS, integer_model
from benchmarks.stored_weights import (
    CORES,
    emulated,
    how_measured,
    native_us,
    ratio,
    write_document,
)
from edgernn.container.memory import weight_memory
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_firmware_sim.emulator import Emulation
from tests.support.models.stored import stored

STORAGES: Final = (Storage.DENSE8, Storage.DENSE4)
COMMAND: Final = "python -m benchmarks.int4 --out docs/results/int4.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Figures of one network in one precision, of 8 and of 4 bits.

    Attributes:
        network: key of `NETWORKS`.
        precision: of the operands.
        weight_bytes: of all weights on a device.
        emulations: by core.
        us: microseconds of a native step.
    """

    network: str
    precision: Precision
    weight_bytes: tuple[int, int]
    emulations: dict[str, tuple[Emulation, Emulation]]
    us: tuple[float, float]


def main(argv: list[str] | None = None) -> int:
    return write_document(argv, __doc__, NETWORKS, measure, document)


def measure(network: str, precision: Precision) -> Row:
    """All figures of one network."""
    dense = integer_model(network, precision)
    eight, four = (stored(dense, storage) for storage in STORAGES)
    names = label(precision)
    us = native_us(dict(zip(names, (eight, four), strict=True)))
    return Row(
        network=network,
        precision=precision,
        weight_bytes=(
            weight_memory(eight.layers).total_bytes,
            weight_memory(four.layers).total_bytes,
        ),
        emulations={
            core: (emulated(network, eight, core), emulated(network, four, core)) for core in CORES
        },
        us=(us[names[0]], us[names[1]]),
    )


def label(precision: Precision) -> tuple[str, str]:
    """Names of the two forms: w8a8 and w4a8, w8a16 and w4a16."""
    return precision.value, precision.value.replace("w8", "w4")


def document(rows: list[Row]) -> str:
    """The Markdown of docs/results/int4.md."""
    lines = [
        "# Weights of 4 bits",
        "",
        f"Written by `{COMMAND}`; `make tools` installs what it needs.",
        "",
        "A product stored as `dense4` has weights in [-7, 7] and half a byte for each. Every row",
        "keeps its own scale, and the arithmetic is that of 8 bits: to store these weights in 4",
        "bits changes no result (NUMERICS.md clause 4.5). What so few values cost in accuracy is a",
        "matter of quantization and not measured here.",
        "",
        f"Every network ends in a Dense layer of {OUTPUTS}. In brackets: share of the 8-bit",
        "figure. Weights are stored in tiles of 4 by 4, filled up with zeros.",
        "",
        *how_measured(),
        "",
        *weights(rows),
    ]
    for precision in Precision:
        some = [row for row in rows if row.precision is precision]
        lines += [
            "",
            f"## `{label(precision)[1]}` beside `{label(precision)[0]}`",
            "",
            *table(some),
        ]
    return "\n".join([*lines, ""])


def weights(rows: list[Row]) -> list[str]:
    """Bytes of weights; they do not depend on the operands."""
    return [
        "| network | bytes of weights, 8 bits | 4 bits |",
        "|---|---|---|",
        *(
            f"| {row.network} | {beside(*row.weight_bytes, ' | ')} |"
            for row in rows
            if row.precision is Precision.W8A8
        ),
    ]


def table(rows: list[Row]) -> list[str]:
    """One row a network and a core, and one for native steps."""
    lines = ["| network | on | instructions, 8 bits | 4 bits | flash, 8 bits | 4 bits |"]
    lines.append("|---" * 6 + "|")
    for row in rows:
        for core, (eight, four) in row.emulations.items():
            counts = beside(eight.instructions.median, four.instructions.median, " | ")
            flash = beside(eight.sizes.flash_bytes, four.sizes.flash_bytes, " | ")
            lines.append(f"| {row.network} | {core} | {counts} | {flash} |")
    lines += ["", "| network | native µs, 8 bits | 4 bits |", "|---|---|---|"]
    for row in rows:
        eight_us, four_us = row.us
        share = ratio(four_us, eight_us)
        lines.append(f"| {row.network} | {eight_us:.2f} | {four_us:.2f} ({share}) |")
    return lines


def beside(eight: int, four: int, between: str) -> str:
    """Two counts, the second with its share of the first."""
    return f"{eight:,}{between}{four:,} ({ratio(four, eight)})"


if __name__ == "__main__":
    sys.exit(main())
