"""Is somebody speaking? A decision every 10 ms in noise, from 16-bit samples.

    python export/recipes/vad.py --seed 0 -o build/vad
    edgernn train vad --set speaker=jackson --to c -o build/vad

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import vad
from edgernn_export.training import Network, Recipe, Training

RECIPE = Recipe(
    name="vad",
    title="voice activity in noise",
    load=vad,
    network=Network(cell="GRU", units=16),
    training=Training(
        epochs=20,
        batch=16,
        learning_rate=1e-2,
        weight_decay=1e-3,
        input_noise=0.1,
        loss_from=10,
    ),
    options={"speaker": "whose recordings are the test part; default: the first by name"},
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
