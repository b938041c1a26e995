"""Random integer networks with a memory: attention of both kinds, and a memory without a reader."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Final

import numpy as np

from edgernn.cells.memories.additive_attention import AdditiveAttention
from edgernn.cells.memories.attention import Attention
from edgernn.cells.memories.memory import RowMemory
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Layer
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.model.routes import MODEL_INPUT
from edgernn.model.scales import ScaleVector
from tests.support.models.integer import random_layer
from tests.support.models.networks import Wiring, random_scale, wired_model

#: Layers with a memory.
KINDS: Final = ("attention", "additive_attention", "memory")


def kept(width: int) -> ScaleVector:
    """Constants that change nothing."""
    return ScaleVector(
        multiplier=np.full(width, 1 << 14, np.int16), shift=14, bias=np.zeros(width, np.int16)
    )


def random_memory(
    rng: np.random.Generator,
    kind: str,
    name: str,
    *,
    rows: int,
    width: int,
    units: int,
    tied: bool = False,
    appends: bool = True,
    reach: int = 0,
) -> Layer:
    """A layer with a memory.

    Args:
        rng: source of the numbers.
        kind: of the layer.
        name: of the layer.
        rows: slots.
        width: elements of a key.
        units: elements of a value.
        tied: keys are the values.
        appends: a step appends a row, where it may be otherwise.
        reach: bits that scores are larger by.
    """
    given: dict[str, Any] = {
        "name": name, "units": units, "rows": rows, "width": width, "tied": tied,
        "key": kept(width) if tied else random_scale(rng, width),
        "value": random_scale(rng, units), "value_exponent": 12,
        "key_exponent": 12 if tied else 10,
    }  # fmt: skip
    row = units + (0 if tied else width)
    if kind == "memory":
        return RowMemory(inputs=row, **given)
    given |= {"inputs": width + row * appends, "appends": appends}
    if kind == "attention":
        # The query takes what is left of 30 bits; its offsets have a part of that.
        most = (32767 // width - 3) / 32768
        multiplier = rng.uniform(-0.9, 0.9, width) * most * 2.0**14
        offsets = rng.integers(-2, 3, width) * int(most * 32768 / 25)
        query = ScaleVector(
            multiplier=multiplier.astype(np.int16), shift=14, bias=offsets.astype(np.int16)
        )
        return Attention(query=query, score_shift=int(rng.integers(14, 17)) - reach, **given)
    largest = ((1 << 29) - 1) // (width << 15)
    weight = rng.integers(-largest, largest + 1, width).clip(-32767, 32767)
    weights = ScaleVector(
        multiplier=weight.astype(np.int16), shift=15 - reach, bias=np.zeros(width, np.int16)
    )
    return AdditiveAttention(query=random_scale(rng, width), weight=weights, **given)


def attention_network(
    kind: str,
    precision: Precision = Precision.W8A8,
    *,
    seed: int = 0,
    rows: int = 5,
    width: int = 6,
    units: int = 4,
    tied: bool = False,
    reach: int = 0,
) -> IntegerModel:
    """An LSTM, its state as query, key and value, a layer with a memory, and a Dense layer.

    Args:
        kind: of the layer.
        precision: of the model.
        seed: of its numbers.
        rows: slots.
        width: elements of a key.
        units: elements of a value; of a tied memory those of a key.
        tied: keys are the values.
        reach: bits that scores are larger by.
    """
    rng = np.random.default_rng(seed)
    w = Wiring(3)
    h = w.add(random_layer(rng, "lstm", "lstm", 3, 7, precision), w.part(MODEL_INPUT))

    def projected(name: str, size: int) -> int:
        return w.add(random_layer(rng, "dense", name, 7, size, precision, first=False), w.part(h))

    units = width if tied else units
    parts = [] if kind == "memory" else [w.part(projected("query", width))]
    parts += [w.part(projected("key", width))]
    parts += [] if tied else [w.part(projected("value", units))]
    layer = random_memory(
        rng, kind, "memory", rows=rows, width=width, units=units, tied=tied, reach=reach
    )
    c = w.add(layer, *parts)
    out = random_layer(rng, "dense", "out", units + 7, 2, precision, first=False)
    y = w.add(out, w.part(c), w.part(h))
    output = (w.part(y), w.part(c))
    return wired_model(w, precision, output, f"{kind}-{seed}", (), ())


@functools.cache
def attention_models() -> dict[str, IntegerModel]:
    """Networks of every kind: small, with many slots, wide, with keys that are values, hostile."""
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
        "pair": {"rows": 2, "width": 1, "units": 1},
        "many": {"rows": 64, "width": 5, "units": 3},
        "wide": {"rows": 4, "width": 40, "units": 33},
        "hostile": {"reach": 10},
        "tied": {"tied": True},
    }
    found = {}
    for index, kind in enumerate(KINDS):
        for number, (size, given) in enumerate(sizes.items()):
            if size == "tied" and kind == "additive_attention":
                continue
            precision = list(Precision)[(index + number) % 2]
            found[f"{kind}-{size}"] = attention_network(
                kind, precision, seed=10 * index + number, **given
            )
    return found


def attention_programs(kind: str, precision: Precision, *, seed: int = 0) -> ProgramSet:
    """An encoder that fills a memory, and a decoder that attends to what it hands over.

    Args:
        kind: of the decoder's layer.
        precision: of both.
        seed: of their numbers.
    """
    tied = kind == "attention" and bool(seed % 2)
    size: dict[str, Any] = {"rows": 5, "width": 6, "units": 6 if tied else 4, "tied": tied}
    encode = attention_network("memory", precision, seed=seed, **size)
    rng = np.random.default_rng(seed + 100)
    w = Wiring(3)
    h = w.add(random_layer(rng, "gru_after", "gru", 3, 7, precision), w.part(MODEL_INPUT))
    query = random_layer(rng, "dense", "query", 7, 6, precision, first=False)
    q = w.add(query, w.part(h))
    layer = random_memory(rng, kind, "reads", appends=False, reach=6, **size)
    c = w.add(layer, w.part(q))
    decode = wired_model(w, precision, (w.part(c), w.part(h)), "decode", (), ())
    encode = dataclasses.replace(encode, name="encode")
    filled = [spec.name for spec in encode.states if spec.name.startswith("memory.")]
    return ProgramSet(
        name=f"attends-{kind}-{seed}",
        programs=(encode, decode),
        handovers=tuple(
            Handover(program="decode", state=spec.name, source="encode", value=value)
            for spec, value in zip(layer.states, filled, strict=True)
        ),
    )
