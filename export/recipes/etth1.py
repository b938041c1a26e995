"""How warm will a transformer's oil be? The next 24 hours from the past ones, hour by hour.

    python export/recipes/etth1.py --seed 0 -o build/etth1
    edgernn train etth1 --units 16 -o build/etth1

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import etth1
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="etth1",
    title="oil temperature over the next 24 hours",
    load=etth1,
    network=Network(cell="GRU", units=32),
    training=Training(
        epochs=20,
        batch=32,
        learning_rate=3e-3,
        weight_decay=1e-2,
        window_steps=192,  # eight days, of which the first two only bring the state up to date
        loss_from=48,
        stride_steps=6,
    ),
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
