"""Where will an index close tomorrow? Five folds that walk forward, compared with today's close.

    python export/recipes/price.py --seed 0 -o build/price
    edgernn train price --set index=nifty50 --set inputs=ohlcv -o build/price

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import index_prices
from edgernn_export.training import Network, Recipe, Training
from edgernn_export.training.reports.price_walk import walk_forward_report

RECIPE = Recipe(
    name="price",
    title="tomorrow's close of an index",
    load=index_prices,
    network=Network(cell="GRU", units=16),
    training=Training(
        epochs=10,
        batch=32,
        learning_rate=3e-3,
        weight_decay=1e-2,
        window_steps=80,
        loss_from=20,
        stride_steps=20,
    ),
    options={
        "index": "sp500 or nifty50 (default: sp500)",
        "inputs": "close or ohlcv, the changes that the network reads (default: close)",
        "file": "a CSV file with Date, Close and the columns of inputs, in place of an index",
    },
    report=walk_forward_report,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
