"""Two classes of activities from features every 0.32 s: the smallest network of the recipes.

    python export/recipes/hapt_binary.py --seed 0 -o build/hapt_binary
    edgernn train hapt_binary --units 8 -o build/hapt_binary

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import hapt_binary
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="hapt_binary",
    title="sitting, laying, upstairs against standing, walking, downstairs",
    load=hapt_binary,
    network=Network(cell="GRU", units=16),
    training=Training(
        epochs=16,
        batch=128,
        learning_rate=7e-3,
        weight_decay=0.3,
        input_noise=0.3,
        keep="last",
    ),
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
