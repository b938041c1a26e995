"""What is the wearer of a phone doing? Six activities from six raw channels at 50 Hz.

    python export/recipes/hapt.py --seed 0 -o build/hapt
    edgernn train hapt --density 0.3 -o build/hapt

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import hapt
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="hapt",
    title="six activities of the wearer of a phone",
    load=hapt,
    network=Network(cell="GRU", units=32),
    training=Training(
        epochs=15,
        batch=64,
        learning_rate=5e-3,
        weight_decay=1e-3,
    ),
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
