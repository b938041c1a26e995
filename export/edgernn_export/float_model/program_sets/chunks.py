"""Float networks that answer whole chunks: passes of one direction each, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgernn.errors import ShapeError
from edgernn.model.formats import ArrayRecord, FloatArray
from edgernn.model.interface import port_slices
from edgernn.model.program_sets.passes import CHUNK_INPUT, Pass, PassDirection
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.sharing import SharedByPrograms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatChunks(ArrayRecord):
    """A float network as passes over a chunk (clause 6.11).

    Attributes:
        name: of the whole.
        programs: one for each pass, in their order.
        passes: direction and reads of each.
        sequence: whether the network answers every step, or once.
        steps: readings T that the network's input takes; None where it takes any number.
        shared: uses of weights that several passes have.

    Raises:
        ShapeError: the passes are not those of the programs.
    """

    name: str
    programs: tuple[FloatModel, ...]
    passes: tuple[Pass, ...]
    sequence: bool
    steps: int | None = None
    shared: tuple[SharedByPrograms, ...] = ()

    def __post_init__(self) -> None:
        """Check the names."""
        names = [model.name for model in self.programs]
        if names != [one.program for one in self.passes]:
            raise ShapeError(f"{self.name}: expected a pass for each of {names}, got others")

    @property
    def inputs(self) -> int:
        """Width I of a reading."""
        return self.programs[0].inputs

    @property
    def outputs(self) -> int:
        """Width O of the answer."""
        return self.programs[-1].outputs

    def passed(self, xs: FloatArray) -> dict[str, tuple[FloatArray, FloatArray]]:
        """What every pass reads and gives.

        Args:
            xs: chunks [B, T, I] in physical units.

        Returns:
            By program, readings [B, T, I] and outputs [B, T, O] (logits), in the order in which the
            pass takes the steps.
        """
        found: dict[str, tuple[FloatArray, FloatArray]] = {}
        done: dict[str, FloatArray] = {}
        last: dict[str, FloatArray] = {}
        for one, model in zip(self.passes, self.programs, strict=True):
            read = self._read(one, xs, done, last)
            backward = one.direction is PassDirection.BACKWARD
            if backward:
                read = np.ascontiguousarray(read[:, ::-1])
            ys, _ = float_run.run(model, read)
            found[model.name] = read, ys
            done[model.name] = ys[:, ::-1] if backward else ys
            last[model.name] = ys[:, -1]
        return found

    def run(self, xs: FloatArray) -> FloatArray:
        """Answers to chunks [B, T, I]: [B, T, O] at every step, else [B, O] (logits)."""
        final = self.passes[-1]
        ys = self.passed(xs)[final.program][1]
        if not self.sequence:
            return ys[:, -1]
        return ys[:, ::-1] if final.direction is PassDirection.BACKWARD else ys

    def _read(
        self,
        one: Pass,
        xs: FloatArray,
        done: Mapping[str, FloatArray],
        last: Mapping[str, FloatArray],
    ) -> FloatArray:
        """What a pass reads, in the order of the chunk."""
        columns = []
        for read in one.reads:
            if read.source == CHUNK_INPUT:
                columns.append(xs)
                continue
            source = next(model for model in self.programs if model.name == read.source)
            own = port_slices(source.output_ports).get(read.value, slice(None))
            if read.last:
                values = last[read.source][:, None, own]
                columns.append(np.broadcast_to(values, (*xs.shape[:2], values.shape[2])))
            else:
                columns.append(done[read.source][..., own])
        return np.concatenate(columns, axis=2)
