"""Is a card payment fraud? One stream per user, on generated payments.

    python export/recipes/fraud.py --seed 0 -o build/fraud
    edgernn train fraud --set users=5000 -o build/fraud

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import fraud
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="fraud",
    title="fraud among the payments of a card, on generated payments",
    load=fraud,
    network=Network(cell="GRU", units=24),
    training=Training(
        epochs=15,
        batch=32,
        learning_rate=5e-3,
        weight_decay=1e-3,
    ),
    options={"users": "users of the train part (default 2500)"},
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
