"""A walk over programs that share states: which one begins, which one steps, with which codes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session.program_session import ProgramSession
from edgernn_export.writers.file_formats import probe_codes

#: One move in so many of a program that has begun is another beginning.
_BEGINNINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """Beginnings and steps of all programs of a set, in an order that they allow.

    Attributes:
        programs: names, in the order of the set.
        moves: int64 [N, 2]: number of the program, and 1 where it begins, 0 where it steps.
        codes: operand codes [T, I] of all steps of a program, by its name.
    """

    programs: tuple[str, ...]
    moves: npt.NDArray[np.int64]
    codes: dict[str, OperandArray]

    @property
    def steps(self) -> dict[str, int]:
        """How many steps each program takes."""
        return {name: len(codes) for name, codes in self.codes.items()}

    @property
    def beginnings(self) -> int:
        """How often a program begins."""
        return int(np.count_nonzero(self.moves[:, 1]))

    def save(self, path: Path) -> None:
        """Write the walk as an .npz file."""
        names = np.array(self.programs)
        np.savez(path, programs=names, moves=self.moves, **self.codes)

    @staticmethod
    def load(path: Path) -> Walk:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(map(str, arrays["programs"]))
            codes = {name: arrays[name] for name in names}
            return Walk(programs=names, moves=arrays["moves"], codes=codes)


def random_walk(programs: ProgramSet, steps: int, seed: int) -> Walk:
    """A pseudo-random walk, the same for the same seed for every NumPy version.

    Args:
        programs: the set.
        steps: of all programs together, each of which takes one at least.
        seed: of the order and of the codes.

    Raises:
        EdgeRnnError: fewer steps than programs.
    """
    names = programs.names
    if steps < len(names):
        raise EdgeRnnError(f"verify: expected at least {len(names)} steps, got {steps}.")
    words = iter(np.random.PCG64(seed).random_raw(16 * steps + 16 * len(names) ** 2).tolist())
    needs = {
        name: {
            handover.source
            for handover in programs.handovers_to(name)
            if programs.output_slice(handover) is not None
        }
        for name in names
    }
    begun = {name for name in names if not programs.handovers_to(name)}
    answered: set[str] = set()
    moves: list[tuple[int, int]] = []
    todo = list(names)  # first those that have not stepped, so that all of them do
    taken = 0
    while taken < steps:
        able = [name for name in names if name in begun or needs[name] <= answered]
        able = [name for name in able if name in todo] or able
        word = next(words)
        name = able[word % len(able)]
        begins = name not in begun or (
            needs[name] <= answered and word // 1024 % _BEGINNINGS == 0 and not todo
        )
        moves.append((names.index(name), int(begins)))
        if begins:
            begun.add(name)
            answered.discard(name)
        else:
            taken += 1
            answered.add(name)
            todo = [other for other in todo if other != name]
    order = np.array(moves, dtype=np.int64)
    counts = np.bincount(order[order[:, 1] == 0, 0], minlength=len(names)).tolist()
    codes = {
        name: probe_codes(programs[name], count, seed + index)
        for index, (name, count) in enumerate(zip(names, counts, strict=True))
    }
    return Walk(programs=names, moves=order, codes=codes)


def walked(session: ProgramSession, walk: Walk) -> tuple[Int16Array, Int16Array, float]:
    """Take a walk.

    Args:
        session: over the programs, at its beginning.
        walk: what to do.

    Returns:
        The outputs of all steps and all states after every move, one behind another, int16 [M] and
        [S], and the median microseconds of a step.
    """
    left = {name: iter(codes) for name, codes in walk.codes.items()}
    q_ys: list[Int16Array] = []
    q_states: list[Int16Array] = []
    elapsed_ns: list[int] = []
    for program, begins in walk.moves.tolist():
        name = walk.programs[program]
        if begins:
            session.begin(name)
        else:
            q_x = next(left[name])
            start = time.perf_counter_ns()
            q_y = session.step_codes(name, q_x)
            elapsed_ns.append(time.perf_counter_ns() - start)
            q_ys.append(q_y)
        q_states += session.state.values()
    return np.concatenate(q_ys), np.concatenate(q_states), float(np.median(elapsed_ns)) / 1000
