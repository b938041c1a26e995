"""Which character comes next? A language model of characters, from Tiny Shakespeare or your text.

    python export/recipes/char_lm.py --seed 0 -o build/char_lm
    edgernn train char_lm --set text=novel.txt --units 128 -o build/novel
    edgernn generate build/char_lm/char_lm.edgernn --prompt "ROMEO:"

Both train the network below, quantize it and write its files; --help lists the options.
"""

import sys

from edgernn.cli import main
from edgernn_export.datasets import char_text
from edgernn_export.training import Network, Recipe, Training, build_text_network

RECIPE = Recipe(
    name="char_lm",
    title="the next character of a text",
    load=char_text,
    network=Network(cell="GRU", units=256, layers=2),
    training=Training(
        epochs=24,
        batch=64,
        learning_rate=4e-3,
        weight_decay=0.05,
        input_noise=0.3,  # dropout
        window_steps=64,
        carry_state=True,
    ),
    build=build_text_network,
    options={"text": "a UTF-8 file to learn, in place of Tiny Shakespeare"},
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
