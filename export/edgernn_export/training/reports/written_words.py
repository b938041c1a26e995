"""Report of the recipes that transliterate: words that the integers write, what they look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgernn.cli.style import table
from edgernn.session.loading import load_programs
from edgernn_export.attention.shares import attention_shares, draw_shares
from edgernn_export.datasets import Part
from edgernn_export.datasets.text.dakshina import LETTERS
from edgernn_export.training.pipeline import Produced, Report
from edgernn_export.training.programs.teaching import read_before
from edgernn_export.training.programs.written_rows import (
    DECODER,
    ENCODER,
    TokenRow,
    integer_rows,
)

#: Words of the validation part that are shown; the letters of the longest spelling are drawn.
SHOWN: Final = 8
#: The layer that attends.
LOOKS: Final = "looks"


def written_words(produced: Produced) -> Report:
    """Words that the integer programs write, of the recipe transliterate_plain.

    Args:
        produced: of `transliteration`.
    """
    report, _, _ = _written(produced)
    return report


def looked_at(produced: Produced) -> Report:
    """The same, and a heat map of what the decoder looks at, of the recipe transliterate.

    Args:
        produced: of `transliteration`, by a decoder that attends.
    """
    report, chosen, rows = _written(produced)
    programs = list(produced.models.values())[-1]
    longest = int(chosen.steps.argmax())
    steps = chosen.steps[longest]
    with load_programs(programs, "reference") as session:
        session.run(ENCODER, chosen.x[longest, :steps])
        session.begin(DECODER)
        read = read_before(np.array([*rows[longest], 0]))[:, None].astype(float)
        shares = attention_shares(programs[DECODER], read, session.state)[LOOKS]
    path = produced.order.out / f"{produced.recipe.name}_shares.png"
    spelling = report.record["words"][longest]["spelling"]
    draw_shares(
        shares[:, :steps], path,
        f"What the decoder looks at in '{spelling}' (last letter at the bottom)",
    )  # fmt: skip
    return replace(report, files={"picture": path})


def _written(produced: Produced) -> tuple[Report, Part, list[TokenRow]]:
    """A table of words, the rows of the validation part that it shows, and what was written."""
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
    lines = table(["spelling", "written", "meant"], [tuple(one.values()) for one in shown])
    return Report(text="\n".join(lines), record={"words": shown}), chosen, rows
