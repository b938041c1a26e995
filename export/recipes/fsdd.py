"""Which digit was said? Ten classes from log-mel energies every 16 ms.

    python export/recipes/fsdd.py --seed 0 -o build/fsdd
    edgernn train fsdd --cell LSTM --units 24 -o build/fsdd

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import fsdd
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="fsdd",
    title="spoken digits",
    load=fsdd,
    network=Network(cell="GRU", units=32),
    training=Training(
        epochs=30,
        batch=32,
        learning_rate=5e-3,
        weight_decay=1e-3,
        input_noise=0.1,
    ),
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
