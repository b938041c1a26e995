"""How many cycles has a turbofan engine left? From 14 sensors, one cycle at a time.

    python export/recipes/turbofan.py --seed 0 -o build/turbofan
    edgernn train turbofan --units 10 -o build/turbofan

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import turbofan
from edgernn_export.training import Network, Recipe, Training
from edgernn_export.training.reports.life_picture import life_report

RECIPE = Recipe(
    name="turbofan",
    title="cycles that a turbofan engine has left",
    load=turbofan,
    network=Network(cell="GRU", units=16),
    training=Training(
        epochs=60,
        batch=4,
        learning_rate=1e-2,
        weight_decay=0.3,
        input_noise=0.3,
    ),
    options={"most": "cycles at which the remaining life is clipped (default: 125)"},
    report=life_report,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
