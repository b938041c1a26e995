"""Which readings of a machine are unusual? One network forecasts the next change of every stream.

    python export/recipes/anomaly.py --seed 0 -o build/anomaly
    edgernn train anomaly --units 8 -o build/anomaly

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import anomaly
from edgernn_export.training import Network, Recipe, Training
from edgernn_export.training.reports.anomaly_table import anomaly_report

RECIPE = Recipe(
    name="anomaly",
    title="unusual readings of 39 machines",
    load=anomaly,
    network=Network(cell="GRU", units=16),
    training=Training(
        epochs=30,
        batch=32,
        learning_rate=1e-2,
        input_noise=0.05,
        window_steps=96,
        loss_from=16,
        stride_steps=32,
    ),
    report=anomaly_report,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
