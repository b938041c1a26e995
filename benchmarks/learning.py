"""Learning experiments of the textbooks: `python -m benchmarks.learning [--out FILE]`.

Gradients against distance of untrained cells, the bias of the forget gate, clipping of gradients,
and truncated backpropagation, five seeds each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from benchmarks.pages.learning import page
from benchmarks.pages.markdown import Record, store
from edgernn_export.inspection import (
    clipping,
    forget_bias,
    gradients,
    truncated_backpropagation,
)

SEEDS: Final = range(5)
UNITS: Final = 32
CELLS: Final = ("SimpleRNN", "LSTM", "GRU")
_DISTANCES: Final = (0, 1, 5, 10, 20, 50)


def gradient_figures() -> list[Record]:
    """Norm of the gradient by distance, of untrained networks over the norm at distance 0."""
    import keras

    network = keras.Sequential(
        [keras.Input((None, 1)), keras.layers.GRU(UNITS), keras.layers.Dense(1)]
    )
    found = [gradients(network, steps=51, compare=True, seed=seed) for seed in SEEDS]
    rows = []
    for cell in CELLS:
        ones = [one[f"untrained {cell}"] for one in found]
        shares = np.exp(np.mean([np.log(one.norms / one.norms[0]) for one in ones], axis=0))
        rows.append(
            {
                "network": cell,
                "left": {str(distance): float(shares[distance]) for distance in _DISTANCES},
                "factor_per_step": float(np.mean([one.per_step for one in ones])),
            }
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    runs = tqdm((forget_bias, clipping, truncated_backpropagation), leave=False, disable=None)
    record: Record = {
        "units": UNITS,
        "gradients": gradient_figures(),
        "experiments": [run(SEEDS).record() for run in runs],
    }
    if args.out:
        store(args.out, record)
    print(page(record), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
