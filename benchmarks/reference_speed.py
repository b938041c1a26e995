"""How much processor time a step of the NumPy reference takes, for one stream and for many.

    python -m benchmarks.reference_speed
    python -m benchmarks.reference_speed --against ../older-checkout

With another checkout, both take turns, each in a separate process with one thread; other outputs
or states end the command with exit code 1.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from typing import Final

from benchmarks.checkouts import Figures, before_and_after, compare, parser, same, times_faster
from benchmarks.pages.markdown import Record, store
from edgernn.model.formats import Precision

#: Cell, inputs, units, streams, steps in a run.
NETWORKS: Final = (
    ("lstm", 3, 16, 1, 400),
    ("lstm", 8, 64, 1, 400),
    ("gru_after", 8, 128, 1, 200),
    ("lstm", 8, 512, 1, 20),
    ("lstm", 8, 64, 1000, 10),
    ("gru_after", 8, 128, 1000, 5),
)
CASES: Final = tuple(
    (f"{cell}-{units}/{inputs}, {streams} streams, {p.value}", cell, p.value, *map(str, sizes))
    for (cell, *sizes), p in product(NETWORKS, Precision)
    for inputs, units, streams, _ in (sizes,)
)
TITLES: Final = {"lstm": "LSTM", "gru_after": "GRU"}
PROGRAM: Final = """
import hashlib, json, sys, time
import numpy as np
try:
    from edgernn.model.formats import Precision
    from edgernn_firmware_sim.reference.reference import Reference
    from tests.support.models.integer import random_codes, random_model
except ModuleNotFoundError:  # A checkout from before there were rooms.
    from edgernn.formats import Precision
    from edgernn_firmware_sim.reference import Reference
    from tests.integer_models import random_codes, random_model
cell, precision, (inputs, units, streams, steps) = *sys.argv[2:4], map(int, sys.argv[4:])
model = random_model(cell, Precision(precision), inputs=inputs, units=units)
readings = np.stack([random_codes(model, steps, seed=b % 16) for b in range(streams)])
reference, best = Reference(model), float("inf")
for _ in range(5):
    start = time.process_time()
    outputs, states = reference.run(readings)
    best = min(best, time.process_time() - start)
digest = hashlib.sha256(b"".join(a.tobytes() for a in (outputs, *states)))
print(json.dumps({"step_us": best * 1e6 / steps, "bits": digest.hexdigest()}))
"""


def record(found: Sequence[tuple[Sequence[str], Figures]]) -> Record:
    """What the page shows: a row for each network and number of streams."""
    rows: dict[tuple[str, int], Record] = {}
    for (_, cell, precision, inputs, units, streams, _), figures in found:
        key = f"{TITLES[cell]}-{units}/{inputs}", int(streams)
        row = rows.setdefault(key, {"network": key[0], "streams": key[1], "step_us": {}})
        row["step_us"][precision] = figures["step_us"]
    return {"rows": [*rows.values()]}


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table."""
    args = parser(__doc__ or "").parse_args(argv)
    found = compare(PROGRAM, CASES, args, threads=1)
    cases = [case for case in CASES if args.only is None or args.only in case[0]]
    print("| network | a step of all streams, processor µs | | same bits |")
    print("|---|---|---|---|")
    for (name, *_), sides in zip(cases, found, strict=True):
        print(
            f"| {name} | {before_and_after(sides, 'step_us', 0)} "
            f"| {times_faster(sides, 'step_us')} | {same(sides, 'bits')} |"
        )
    if args.out:
        here = [(case, sides[-1]) for case, sides in zip(cases, found, strict=True)]
        store(args.out, record(here))
    return int(any(same(sides, "bits") == "no" for sides in found))


if __name__ == "__main__":
    sys.exit(main())
