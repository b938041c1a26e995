"""What is heard in a recording? One vector in, a sentence out: who says which digit.

    python export/recipes/caption.py --seed 0 -o build/caption
    edgernn train caption --cell LSTM --units 48 --to tflite,c

Both train the network below, quantize its two programs and write their files; --help lists the
options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import captions
from edgernn_export.training import Network, Recipe, SequenceMethod, Training
from edgernn_export.training.programs.decoders import build_captioner

RECIPE = Recipe(
    name="caption",
    title="a sentence about a recording: who says which digit",
    load=captions,
    network=Network(cell="GRU", units=64),
    training=Training(
        epochs=40,
        batch=32,
        learning_rate=5e-3,
        weight_decay=1e-3,
        input_noise=0.3,
    ),
    build=build_captioner,
    method=SequenceMethod(width=3, tokens=False),
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
