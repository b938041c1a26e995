"""Random integer models that score the next token, and what they score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import edgernn
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from tests.exactness.twin import decoding as twin
from tests.support.models.integer import random_layer, random_model
from tests.support.models.tokens import random_embedding, token_input


def writer_of_text(
    precision: Precision = Precision.W8A8,
    *,
    cell: str = "gru_after",
    tokens: int = 13,
    units: int = 8,
    scale: float = 2.0**-12,
    layer: str = "cell",
    scales_apart: bool = False,
    seed: int = 0,
) -> IntegerModel:
    """An embedding, a recurrent layer and a Dense with one score for each token."""
    rng = np.random.default_rng(seed)
    layers = (
        random_embedding(rng, "letters", tokens, 5),
        random_layer(rng, cell, layer, 5, units, precision, first=False),
        random_layer(rng, "dense", "next", units, tokens, precision, first=False),
    )
    frame = random_model(cell, precision, seed=seed, outputs=tokens)
    scales = scale * (rng.uniform(0.2, 1.0, tokens) if scales_apart else np.ones(tokens))
    output = replace(frame.output, scale=scales, softmax=True)
    return replace(frame, name="writer", layers=layers, input=token_input((tokens,)), output=output)


def translator(seed: int = 0) -> ProgramSet:
    """An encoder and a decoder of tokens, which begins where the encoder ended."""
    return ProgramSet(
        name="pair",
        programs=(
            replace(writer_of_text(seed=seed, tokens=7), name="encode"),
            replace(writer_of_text(seed=seed + 1, tokens=9, layer="writes"), name="decode"),
        ),
        handovers=(
            Handover(program="decode", state="writes.h", source="encode", value="cell.h"),
        ),
    )  # fmt: skip


def scores_of(model: IntegerModel):
    """Scores of the token after a row of tokens, by the reference, from the zero state."""
    session = edgernn.load(model, "reference")

    def scores(row):
        session.reset()
        codes = session.run_codes([[token] for token in row])[-1].tolist()
        return twin.scores(codes, model.output.scale.tolist())

    return scores
