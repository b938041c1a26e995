"""Which Hindi word was spelled in Latin letters? An encoder, and a decoder that attends to it.

    python export/recipes/transliterate.py --seed 0 -o build/transliterate
    edgernn train transliterate --to c,tflite,onnx

Both train the network below, quantize its two programs and write their files; --help lists the
options. A picture shows which letters the decoder looks at.
"""

import sys
from functools import partial

from edgernn.cli import main
from edgernn_export.datasets import transliteration
from edgernn_export.training import Network, Recipe, SequenceMethod, Training
from edgernn_export.training.programs.decoders import build_translator
from edgernn_export.training.reports.written_words import looked_at

RECIPE = Recipe(
    name="transliterate",
    title="a Hindi word from its spelling in Latin letters",
    load=transliteration,
    network=Network(cell="GRU", units=208),
    training=Training(
        epochs=14,
        batch=128,
        learning_rate=2e-3,
        weight_decay=1e-3,
        input_noise=0.2,  # dropout
    ),
    build=partial(build_translator, attention=True, taught=False),
    method=SequenceMethod(width=3, taught=partial(build_translator, attention=True, taught=True)),
    report=looked_at,
)

if __name__ == "__main__":
    sys.exit(main(["train", __file__, *sys.argv[1:]]))
