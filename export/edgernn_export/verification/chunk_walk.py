"""Chunks of codes through all passes of a set, as `verify` runs them on every runtime."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgernn.model.formats import FloatArray, Int16Array, OperandArray
from edgernn.model.program_sets.passes import ChunkPlan
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session.chunk_session import ChunkSession
from edgernn_export.writers.file_formats import probe_codes

#: Random chunks are no longer than this, unless the network takes longer ones alone.
_LONGEST = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunks:
    """Chunks to answer.

    Attributes:
        programs: names of the programs.
        codes: operand codes [T, I] of each chunk.
    """

    programs: tuple[str, ...]
    codes: tuple[OperandArray, ...]

    @property
    def steps(self) -> dict[str, int]:
        """How many steps each program takes."""
        return dict.fromkeys(self.programs, sum(map(len, self.codes)))

    @property
    def beginnings(self) -> int:
        """How often a program begins."""
        return len(self.programs) * len(self.codes)

    def save(self, path: Path) -> None:
        """Write the chunks as an .npz file."""
        names = np.array(self.programs)
        lengths = np.array([len(codes) for codes in self.codes])
        np.savez(path, programs=names, lengths=lengths, codes=np.concatenate(self.codes))

    @staticmethod
    def load(path: Path) -> Chunks:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            ends = np.cumsum(arrays["lengths"])[:-1]
            return Chunks(
                programs=tuple(map(str, arrays["programs"])),
                codes=tuple(np.split(arrays["codes"], ends)),
            )


def random_chunks(programs: ProgramSet, steps: int, seed: int) -> Chunks:
    """Pseudo-random chunks of different lengths, the same for the same seed.

    Args:
        programs: a set with passes.
        steps: of all chunks together, at least; the last chunk is not cut.
        seed: of lengths and codes.
    """
    plan = programs.chunk
    assert plan is not None
    words = np.random.PCG64(seed)
    longest = max(plan.min_steps, min(plan.max_steps, _LONGEST))
    codes: list[OperandArray] = []
    while sum(map(len, codes)) < max(steps, 1):
        length = plan.min_steps + words.random_raw() % (longest - plan.min_steps + 1)
        codes.append(probe_codes(programs.programs[0], int(length), seed + len(codes)))
    return Chunks(programs=programs.names, codes=tuple(codes))


def chunks_of(programs: ProgramSet, streams: list[FloatArray], steps: int | None) -> Chunks:
    """Recorded streams, cut into chunks.

    Args:
        programs: a set with passes.
        streams: readings [T, I] each, finite.
        steps: of all chunks together, at most; None for all.
    """
    plan = programs.chunk
    assert plan is not None
    interface = programs.interfaces().whole()
    left, codes = steps, []
    for stream in streams:
        for chunk in cut(plan, stream if left is None else stream[:left]):
            codes.append(interface.quantize(chunk))
            left = None if left is None else left - len(chunk)
    return Chunks(programs=programs.names, codes=tuple(codes))


def cut(plan: ChunkPlan, stream: FloatArray) -> list[FloatArray]:
    """A stream [T, I] as chunks, as long as they may be; a rest that is too short is left out."""
    parts = [stream[t : t + plan.max_steps] for t in range(0, len(stream), plan.max_steps)]
    return [part for part in parts if len(part) >= plan.min_steps]


def answered(session: ChunkSession, chunks: Chunks) -> tuple[Int16Array, Int16Array, float]:
    """Answer chunks.

    Args:
        session: over the passes.
        chunks: what to answer.

    Returns:
        The outputs of every step of every pass, one behind another, int16 [M]; no states, int16
        [0]; and the median microseconds of a step of all passes.
    """
    q_ys: list[Int16Array] = []
    elapsed_us: list[float] = []
    for codes in chunks.codes:
        start = time.perf_counter_ns()
        found = session.pass_codes(codes)
        elapsed_us.append((time.perf_counter_ns() - start) / 1000 / len(codes))
        q_ys += [one.ravel() for one in found.values()]
    return np.concatenate(q_ys), np.empty(0, np.int16), float(np.median(elapsed_us))
