"""Block-sparse weights compared with dense ones: bytes, instructions and native time per step.

    python -m benchmarks.sparse [--out FILE]

The sparse forms of a network keep a share of its blocks of 8 rows by 4 columns, chosen at random
with a fixed seed. The other blocks are zeros and are not stored. Counts are exact and the same in
every run; times are not.
"""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.native.contenders import integer_model
from benchmarks.pages.markdown import Record
from benchmarks.pages.stored_weights import DENSE, sparse_page
from benchmarks.stored_weights import CORES, core_figures, native_us, run
from edgernn.container.memory import weight_memory
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from tests.support.models.integer import sparse_model

NETWORKS: Final = ("GRU-32/8", "GRU-128/64")
#: Shares of blocks that are kept.
DENSITIES: Final = (1.0, 0.5, 0.3, 0.1)


def main(argv: list[str] | None = None) -> int:
    return run(argv, __doc__, NETWORKS, measure, sparse_page)


def forms(network: str, precision: Precision) -> dict[str, IntegerModel]:
    """The dense network, and a sparse one for every density."""
    dense = integer_model(network, precision)
    return {DENSE: dense, **{f"{d:.0%}": sparse_model(dense, d) for d in DENSITIES}}


def measure(network: str, precision: Precision) -> Record:
    """All figures of one network, the dense form first."""
    models = forms(network, precision)
    us = native_us(models)
    return {
        "network": network,
        "precision": precision.value,
        "weight_bytes": {name: weight_memory(m.layers).total_bytes for name, m in models.items()},
        "cores": {
            core: {name: core_figures(network, model, core) for name, model in models.items()}
            for core in CORES
        },
        "native": {name: {"us": us[name], "share": us[name] / us[DENSE]} for name in models},
    }


if __name__ == "__main__":
    sys.exit(main())
