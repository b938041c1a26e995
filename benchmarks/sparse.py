"""Block-sparse weights beside dense ones: bytes, executed instructions and native time per step.

    python -m benchmarks.sparse [--out FILE]

The sparse forms of a network keep a share of its blocks of 8 rows by 4 columns, chosen at random
with a fixed seed; the rest are zeros and not stored. Counts are exact and the same in every run,
times are not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.native.contenders import OUTPUTS, integer_model
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
from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.emulator import Emulation
from tests.support.models.integer import sparse_model

NETWORKS: Final = ("GRU-32/8", "GRU-128/64")
#: Shares of blocks that are kept.
DENSITIES: Final = (1.0, 0.5, 0.3, 0.1)
DENSE: Final = "dense"
COMMAND: Final = "python -m benchmarks.sparse --out docs/results/sparse.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Figures of one network in one precision; the dense form stands first.

    Attributes:
        network: its name.
        precision: of the operands.
        weight_bytes: of weights and index on a device, by form.
        emulations: by core, then by form.
        us: microseconds of a native step, by form.
    """

    network: str
    precision: Precision
    weight_bytes: dict[str, int]
    emulations: dict[str, dict[str, Emulation]]
    us: dict[str, float]


def main(argv: list[str] | None = None) -> int:
    return write_document(argv, __doc__, NETWORKS, measure, document)


def forms(network: str, precision: Precision) -> dict[str, IntegerModel]:
    """The dense network, and a sparse one for every density."""
    dense = integer_model(network, precision)
    return {DENSE: dense, **{f"{d:.0%}": sparse_model(dense, d) for d in DENSITIES}}


def measure(network: str, precision: Precision) -> Case:
    """All figures of one network."""
    models = forms(network, precision)
    return Case(
        network=network,
        precision=precision,
        weight_bytes={name: weight_memory(m.layers).total_bytes for name, m in models.items()},
        emulations={
            core: {name: emulated(network, model, core) for name, model in models.items()}
            for core in CORES
        },
        us=native_us(models),
    )


def document(cases: list[Case]) -> str:
    """The Markdown of docs/results/sparse.md."""
    lines = [
        "# Block-sparse weights",
        "",
        f"Written by `{COMMAND}`; `make tools` installs what it needs.",
        "",
        "A product stored as `sparse8` leaves out tiles of 4 rows by 4 columns that hold zeros",
        "alone, and has an index of a byte for each tile that is there and for every 4 rows.",
        "Results are those of the dense form with its zeros (NUMERICS.md clause 4.5).",
        "",
        "Columns: the dense form, then shares of blocks of 8 rows by 4 columns that are kept,",
        "random ones in every product; 100 % is what the index costs where no tile is left out.",
        "What sparsity costs in accuracy is a matter of training and not measured here;",
        f"[pruning.md](../guides/pruning.md) has more. Every network ends in a Dense layer of "
        f"{OUTPUTS}. In",
        "brackets: share of the dense figure.",
        "",
        *how_measured(),
        "",
    ]
    for precision in Precision:
        for case in cases:
            if case.precision is precision:
                lines += [f"## {case.network}, `{precision.value}`", "", *table(case), ""]
    return "\n".join(lines)


def table(case: Case) -> list[str]:
    """One row a figure, one column a form."""
    names = list(case.us)
    stack = {
        core: {n: max(e.stack_bytes, e.static_stack_bytes) for n, e in runs.items()}
        for core, runs in case.emulations.items()
    }
    rows: dict[str, dict[str, str]] = {
        "bytes of weights and index": shares(case.weight_bytes),
        **{
            f"instructions, {core}": shares({n: e.instructions.median for n, e in runs.items()})
            for core, runs in case.emulations.items()
        },
        "native µs": shares(case.us, ".2f"),
        **{
            f"flash bytes, {core}": shares({n: e.sizes.flash_bytes for n, e in runs.items()})
            for core, runs in case.emulations.items()
        },
        **{f"stack bytes, {core}": plain(most) for core, most in stack.items()},
    }
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {what} | {' | '.join(row[n] for n in names)} |" for what, row in rows.items()]
    return lines


def shares(values: Mapping[str, float], form: str = ",") -> dict[str, str]:
    """All but the dense form's with the share of it."""
    dense = values[DENSE]
    return {
        name: f"{value:{form}}" + (f" ({ratio(value, dense)})" if name != DENSE else "")
        for name, value in values.items()
    }


def plain(values: dict[str, int]) -> dict[str, str]:
    return {n: f"{value:,}" for n, value in values.items()}


if __name__ == "__main__":
    sys.exit(main())
