"""Which words name persons, places and organizations? A bidirectional LSTM labels every word.

    python export/recipes/name_tags.py --seed 0 -o build/name_tags
    edgernn train name_tags --cell GRU --units 16 --to c -o build/small

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import name_tags
from edgernn_export.training import Network, Recipe, Training, build_sentence_network

RECIPE = Recipe(
    name="name_tags",
    title="names of persons, places and organizations in generated sentences",
    load=name_tags,
    network=Network(cell="LSTM", units=24),
    training=Training(
        epochs=6,
        batch=32,
        learning_rate=5e-3,
        weight_decay=1e-3,
        input_noise=0.3,  # dropout,
        equal_lengths=True,
    ),
    build=build_sentence_network,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
