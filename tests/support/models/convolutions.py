"""Random integer networks with causal convolutions: rows of delays under matrices and in sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Delay, DenseActivation
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT, RoutePart
from tests.support.models.integer import REACH, random_layer, sparse_model
from tests.support.models.networks import Wiring, random_merge, wired_model


def add_delay(w: Wiring, name: str, rows: int, start: Any, *parts: RoutePart) -> int:
    """A delay of parts of the input, or of layers; ``start`` is one row or the same number."""
    width = sum(part.width for part in parts)
    delay = Delay(
        name=name, inputs=width, units=rows * width,
        codes=parts[0].source == MODEL_INPUT,
        start=np.broadcast_to(np.asarray(start, np.int16), (width,)),
    )  # fmt: skip
    return w.add(delay, *parts)


def taps(w: Wiring, delay: int, count: int, dilation: int) -> tuple[RoutePart, ...]:
    """Every so many rows of a delay, the newest first; without gaps they are one part."""
    width = w.layers[delay].inputs
    if dilation == 1:
        return (w.part(delay, slice(0, count * width)),)
    starts = [tap * dilation * width for tap in range(count)]
    return tuple(w.part(delay, slice(start, start + width)) for start in starts)


def random_convolutions(
    precision: Precision,
    *,
    seed: int,
    kind: str = "tame",
    inputs: int = 3,
    filters: int = 5,
    dilation: int = 2,
    cell: str | None = "gru_after",
) -> IntegerModel:
    """Conv1D, depthwise and dilated Conv1D, a maximum over rows, a recurrent layer, a Dense layer.

    The first rows stand for what is no zero: input codes with an offset, values of a layer.
    """
    rng = np.random.default_rng(seed)
    w = Wiring(inputs)
    step = precision.input_step
    codes = step * rng.integers(-100, 100, inputs)
    first = add_delay(w, "first", 3, codes, w.part(MODEL_INPUT))
    conv = random_layer(
        rng, "dense", "conv", 3 * inputs, filters, precision, reach=REACH[kind],
        activation=DenseActivation.TANH,
    )  # fmt: skip
    a = w.add(conv, *taps(w, first, 3, 1))
    second = add_delay(w, "second", 2 * dilation + 1, 0, w.part(a))
    sums = random_merge(rng, "depthwise", MergeOperation.SUM, 3, filters)
    b = w.add(sums, *taps(w, second, 3, dilation))
    third = add_delay(
        w, "third", dilation + 1, rng.integers(-30000, 30000, filters + 2), w.part(b),
        w.part(a, slice(1, 3)),
    )  # fmt: skip
    wide = 2 * (filters + 2)
    dilated = random_layer(
        rng, "dense", "dilated", wide + inputs, filters, precision, reach=REACH[kind],
        activation=DenseActivation.RELU,
    )  # fmt: skip
    # The dilated convolution reads an old row of the input as well.
    c = w.add(dilated, *taps(w, third, 2, dilation), w.part(first, slice(inputs, 2 * inputs)))
    largest = random_merge(rng, "largest", MergeOperation.MAXIMUM, 2, inputs)
    d = w.add(largest, w.part(first, slice(0, inputs)), w.part(first, slice(inputs, 2 * inputs)))
    end = w.part(c)
    width = filters
    if cell is not None:
        width = 6
        recurrent = random_layer(
            rng, cell, "cell", filters, width, precision, first=False, reach=REACH[kind]
        )
        end = w.part(w.add(recurrent, end))
    head = random_layer(rng, "dense", "head", width + inputs, 2, precision, first=False)
    y = w.add(head, end, w.part(d))
    return wired_model(
        w, precision, (w.part(y), w.part(b, slice(0, 2))), f"convolutions-{seed}-{kind}", (), ()
    )


def convolution_chain(
    precision: Precision, *, seed: int = 0, rows: int = 4, inputs: int = 2, units: int = 5
) -> IntegerModel:
    """A Conv1D as a chain: a delay of the input, a Dense layer over all of its rows; a GRU."""
    rng = np.random.default_rng(seed)
    w = Wiring(inputs)
    delay = add_delay(w, "rows", rows, 4 * rng.integers(-20, 20, inputs), w.part(MODEL_INPUT))
    conv = random_layer(rng, "dense", "conv", rows * inputs, units, precision)
    a = w.add(conv, w.part(delay))
    b = w.add(random_layer(rng, "gru_before", "gru", units, 4, precision, first=False), w.part(a))
    y = w.add(random_layer(rng, "dense", "head", 4, 2, precision, first=False), w.part(b))
    return wired_model(w, precision, (w.part(y),), "convolution-chain", (), ())


def convolutions() -> dict[str, IntegerModel]:
    """A grid of networks with convolutions: both precisions, dilations of 1 to 3, with a cell and
    without one, tame and hostile, dense and sparse.
    """
    made: dict[str, IntegerModel] = {}
    for precision in Precision:
        chain = convolution_chain(precision)
        made[f"{chain.name}-{precision.value}"] = chain
        for dilation, kind, cell in (
            (1, "tame", "gru_after"), (2, "hostile", "lstm"), (3, "tame", None),
        ):  # fmt: skip
            model = random_convolutions(
                precision, seed=dilation, kind=kind, dilation=dilation, cell=cell
            )
            made[f"{model.name}-{precision.value}"] = replace(model, name=model.name)
        made[f"sparse-{precision.value}"] = sparse_convolutions(precision)
    return made


def sparse_convolutions(precision: Precision) -> IntegerModel:
    """Convolutions with whole tiles of zeros in all matrices, which are stored so."""
    return sparse_model(random_convolutions(precision, seed=4, filters=9), 0.5)
