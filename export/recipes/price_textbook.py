"""The price network of textbooks: 60 scaled closes through LSTMs of 64, 64 and 32 units.

    python export/recipes/price_textbook.py --seed 0 -o build/price_textbook
    edgernn train price_textbook --set index=nifty50 -o build/price_textbook

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys
from typing import Any

from edgernn.cli import main
from edgernn_export.datasets import Dataset, price_windows
from edgernn_export.training import Network, Recipe, Training
from edgernn_export.training.networks import keras_cell
from edgernn_export.training.reports.price_windows import textbook_report


def build(recipe: Recipe, network: Network, data: Dataset) -> Any:
    """The stack of textbooks, with the scaler to 0..1 inside: closes in, the next close out."""
    from keras import Input, Sequential, layers

    low, high = data.train.x.min(), data.train.x.max()
    recurrent = keras_cell(network)
    return Sequential(
        [
            Input(data.train.x.shape[1:]),
            layers.Rescaling(1 / (high - low), -low / (high - low)),
            recurrent(network.units, return_sequences=True),
            layers.Dropout(0.2),
            recurrent(network.units, return_sequences=True),
            layers.Dropout(0.2),
            recurrent(network.units // 2),
            layers.Dropout(0.2),
            layers.Dense(network.units // 4, activation="relu"),
            layers.Dense(1),
            layers.Rescaling(high - low, low),
        ],
        name=recipe.name,
    )


def prices_to_come(data: Dataset) -> dict[str, tuple[float, float]]:
    """An index may rise to three times its highest close of the train part."""
    return {"close": (0.0, 3.0 * float(data.train.x.max()))}


RECIPE = Recipe(
    name="price_textbook",
    title="tomorrow's close of an index, as in textbooks",
    load=price_windows,
    network=Network(cell="LSTM", units=64, layers=3),
    training=Training(epochs=6, batch=32, learning_rate=1e-3, weight_decay=0.0),
    build=build,
    input_range=prices_to_come,
    precision="w8a16",  # 8 bits have no room for prices above the train part
    stream="window",
    report=textbook_report,
    options={
        "index": "sp500 or nifty50 (default: sp500)",
        "file": "a CSV file with Date and Close, in place of an index",
    },
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
