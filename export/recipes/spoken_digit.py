"""Which digit was just said in a stream of sound, at any level? From 16-bit samples.

    python export/recipes/spoken_digit.py --seed 0 -o build/spoken_digit
    edgernn train spoken_digit --set level=-30 --to c -o build/spoken_digit

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import spoken_digit
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="spoken_digit",
    title="spoken digits in a stream of sound",
    load=spoken_digit,
    network=Network(cell="GRU", units=48),
    training=Training(
        epochs=14,
        batch=64,
        learning_rate=8e-3,
        weight_decay=1e-3,
        input_noise=0.1,
    ),
    options={
        "level": "gain of the test recordings in dB; default 0",
        "speaker": "whose recordings are the test part; default: the official split",
        "unheard": "digits that no recording says, as 89",
    },
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
