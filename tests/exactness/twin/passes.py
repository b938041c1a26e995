"""The scalar twin of passes over a chunk: clause 6.11 in plain Python integers."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.model.program_sets.program_set import ProgramSet
from tests.exactness.twin.cells import Twin, Vector
from tests.exactness.twin.scalar import R, sat8


def operand(v: int, wide: bool) -> int:
    """Clause 2.7."""
    return 4 * R(v, 3) if wide else sat8(R(v, 8))


def chunk_answer(programs: ProgramSet, q_xs: Sequence[Sequence[int]]) -> list[list[Vector]]:
    """Outputs [T][O] of every pass over a chunk of codes, in the order of the steps."""
    outputs: dict[str, list[Vector]] = {}
    lasts: dict[str, Vector] = {}
    plan = programs.chunk
    assert plan is not None
    steps = len(q_xs)
    for one, model in zip(plan.passes, programs.programs, strict=True):
        twin = Twin(model)
        state = twin.initial_state()
        wide = model.precision.value == "w8a16"
        order = list(range(steps))
        if one.direction.value == "backward":
            order.reverse()
        made: dict[int, Vector] = {}
        for t in order:
            x: list[int] = []
            for read in one.reads:
                if read.source == "input":
                    x += list(q_xs[t])
                    continue
                source = next(m for m in programs.programs if m.name == read.source)
                first, width = 0, source.output.width
                for port in source.output.ports:
                    width = port.width
                    if port.name == read.value:
                        break
                    first += port.width
                values = lasts[read.source] if read.last else outputs[read.source][t]
                x += [operand(v, wide) for v in values[first : first + width]]
            made[t], state = twin.step(x, state)
        outputs[model.name] = [made[t] for t in range(steps)]
        lasts[model.name] = made[order[-1]]
    return [outputs[model.name] for model in programs.programs]
