"""Which Hindi word was spelled in Latin letters? An encoder, and a decoder that attends to it.

    python export/recipes/transliterate.py --seed 0 -o build/transliterate
    edgernn train transliterate --to c,tflite,onnx

Both train the network below, quantize its two programs and write their files; --help lists the
options. A picture shows which letters the decoder looks at.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

import edgernn
from edgernn.cli import main
from edgernn.cli.style import table
from edgernn_export import attention_shares, draw_shares
from edgernn_export.datasets import transliteration
from edgernn_export.datasets.text.dakshina import LETTERS
from edgernn_export.training import Network, Recipe, SequenceMethod, Training
from edgernn_export.training.pipeline import Produced, Report
from edgernn_export.training.programs.decoders import build_translator
from edgernn_export.training.programs.teaching import read_before
from edgernn_export.training.programs.written_rows import integer_rows

#: Words of the validation part that are shown; the letters of the longest spelling are drawn.
SHOWN = 8


def looked_at(produced: Produced) -> Report:
    """Words that the integer programs write, and a heat map of what the decoder looks at."""
    data, programs = produced.data, list(produced.models.values())[-1]
    part = data.validation
    every = max(1, len(part.x) // SHOWN)
    chosen = replace(
        part, x=part.x[::every][:SHOWN], target=part.target[::every][:SHOWN],
        lengths=part.steps[::every][:SHOWN],
    )  # fmt: skip
    rows = integer_rows(programs, chosen, width=3, max_tokens=part.target.shape[1])
    characters = json.loads(data.files["transliterate_symbols.json"])["characters"]

    def word(tokens: Sequence[float]) -> str:
        return "".join(characters[int(token)] for token in tokens)

    shown = []
    for x, steps, row, truth in zip(chosen.x, chosen.steps, rows, chosen.target, strict=True):
        spelling = "".join(LETTERS[int(token) - 1] for token in x[:steps, 0])
        shown.append({"spelling": spelling, "written": word(row), "meant": word(truth[:, 0])})
    longest = int(chosen.steps.argmax())
    with edgernn.load_programs(programs, "reference") as session:
        session.run("encode", chosen.x[longest, : chosen.steps[longest]])
        session.begin("decode")
        read = read_before(np.array([*rows[longest], 0]))[:, None].astype(float)
        shares = attention_shares(programs["decode"], read, session.state)["looks"]
    path = produced.order.out / "transliterate_shares.png"
    draw_shares(
        shares[:, : chosen.steps[longest]], path,
        f"What the decoder looks at in '{shown[longest]['spelling']}' (last letter at the bottom)",
    )  # fmt: skip
    text = "\n".join(
        table(["spelling", "written", "meant"], [tuple(one.values()) for one in shown])
    )
    return Report(text=text, record={"words": shown}, files={"picture": path})


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
