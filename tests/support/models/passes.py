"""Random sets of passes: cells of many kinds, sequences and last outputs, both directions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from edgernn.model.formats import Int16Array, OperandArray, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec, Port
from edgernn.model.program_sets.passes import (
    CHUNK_INPUT,
    ChunkPlan,
    Pass,
    PassDirection,
    Read,
    read_scale,
)
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.models.integer import random_codes, random_model

F, B = PassDirection.FORWARD, PassDirection.BACKWARD
#: Channels of the readings.
READINGS = 3


def passing(
    name: str,
    cell: str,
    precision: Precision,
    seed: int,
    given: Sequence[tuple[IntegerModel, Read]],
) -> tuple[IntegerModel, Pass]:
    """A cell and a Dense that read readings or earlier outputs; even seeds go forward."""
    width = sum(READINGS if r.source == CHUNK_INPUT else m.output.width for m, r in given)
    model = random_model(cell, precision, seed=seed, inputs=width, units=4, outputs=2)
    first, out = model.layers
    names, scales, offsets = [], [], []
    for source, read in given:
        if read.source == CHUNK_INPUT:
            names += [f"x{i}" for i in range(READINGS)]
            scales.append(np.full(READINGS, 0.25))
            offsets.append(np.arange(READINGS, dtype=np.float64))
        else:
            names += [f"{source.name}_{i}" for i in range(source.output.width)]
            scales.append(read_scale(source.output.scale, precision))
            offsets.append(np.zeros(source.output.width))
    spec = InputSpec(
        names=tuple(names),
        units=("",) * width,
        scale=np.concatenate(scales),
        offset=np.concatenate(offsets),
    )
    layers = (
        dataclasses.replace(first, name=f"{name}_cell"),
        dataclasses.replace(out, name=f"{name}_out"),
    )
    made = dataclasses.replace(model, name=name, layers=layers, input=spec)
    return made, Pass(
        program=name, direction=(F, B)[seed % 2], reads=tuple(read for _, read in given)
    )


def random_passes(
    precision: Precision, seed: int, cells: Sequence[str] = ("lstm", "gru_after", "simple_rnn"),
    *, sequence: bool = False, max_steps: int = 9,
) -> ProgramSet:  # fmt: skip
    """Three passes: forward, backward over readings and the first one, forward over both."""
    rng = np.random.default_rng(seed)
    kinds = [str(rng.choice(cells)) for _ in range(3)]
    base = 100 * seed
    readings = Read(source=CHUNK_INPUT)
    one, first = passing("one", kinds[0], precision, base, [(None, readings)])  # type: ignore[list-item]
    two, second = passing(
        "two", kinds[1], precision, base + 1,
        [(one, readings), (one, Read(source="one", value="output", last=True))],
    )  # fmt: skip
    three, third = passing(
        "three", kinds[2], precision, base + 2,
        [(one, Read(source="one", value="output")), (two, Read(source="two", value="output"))],
    )  # fmt: skip
    return ProgramSet(
        name=f"passes-{seed}",
        programs=(one, two, three),
        chunk=ChunkPlan(passes=(first, second, third), max_steps=max_steps, sequence=sequence),
    )


def with_ports(programs: ProgramSet) -> ProgramSet:
    """The first program puts out two values, of which the third pass reads one, the second both."""
    one, two, three = programs.programs
    ports = (Port(name="left", width=1), Port(name="right", width=1))
    one = dataclasses.replace(one, output=dataclasses.replace(one.output, ports=ports))
    assert programs.chunk is not None
    first, second, third = programs.chunk.passes
    reads = (Read(source="one", value="right"), Read(source="one", value="left"))
    third = dataclasses.replace(third, reads=(*reads, *third.reads[1:]))
    second = dataclasses.replace(
        second,
        reads=(second.reads[0], *(dataclasses.replace(r, last=True) for r in reads[::-1])),
    )
    scale = three.input.scale.copy()
    scale[:2] = scale[:2][::-1]
    three = dataclasses.replace(three, input=dataclasses.replace(three.input, scale=scale))
    chunk = dataclasses.replace(programs.chunk, passes=(first, second, third))
    return dataclasses.replace(programs, programs=(one, two, three), chunk=chunk)


def chunk_codes(programs: ProgramSet, steps: int, seed: int) -> OperandArray:
    """Random codes [T, I] of readings."""
    codes: OperandArray = random_codes(programs.programs[0], steps, seed=seed)
    return codes


def as_lists(values: dict[str, Int16Array]) -> list[list[list[int]]]:
    """Outputs of passes as plain integers."""
    return [one.tolist() for one in values.values()]
