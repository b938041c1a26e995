"""Random integer networks of which a step takes several readings: strides, pooling, tokens."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from edgernn.cells.dense_rows import DenseRows
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec, Port, Rate, Window
from edgernn.model.layers import Dense, DenseActivation
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT, RoutePart
from tests.support.models.convolutions import add_delay
from tests.support.models.integer import random_layer, random_model
from tests.support.models.networks import Wiring, random_merge, wired_model
from tests.support.models.tokens import random_embedding, token_input

INPUTS = 3
FILTERS = 4
#: A stride without warm-up, with a first answer at once; a window's valid convolution; readings
#: that are put off; a first answer in the middle of a step.
RATES = (
    Rate(readings=2, first=1, start=(-40, 8, 100)),
    Rate(readings=3, first=3),
    Rate(readings=2, first=7, latency=1),
    Rate(readings=1, first=4, start=(4, -8, 12)),
    Rate(readings=4, first=6, start=(400 // 16 * 4, 0, -44)),
)


def part_rows(width: int, *rows: int) -> tuple[RoutePart, ...]:
    """Rows of the model's input, a step of which has several."""
    return tuple(RoutePart(source=MODEL_INPUT, start=row * width, width=width) for row in rows)


def strided_network(
    precision: Precision, rate: Rate, *, seed: int = 0, cell: str | None = "lstm", ports: Any = ()
) -> IntegerModel:
    """A Conv1D, pooling of its outputs in a step, a Conv1D, a cell, a Dense layer.

    The first convolution is computed at every reading, from it and the one before; the second reads
    two steps. The head reads the rows of the step as well, pooled, and its last one.
    """
    rng = np.random.default_rng(seed)
    count = rate.readings
    w = Wiring(count * INPUTS)
    width = count * INPUTS
    codes = np.tile(np.array(rate.start or (0,) * INPUTS), count)
    blocks = add_delay(w, "blocks", 2, codes, w.part(MODEL_INPUT))
    tap = random_layer(
        rng, "dense", "conv", 2 * INPUTS, FILTERS, precision, activation=DenseActivation.TANH
    )
    older = w.part(blocks, slice(2 * width - INPUTS, 2 * width))
    rows = [w.part(blocks, slice(r * INPUTS, (r + 1) * INPUTS)) for r in range(count)]
    pairs = [part for pair in pairwise([older, *rows]) for part in pair]
    a = w.add(tap if count == 1 else of_rows(tap, count), *pairs)
    if count > 1:
        largest = random_merge(rng, "largest", MergeOperation.MAXIMUM, count, FILTERS)
        a = w.add(largest, w.part(a))
    held = add_delay(w, "held", 3, rng.integers(-9000, 9000, FILTERS), w.part(a))
    end, end_width = w.part(held, slice(2 * FILTERS, 3 * FILTERS)), FILTERS
    if cell is not None:
        recurrent = random_layer(rng, cell, "cell", FILTERS, 5, precision, first=False)
        end, end_width = w.part(w.add(recurrent, end)), 5
    reads = [end]
    if count > 1:
        pool = random_merge(rng, "pool", MergeOperation.MAXIMUM, count, INPUTS)
        reads.append(w.part(w.add(pool, *part_rows(INPUTS, *range(count)))))
    reads += part_rows(INPUTS, count - 1)
    wide = end_width + sum(part.width for part in reads[1:])
    y = w.add(random_layer(rng, "dense", "head", wide, 2, precision, first=False), *reads)
    name = f"strided-{count}-{rate.first}-{cell}-{precision.value}"
    model = wired_model(w, precision, (w.part(y),), name, (), ())
    return of_readings(model, rate, ports)


def of_rows(dense: Dense, rows: int) -> DenseRows:
    """The same layer of several rows."""
    return DenseRows(
        name=dense.name, inputs=rows * dense.inputs, units=rows * dense.units, rows=rows,
        activation=dense.activation, output_scale=dense.output_scale, out=dense.out,
    )  # fmt: skip


def of_readings(model: IntegerModel, rate: Rate, ports: Any = ()) -> IntegerModel:
    """A network over the codes of a step as a model that has this rate."""
    width = model.input.width // rate.readings
    channels = InputSpec(
        names=tuple(f"x{i}" for i in range(width)),
        units=("",) * width,
        scale=np.full(width, 0.03125),
        offset=np.linspace(-1, 1, width),
        ports=tuple(Port(name=n, width=w) for n, w in ports),
    )
    return replace(model, input=channels, rate=rate)


def strided_tokens(precision: Precision, rate: Rate) -> IntegerModel:
    """Every reading is a word and a number; all words of a step are looked up in one table."""
    rng = np.random.default_rng(9)
    count = rate.readings
    w = Wiring(2 * count)
    words = random_embedding(rng, "words", 20, 2, count)
    a = w.add(words, *(w.part(MODEL_INPUT, slice(2 * r, 2 * r + 1)) for r in range(count)))
    numbers = [w.part(MODEL_INPUT, slice(2 * r + 1, 2 * r + 2)) for r in range(count)]
    gru = random_layer(rng, "gru_after", "gru", 3 * count, 6, precision)
    b = w.add(gru, w.part(a), *numbers)
    y = w.add(random_layer(rng, "dense", "head", 6, 2, precision, first=False), w.part(b))
    frame = random_model("lstm", precision)
    return replace(
        frame, name=f"strided-tokens-{precision.value}", layers=tuple(w.layers),
        routes=(*w.routes, (w.part(y),)), input=token_input((20, 0)), rate=rate,
    )  # fmt: skip


def strided_chain(precision: Precision, rate: Rate) -> IntegerModel:
    """A GRU over all rows of a step: a chain, but for its rate."""
    model = random_model("gru_before", precision, inputs=INPUTS * rate.readings, units=6)
    frame = random_model("gru_before", precision, inputs=INPUTS).input
    return replace(model, input=frame, rate=rate, name=f"strided-chain-{precision.value}")


def strided_models() -> dict[str, IntegerModel]:
    """A grid of models with rates: both precisions, with a cell and without, ports, tokens."""
    made = []
    for precision in Precision:
        for seed, rate in enumerate(RATES):
            cell = ("lstm", "gru_after", "gru_before", "simple_rnn_relu", None)[seed]
            made.append(strided_network(precision, rate, seed=seed, cell=cell))
        ported = strided_network(precision, RATES[0], ports=(("b", 2), ("a", 1)))
        made.append(replace(ported, name=f"{ported.name}-ports"))
        made.append(strided_tokens(precision, Rate(readings=3, first=5, start=(17, -44))))
        made.append(strided_chain(precision, Rate(readings=2, first=2)))
    return {model.name: model for model in made}


def windowed(model: IntegerModel) -> dict[str, IntegerModel]:
    """The model as one of windows: long ones with a hop, and one as short as can be."""
    assert model.rate is not None
    windows = Window(steps=2 * model.rate.first + 9, hop=3), Window(steps=model.rate.first)
    return {f"{model.name}-{w.steps}": replace(model, window=w) for w in windows}
