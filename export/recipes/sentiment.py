"""Does a sentence praise or blame? Two bidirectional LSTMs over the words of SST-2.

    python export/recipes/sentiment.py --seed 0 -o build/sentiment
    edgernn train sentiment --units 16 --to c -o build/small

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import sst2
from edgernn_export.training import Network, Recipe, Training, build_sentence_network

RECIPE = Recipe(
    name="sentiment",
    title="whether a sentence about a film praises or blames it",
    load=sst2,
    network=Network(cell="LSTM", units=32, layers=2),
    training=Training(
        epochs=6,
        batch=32,
        learning_rate=2e-3,
        weight_decay=1e-3,
        input_noise=0.5,  # dropout,
        equal_lengths=True,
    ),
    build=build_sentence_network,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
