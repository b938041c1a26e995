"""Which Hindi word was spelled in Latin letters? An encoder and a decoder, without attention.

    python export/recipes/transliterate_plain.py --seed 0 -o build/transliterate_plain
    edgernn train transliterate_plain --to c,tflite,onnx

Both train the network below, quantize its two programs and write their files; --help lists the
options. All that the decoder knows of the spelling is the last state of the encoder.
"""

import sys
from functools import partial

from edgernn.cli import main
from edgernn_export.datasets import transliteration
from edgernn_export.training import Network, Recipe, SequenceMethod, Training
from edgernn_export.training.programs.decoders import build_translator
from edgernn_export.training.reports.written_words import written_words

RECIPE = Recipe(
    name="transliterate_plain",
    title="a Hindi word from its spelling in Latin letters, without attention",
    load=transliteration,
    network=Network(cell="GRU", units=256),
    training=Training(
        epochs=18,
        batch=128,
        learning_rate=2e-3,
        weight_decay=1e-3,
        input_noise=0.25,  # dropout
    ),
    build=partial(build_translator, attention=False, taught=False),
    method=SequenceMethod(width=3, taught=partial(build_translator, attention=False, taught=True)),
    report=written_words,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
