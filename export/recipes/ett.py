"""How loaded will a transformer be, and how warm its oil? Seven channels, 24 hours ahead.

    python export/recipes/ett.py --seed 0 -o build/ett
    edgernn train ett --cell FastGRNN -o build/ett

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import ett
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="ett",
    title="six loads and the oil temperature over the next 24 hours",
    load=ett,
    network=Network(cell="GRU", units=48),
    training=Training(
        epochs=12,
        batch=64,
        learning_rate=5e-3,
        weight_decay=1e-2,
        input_noise=0.3,
        window_steps=144,  # six days, of which the first two only bring the state up to date
        loss_from=48,
        stride_steps=8,
    ),
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
