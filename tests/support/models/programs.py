"""Random sets of programs: cells of many kinds, states and layers that are shared, handovers."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgernn.cells.linear_recurrence import LinearRecurrence
from edgernn.cells.min_gru import MinGRU
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import GateActivation, Layer
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.models.integer import random_layer, random_model
from tests.support.models.networks import random_scale

#: Units of every state that is handed over or shared.
UNITS = 6


def own_cell(kind: type[Layer], name: str, precision: Precision, seed: int) -> Layer:
    """A layer of a registered cell: the maps of a random GRU in its place."""
    rng = np.random.default_rng(seed)
    like = random_layer(rng, "gru_after", name, 3, UNITS, precision)
    base = {"name": name, "inputs": 3, "units": UNITS, "state_exponent": int(rng.integers(9, 15))}
    if kind is MinGRU:
        return MinGRU(**base, gate_activation=GateActivation.SIGMOID, z=like.n_x, n=like.n_x)
    return LinearRecurrence(**base, entry=like.n_x, decay=random_scale(rng, UNITS, bias=False))


def program(
    name: str, cell: str | Layer, precision: Precision, *, layer: str, seed: int, bits: int = 10,
    outputs: int = 2,
) -> IntegerModel:  # fmt: skip
    """A cell that is called ``layer``, and a Dense whose outputs have that many fraction bits."""
    kind = cell if isinstance(cell, str) else "gru_after"
    model = random_model(kind, precision, seed=seed, units=UNITS, outputs=outputs)
    first, out = model.layers
    if not isinstance(cell, str):
        first = cell
    return dataclasses.replace(
        model,
        name=name,
        layers=(dataclasses.replace(first, name=layer), dataclasses.replace(out, name="out")),
        output=dataclasses.replace(model.output, scale=np.full(outputs, 2.0**-bits)),
    )


def head_of(model: IntegerModel, name: str, seed: int, outputs: int = 3) -> IntegerModel:
    """A program with the cell of another one and outputs of its own."""
    rng = np.random.default_rng(seed)
    cell = model.layers[0]
    out = random_layer(rng, "dense", "head", UNITS, outputs, model.precision, first=False)
    names = tuple(f"{name}{i}" for i in range(outputs))
    output = dataclasses.replace(
        model.output, names=names, units=("",) * outputs, scale=np.full(outputs, 2.0**-9)
    )
    return dataclasses.replace(model, name=name, layers=(cell, out), output=output)


def pair(precision: Precision = Precision.W8A8, cell: str = "lstm") -> ProgramSet:
    """An encoder whose states a decoder begins with."""
    encode = program("encode", cell, precision, layer="enc", seed=1)
    decode = program("decode", cell, precision, layer="dec", seed=2)
    return ProgramSet(
        name="pair",
        programs=(encode, decode),
        handovers=tuple(
            Handover(program="decode", state=to.name, source="encode", value=left.name)
            for to, left in zip(decode.states, encode.states, strict=True)
        ),
    )


def shared(precision: Precision = Precision.W8A8, cell: str = "gru_after") -> ProgramSet:
    """Two heads of one cell: what one leaves, the other goes on from."""
    warm = program("warm", cell, precision, layer="cell", seed=3)
    return ProgramSet(name="shared", programs=(warm, head_of(warm, "forecast", seed=4)))


def random_programs(precision: Precision, seed: int) -> ProgramSet:
    """Four programs: an encoder, a decoder that it begins, one more head of that, and a context.

    The outputs of the context, and states in other formats, are handed over as well, by shifts of
    either sign. Programs of a set may have different precisions.
    """
    rng = np.random.default_rng(seed)
    other = Precision.W8A16 if precision is Precision.W8A8 else Precision.W8A8
    kinds = ("lstm", "gru_after", "gru_before", "simple_rnn", "simple_rnn_relu")
    first, second = (str(rng.choice(kinds)) for _ in range(2))
    third: Layer = own_cell((MinGRU, LinearRecurrence)[seed % 2], "own", precision, seed)
    encode = program("encode", first, precision, layer="enc", seed=seed)
    decode = program("decode", "lstm", precision, layer="dec", seed=seed + 1)
    refine = head_of(decode, "refine", seed + 2)
    context = program(
        "context", second, (precision, other)[seed % 2], layer="ctx", seed=seed + 3,
        outputs=UNITS, bits=int(rng.choice((-2, 7, 12, 15, 20))),
    )  # fmt: skip
    after = program("after", third, precision, layer="own", seed=seed + 4)
    return ProgramSet(
        name=f"random-{seed}",
        programs=(encode, decode, refine, context, after),
        handovers=(
            Handover(program="decode", state="dec.h", source="context", value="output"),
            Handover(
                program="decode", state="dec.c", source="encode",
                value=str(rng.choice([spec.name for spec in encode.states])),
            ),
            Handover(
                program="after", state="own.h", source=str(rng.choice(("decode", "refine"))),
                value=str(rng.choice(("dec.h", "dec.c"))),
            ),
            Handover(program="encode", state="enc.h", source="after", value="own.h"),
        ),
    )  # fmt: skip
