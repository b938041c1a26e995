"""4-bit weights compared with 8-bit ones: bytes, instructions and native time per step.

    python -m benchmarks.int4 [--out FILE]

Both forms of a network have the same layers, multipliers and shifts. The 4-bit weights are the
8-bit ones, rounded to [-7, 7]. Counts are exact and the same in every run; times are not.
"""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.native.contenders import NETWORKS, integer_model
from benchmarks.pages.markdown import Record
from benchmarks.pages.stored_weights import int4_page
from benchmarks.stored_weights import CORES, core_figures, native_us, run
from edgernn.container.memory import weight_memory
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from tests.support.models.stored import stored

#: Storages, the 8-bit one first.
STORAGES: Final = (Storage.DENSE8, Storage.DENSE4)


def main(argv: list[str] | None = None) -> int:
    return run(argv, __doc__, NETWORKS, measure, int4_page)


def measure(network: str, precision: Precision) -> Record:
    """All figures of one network, those with 8-bit weights first."""
    dense = integer_model(network, precision)
    models = {storage.name: stored(dense, storage) for storage in STORAGES}
    us = [*native_us(models).values()]
    return {
        "network": network,
        "precision": precision.value,
        "weight_bytes": [weight_memory(model.layers).total_bytes for model in models.values()],
        "cores": {
            core: [core_figures(network, model, core) for model in models.values()]
            for core in CORES
        },
        "native": [{"us": time, "share": time / us[0]} for time in us],
    }


if __name__ == "__main__":
    sys.exit(main())
