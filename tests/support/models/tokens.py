"""Random integer models that read tokens: embeddings in a chain and in networks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from edgernn.model.formats import WEIGHT_MAX, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec, Port, Window
from edgernn.model.layers import Embedding
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT, RoutePart
from tests.support.models.integer import CELLS, random_layer, random_model
from tests.support.models.networks import random_merge


def random_embedding(
    rng: np.random.Generator, name: str, rows: int, columns: int, tokens: int = 1
) -> Embedding:
    """A table with both ends of int8 in it."""
    table = rng.integers(-WEIGHT_MAX, WEIGHT_MAX + 1, (rows, columns))
    table.flat[[0, -1]] = -WEIGHT_MAX, WEIGHT_MAX
    return Embedding(
        name=name, inputs=tokens, units=tokens * columns, output_scale=2.0**-13,
        table=table.astype(np.int8),
    )  # fmt: skip


def token_input(vocabulary: tuple[int, ...], ports: tuple[Port, ...] = ()) -> InputSpec:
    """Channels "x0", "x1" and so on; those without a vocabulary are real."""
    sizes = np.array(vocabulary)
    return InputSpec(
        names=tuple(f"x{i}" for i in range(len(vocabulary))),
        units=("",) * len(vocabulary),
        scale=np.where(sizes, 1.0, 0.03125),
        offset=np.where(sizes, 0.0, 0.25),
        ports=ports,
        vocabulary=vocabulary,
    )


def token_chain(
    precision: Precision = Precision.W8A8,
    *,
    cell: str = "gru_after",
    rows: int = 50,
    columns: int = 8,
    units: int = 8,
    tokens: int = 1,
    seed: int = 0,
    window: Window | None = None,
) -> IntegerModel:
    """An embedding, a recurrent layer, a Dense layer."""
    rng = np.random.default_rng(seed)
    width = tokens * columns
    layers = (
        random_embedding(rng, "words", rows, columns, tokens),
        random_layer(rng, cell, cell, width, units, precision, first=False),
        random_layer(rng, "dense", "out", units, 2, precision, first=False),
    )
    frame = random_model(cell, precision, seed=seed)
    return replace(
        frame, name=f"tokens-{cell}", layers=layers, input=token_input((rows,) * tokens),
        window=window,
    )  # fmt: skip


def token_and_real_network(precision: Precision = Precision.W8A8, *, seed: int = 0) -> IntegerModel:
    """Inputs "a" of two reals and a token, "b" of a real and two tokens; embeddings of both."""
    rng = np.random.default_rng(seed)

    def part(source: int, start: int, width: int) -> RoutePart:
        return RoutePart(source=source, start=start, width=width)

    layers = (
        random_embedding(rng, "words", 300, 5),
        random_embedding(rng, "marks", 7, 3, 2),
        random_layer(rng, "lstm", "lstm", 8, 6, precision),
        random_merge(rng, "sum", MergeOperation.SUM, 2, 3),
        random_layer(rng, "gru_after", "gru", 10, 5, precision),
        random_layer(rng, "dense", "out", 11, 2, precision, first=False),
    )
    routes = (
        (part(MODEL_INPUT, 2, 1),),
        (part(MODEL_INPUT, 4, 2),),
        (part(MODEL_INPUT, 0, 2), part(0, 0, 5), part(MODEL_INPUT, 3, 1)),
        (part(MODEL_INPUT, 0, 2), part(0, 4, 1), part(1, 1, 3)),
        (part(1, 0, 6), part(3, 0, 3), part(MODEL_INPUT, 1, 1)),
        (part(2, 0, 6), part(4, 0, 5)),
        (part(5, 0, 2),),
    )
    frame = random_model("lstm", precision, seed=seed)
    ports = (Port(name="a", width=3), Port(name="b", width=3))
    return replace(
        frame, name="tokens-and-reals", layers=layers, routes=routes,
        input=token_input((0, 0, 300, 0, 7, 5), ports=ports),
    )  # fmt: skip


def token_models() -> dict[str, IntegerModel]:
    """A grid of models with tokens: both precisions, all cells, a network, windows."""
    made = {}
    for precision, cell in product(Precision, CELLS):
        made[f"{cell}-{precision.value}"] = token_chain(precision, cell=cell, seed=len(made))
    for precision in Precision:
        made[f"two-tokens-{precision.value}"] = token_chain(precision, tokens=2, columns=3, seed=3)
        made[f"network-{precision.value}"] = token_and_real_network(precision)
        made[f"large-{precision.value}"] = token_chain(precision, rows=32_768, columns=2, units=3)
        window = token_chain(precision, cell="lstm", window=Window(steps=5, hop=2))
        made[f"window-{precision.value}"] = window
    return made
